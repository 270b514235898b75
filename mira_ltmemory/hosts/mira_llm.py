"""MIRA's model bridge as our `LLM`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mira_ltmemory.errors import LLMRejected
from mira_ltmemory.hosts.model_replies import error_of, reply_of
from mira_ltmemory.protocols import Json, LLMReply


class MiraLLM:
    """Asks MIRA's model. ``bridge`` is called each time for the bridge that MIRA uses then."""

    def __init__(self, bridge: Callable[[], Any], *, openai_tools: bool = False) -> None:
        self._bridge = bridge
        self._openai_tools = openai_tools

    @property
    def name(self) -> str:
        """The model's name."""
        return str(getattr(self._bridge(), "model", "unknown"))

    def complete(
        self,
        messages: Sequence[Json],
        *,
        system: str | None = None,
        tools: Sequence[Json] = (),
        max_tokens: int = 1024,
        temperature: float = 0.0,
    ) -> LLMReply:
        """Answer once. Raises ``LLMError`` for whatever goes wrong in the bridge."""
        bridge = self._bridge()
        if bridge is None:
            raise LLMRejected("MIRA has no language model.")
        try:
            response = bridge.generate_response(
                messages=list(messages),
                system_prompt=system,
                temperature=temperature,
                max_tokens=max_tokens,
                tools=[self._definition(tool) for tool in tools] or None,
            )
            return reply_of(bridge, response)
        except Exception as error:
            raise error_of("MIRA", error) from error

    def _definition(self, tool: Json) -> Json:
        if not self._openai_tools:
            return tool
        function = {"name": tool["name"], "description": tool["description"], "parameters": tool["input_schema"]}
        return {**tool, "openai_schema": {"type": "function", "function": function}}
