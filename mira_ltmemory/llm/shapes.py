"""Messages, tools and answers in the shape of OpenAI's chat completions, from and to our own (which is Anthropic's)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from uuid import uuid4

from mira_ltmemory.errors import LLMBadAnswer, one_line
from mira_ltmemory.protocols import Json, LLMReply, ToolCall

STOP_REASONS = {"stop": "end_turn", "tool_calls": "tool_use", "length": "max_tokens"}
REFUSAL = "refusal"


def to_openai(messages: Sequence[Json]) -> list[Json]:
    """Tool calls and tool results move from blocks of the content to fields and messages of their own."""
    result: list[Json] = []
    for message in messages:
        content = message["content"]
        if isinstance(content, str):
            result.append({"role": message["role"], "content": content})
            continue
        blocks = [block if isinstance(block, dict) else {"type": "text", "text": str(block)} for block in content]
        for block in blocks:
            if block["type"] == "tool_result":
                answer = {"role": "tool", "tool_call_id": block["tool_use_id"], "content": block["content"]}
                result.append(answer)
        text = "\n".join(block["text"] for block in blocks if block["type"] == "text")
        calls = [_call(block) for block in blocks if block["type"] == "tool_use"]
        if calls:
            result.append({"role": message["role"], "content": text or None, "tool_calls": calls})
        elif text:
            result.append({"role": message["role"], "content": text})
    return result


def tool_schema(tool: Json) -> Json:
    """A tool as a function."""
    schema = tool.get("input_schema", {"type": "object", "properties": {}})
    function = {"name": tool["name"], "description": tool["description"], "parameters": schema}
    return {"type": "function", "function": function}


def read_reply(body: str) -> LLMReply:
    """Read the body of an answer. Raises ``LLMBadAnswer`` for what is no chat completion."""
    try:
        data = json.loads(body)
        choice = data["choices"][0]
        message = choice["message"]
        usage = data.get("usage") or {}
        refused = message.get("refusal")
        finish = choice.get("finish_reason")
        stop = REFUSAL if refused or finish == "content_filter" else STOP_REASONS.get(finish or "", finish)
        return LLMReply(
            text=str(message.get("content") or refused or ""),
            tool_calls=tuple(_tool_call(call) for call in message.get("tool_calls") or ()),
            input_tokens=int(usage.get("prompt_tokens") or 0),
            output_tokens=int(usage.get("completion_tokens") or 0),
            stop_reason=stop,
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise LLMBadAnswer(f"The model's server gave no chat completion: {one_line(body, 200)}") from error


def _call(block: Json) -> Json:
    function = {"name": block["name"], "arguments": json.dumps(block["input"])}
    return {"id": block["id"], "type": "function", "function": function}


def _tool_call(call: Json) -> ToolCall:
    function = call["function"]
    return ToolCall(
        id=str(call.get("id") or f"call_{uuid4().hex}"),
        name=str(function["name"]),
        arguments=arguments_of(function.get("arguments") or "{}"),
    )


def arguments_of(raw: object) -> Json:
    """The arguments of a call. Small models write broken JSON: the tool then refuses the odd parameter and tells."""
    if isinstance(raw, dict):
        return raw
    try:
        parsed = json.loads(str(raw))
    except ValueError:
        parsed = None
    return parsed if isinstance(parsed, dict) else {"unreadable_arguments": raw}
