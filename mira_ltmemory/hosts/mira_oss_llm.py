"""mira-OSS's language model as a `LLM`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mira_ltmemory.errors import LLMError
from mira_ltmemory.protocols import Json, LLMReply, ToolCall


class OssLLM:
    """Asks its ``LLMProvider``. It offers no tools of its own here, so it runs none."""

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
        try:
            response = self._provider.generate_response(
                messages=list(messages),
                tools=list(tools) or None,
                system_override=system,
                max_tokens=max_tokens,
                temperature=temperature,
                thinking_enabled=False,
            )
            usage = getattr(response, "usage", None)
            calls = tuple(
                ToolCall(id=str(call["id"]), name=str(call["tool_name"]), arguments=dict(call["input"]))
                for call in self._provider.extract_tool_calls(response)
            )
            return LLMReply(
                text=str(self._provider.extract_text_content(response)),
                tool_calls=calls,
                input_tokens=int(getattr(usage, "input_tokens", 0) or 0),
                output_tokens=int(getattr(usage, "output_tokens", 0) or 0),
                stop_reason=getattr(response, "stop_reason", None),
            )
        except Exception as error:
            raise LLMError(f"mira-OSS's language model gave no answer: {type(error).__name__}: {error}") from error
