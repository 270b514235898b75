"""What the model of a host answered, as ours: MIRA and mira-OSS tell it in the same words."""

from __future__ import annotations

from typing import Any

from mira_ltmemory.errors import LLMError, LLMRejected, LLMUnavailable, one_line
from mira_ltmemory.llm.patient import retry_after
from mira_ltmemory.protocols import LLMReply, ToolCall


def reply_of(model: Any, response: Any) -> LLMReply:
    """Read a response with the model's own ``extract_tool_calls`` and ``extract_text_content``."""
    usage = getattr(response, "usage", None)
    calls = tuple(
        ToolCall(id=str(call["id"]), name=str(call["tool_name"]), arguments=dict(call["input"]))
        for call in model.extract_tool_calls(response)
    )
    return LLMReply(
        text=str(model.extract_text_content(response)),
        tool_calls=calls,
        input_tokens=int(getattr(usage, "input_tokens", 0) or 0),
        output_tokens=int(getattr(usage, "output_tokens", 0) or 0),
        stop_reason=getattr(response, "stop_reason", None),
    )


def error_of(host: str, error: Exception) -> LLMError:
    """A model's error as ours, by the status that it or its cause tells.

    MIRA's own retry breaks after the first failure, with an error that tells nothing: that may pass, as may time-outs.
    """
    told = f"{host}'s language model gave no answer: {one_line(f'{type(error).__name__}: {error}', 300)}"
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
