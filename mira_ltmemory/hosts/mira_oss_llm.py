"""mira-OSS's language model as our `LLM`."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from mira_ltmemory.hosts.model_replies import error_of, reply_of
from mira_ltmemory.protocols import Json, LLMReply


class OssLLM:
    """Asks its ``LLMProvider``, once and for our purposes only."""

    def __init__(self, provider: Any) -> None:
        self._provider = provider

    @property
    def name(self) -> str:
        """The model's name."""
        return str(getattr(self._provider, "model", "unknown"))

    def complete(
        self,
        messages: Sequence[Json],
        *,
        system: str | None = None,
        tools: Sequence[Json] = (),
        max_tokens: int = 1024,
        temperature: float = 0.0,
    ) -> LLMReply:
        """Answer once. Raises ``LLMError`` for whatever goes wrong in the provider."""
        # It reads the limits from itself, and where it knows a tool repository it runs the tools that are called and
        # asks on: a copy of it has our limits and no tools to run. Its connection pool and its keys are shared.
        provider = copy.copy(self._provider)
        provider.tool_repo = None
        provider.max_tokens, provider.temperature = max_tokens, temperature
        # Its `system_override` is for endpoints of other makers only.
        told = [{"role": "system", "content": system}] if system else []
        try:
            response = provider.generate_response(
                messages=[*told, *messages], tools=list(tools) or None, thinking_enabled=False
            )
            return reply_of(provider, response)
        except Exception as error:
            raise error_of("mira-OSS", error) from error
