"""MIRA's model bridge as our `LLM`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mira_ltmemory.errors import LLMError, LLMRejected, LLMUnavailable, one_line
from mira_ltmemory.llm.patient import retry_after
from mira_ltmemory.protocols import Json, LLMReply, ToolCall


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
            return _reply(bridge, response)
        except Exception as error:
            raise _as_ours(error) from error

    def _definition(self, tool: Json) -> Json:
        if not self._openai_tools:
            return tool
        function = {"name": tool["name"], "description": tool["description"], "parameters": tool["input_schema"]}
        return {**tool, "openai_schema": {"type": "function", "function": function}}


def _as_ours(error: Exception) -> LLMError:
    """A bridge's error as ours, by the status that it or its cause tells.

    MIRA's own retry breaks after the first failure, with an error that tells nothing: that may pass, as may time-outs.
    """
    told = f"MIRA's language model gave no answer: {one_line(f'{type(error).__name__}: {error}', 300)}"
    at: BaseException | None = error
    while at is not None:
        status = getattr(at, "status_code", None) or getattr(at, "status", None)
        if isinstance(status, int) and status >= 400:
            passing = status in (408, 409, 425, 429) or status >= 500
            return LLMUnavailable(told, retry_after=_retry_after(at)) if passing else LLMRejected(told)
        at = at.__cause__ or at.__context__
    return LLMUnavailable(told)


def _retry_after(error: BaseException) -> float | None:
    headers = getattr(getattr(error, "response", None), "headers", None)
    return None if headers is None else retry_after(headers)


def _reply(bridge: Any, response: Any) -> LLMReply:
    usage = getattr(response, "usage", None)
    calls = tuple(
        ToolCall(id=str(call["id"]), name=str(call["tool_name"]), arguments=dict(call["input"]))
        for call in bridge.extract_tool_calls(response)
    )
    return LLMReply(
        text=str(bridge.extract_text_content(response)),
        tool_calls=calls,
        input_tokens=int(getattr(usage, "input_tokens", 0) or 0),
        output_tokens=int(getattr(usage, "output_tokens", 0) or 0),
        stop_reason=getattr(response, "stop_reason", None),
    )
