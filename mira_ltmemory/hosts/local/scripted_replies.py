"""What a scripted model says, and how that looks on the wire in both protocols."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4


@dataclass(frozen=True)
class Reply:
    """An answer: text, tool calls as ``(name, input)``, or both."""

    text: str = ""
    tool_calls: Sequence[tuple[str, dict[str, Any]]] = ()
    stop_reason: str | None = None
    input_tokens: int = 10
    output_tokens: int = 5

    @property
    def reason(self) -> str:
        """Why the model stopped, in anthropic's words."""
        return self.stop_reason or ("tool_use" if self.tool_calls else "end_turn")


@dataclass(frozen=True)
class Fault:
    """A failure: an HTTP status, no answer at all (``hang``), or an answer that breaks off (``half``).

    ``body`` replaces the error's JSON; with ``status=200`` it is an answer that makes no sense. In a half
    answer ``reply`` is what breaks off.
    """

    status: int = 500
    message: str = "a scripted failure"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    hang: bool = False
    half: bool = False
    reply: Reply = Reply("This answer breaks off in the middle.")


Step = Reply | Fault | str | Callable[[dict[str, Any]], Reply | Fault | str]

_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_OPENAI_REASONS = {"end_turn": "stop", "tool_use": "tool_calls", "max_tokens": "length"}


def error_body(path: str, status: int, message: str) -> str:
    """Return an error as the protocol of that path puts it."""
    error = {"type": _ERROR_TYPES.get(status, "api_error"), "message": message}
    return json.dumps({"error": error} if "chat" in path else {"type": "error", "error": error})


def _pieces(text: str) -> list[str]:
    return re.findall(r"\S+\s*|\s+", text)


def _event(data: dict[str, Any]) -> str:
    return f"event: {data['type']}\ndata: {json.dumps(data)}\n\n"


class AnthropicWire:
    """A reply in the Messages API."""

    def __init__(self, reply: Reply, model: str) -> None:
        self.reply = reply
        self.id = f"msg_{uuid4().hex[:24]}"
        self.model = model
        self.blocks: list[dict[str, Any]] = [{"type": "text", "text": reply.text}] if reply.text else []
        for name, given in reply.tool_calls:
            call_id = f"toolu_{uuid4().hex[:24]}"
            self.blocks.append({"type": "tool_use", "id": call_id, "name": name, "input": given})

    def _message(self, content: list[dict[str, Any]], reason: str | None, output_tokens: int) -> dict[str, Any]:
        return {
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": content,
            "stop_reason": reason,
            "stop_sequence": None,
            "usage": {
                "input_tokens": self.reply.input_tokens,
                "output_tokens": output_tokens,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
            },
        }

    def whole(self) -> str:
        """Return the answer in one piece."""
        return json.dumps(self._message(self.blocks, self.reply.reason, self.reply.output_tokens))

    def events(self) -> list[str]:
        """Return the answer as server-sent events."""
        result = [_event({"type": "message_start", "message": self._message([], None, 1)}), _event({"type": "ping"})]
        for index, block in enumerate(self.blocks):
            calls = block["type"] == "tool_use"
            start = {**block, "input": {}} if calls else {**block, "text": ""}
            result.append(_event({"type": "content_block_start", "index": index, "content_block": start}))
            for piece in _pieces(json.dumps(block["input"]) if calls else block["text"]):
                delta = (
                    {"type": "input_json_delta", "partial_json": piece}
                    if calls
                    else {"type": "text_delta", "text": piece}
                )
                result.append(_event({"type": "content_block_delta", "index": index, "delta": delta}))
            result.append(_event({"type": "content_block_stop", "index": index}))
        end = {"stop_reason": self.reply.reason, "stop_sequence": None}
        usage = {"output_tokens": self.reply.output_tokens}
        result.append(_event({"type": "message_delta", "delta": end, "usage": usage}))
        return [*result, _event({"type": "message_stop"})]


class OpenAIWire:
    """A reply as a chat completion."""

    def __init__(self, reply: Reply, model: str) -> None:
        self.reply = reply
        self.head = {"id": f"chatcmpl-{uuid4().hex[:24]}", "created": 0, "model": model}
        self.calls = [
            {
                "id": f"call_{uuid4().hex[:24]}",
                "type": "function",
                "function": {"name": name, "arguments": json.dumps(given)},
            }
            for name, given in reply.tool_calls
        ]
        self.reason = _OPENAI_REASONS.get(reply.reason, reply.reason)
        total = reply.input_tokens + reply.output_tokens
        self.usage = {
            "prompt_tokens": reply.input_tokens,
            "completion_tokens": reply.output_tokens,
            "total_tokens": total,
        }

    def whole(self) -> str:
        """Return the answer in one piece."""
        message: dict[str, Any] = {"role": "assistant", "content": self.reply.text or None}
        if self.calls:
            message["tool_calls"] = self.calls
        choice = {"index": 0, "message": message, "finish_reason": self.reason}
        return json.dumps(self.head | {"object": "chat.completion", "choices": [choice], "usage": self.usage})

    def _chunk(self, delta: dict[str, Any], reason: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return self._data({"choices": [choice]})

    def _data(self, more: dict[str, Any]) -> str:
        return f"data: {json.dumps(self.head | {'object': 'chat.completion.chunk'} | more)}\n\n"

    def events(self) -> list[str]:
        """Return the answer as server-sent events."""
        result = [self._chunk({"role": "assistant", "content": ""})]
        result += [self._chunk({"content": piece}) for piece in _pieces(self.reply.text)]
        for index, call in enumerate(self.calls):
            function = {"name": call["function"]["name"], "arguments": ""}  # type: ignore[index]
            result.append(self._chunk({"tool_calls": [{**call, "index": index, "function": function}]}))
            for piece in _pieces(call["function"]["arguments"]):  # type: ignore[index]
                result.append(self._chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}))
        result.append(self._chunk({}, self.reason))
        return [*result, self._data({"choices": [], "usage": self.usage}), "data: [DONE]\n\n"]
