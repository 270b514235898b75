"""Which model takes part: the one that is configured, or a scripted one behind a real HTTP endpoint."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mira_ltmemory.config import MemoryConfig
from mira_ltmemory.hosts.local import LLMBridge, OpenAIBridge, ScriptedModel, Step
from mira_ltmemory.protocols import Json

ANTHROPIC_URL = "https://api.anthropic.com"
ANTHROPIC_MODEL = "claude-3-5-haiku-20241022"
_TIMEOUT_S = 300.0


@dataclass
class Endpoint:
    """A model behind HTTP. ``scripted`` is the server of this process, where there is one."""

    address: str
    model: str
    protocol: str
    key: str = ""
    scripted: ScriptedModel | None = None

    def bridge(self) -> Any:
        """Return a new bridge of the host to the model; the host closes it."""
        kind = OpenAIBridge if self.protocol == "openai" else LLMBridge
        return kind(self.address, self.model, api_key=self.key, timeout=_TIMEOUT_S)

    def limits(self) -> Json:
        """Settings of the memory: its jobs ask a real model; a scripted one knows the conversation's turns only."""
        return {"batch_use_model": False, "review_max_steps": 0} if self.scripted is not None else {}

    def expect(self, steps: Sequence[Step]) -> None:
        """Say what a scripted model is to answer in the next turn."""
        if self.scripted is not None:
            self.scripted.queue.clear()
            self.scripted.add(*steps)

    def close(self) -> None:
        """Stop the scripted model."""
        if self.scripted is not None:
            self.scripted.close()

    def __str__(self) -> str:
        what = "scripted model" if self.scripted is not None else f"model {self.model}"
        return f"{what} at {self.address}"


def choose_model(settings: MemoryConfig, environment: Mapping[str, str] | None = None) -> Endpoint:
    """Return the OpenAI-compatible server of the settings, Anthropic's where there is a key, or a scripted model."""
    environment = os.environ if environment is None else environment
    if settings.llm_base_url and settings.llm_model:
        return Endpoint(settings.llm_base_url, settings.llm_model, "openai", settings.llm_api_key or "")
    key = environment.get("ANTHROPIC_API_KEY", "").strip()
    if key:
        address = environment.get("ANTHROPIC_BASE_URL", "").strip() or ANTHROPIC_URL
        return Endpoint(address, settings.llm_model or ANTHROPIC_MODEL, "anthropic", key)
    scripted = ScriptedModel().start()
    # The scripted server asks for a key as the real one does, and takes any.
    return Endpoint(scripted.url, "scripted", "anthropic", "any", scripted)
