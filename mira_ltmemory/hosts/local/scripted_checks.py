"""How strict a real model server is about requests: each check raises ``Refusal`` with the reason."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_SCHEMA_TYPES = {"string", "number", "integer", "boolean", "object", "array", "null"}
_TOOL_KEYS = {"name", "description", "input_schema", "type", "cache_control"}


class Refusal(Exception):
    """The request is not valid; answered with status 400."""


def expect(condition: object, reason: str) -> None:
    """Refuse unless the condition holds."""
    if not condition:
        raise Refusal(reason)


def check_anthropic(body: dict[str, Any]) -> None:
    """Check a ``POST /v1/messages`` body."""
    _check_common(body)
    expect(isinstance(body.get("max_tokens"), int) and body["max_tokens"] > 0, "max_tokens: a positive integer")
    system = body.get("system")
    if isinstance(system, list):
        for index, block in enumerate(system):
            _check_text_block(block, f"system.{index}")
    else:
        expect(system is None or isinstance(system, str), "system: text or a list of text blocks")
    _check_tools(body.get("tools", []), _anthropic_tool)
    waiting: set[str] = set()
    previous = ""
    for index, message in enumerate(body["messages"]):
        where = f"messages.{index}"
        expect(isinstance(message, dict), f"{where}: a dictionary")
        role, content = message.get("role"), message.get("content")
        expect(role in ("user", "assistant"), f"{where}.role: user or assistant, not {role!r}")
        expect(not (role == previous == "assistant"), f"{where}: two assistant messages in a row")
        last = index == len(body["messages"]) - 1
        expect(content or (last and role == "assistant"), f"{where}: content must be non-empty")
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        expect(isinstance(blocks, list), f"{where}.content: text or a list of blocks")
        waiting = _check_blocks(blocks, role, waiting, where)
        previous = role
    expect(not waiting, f"tool_use ids without tool_result: {', '.join(sorted(waiting))}")


def _check_blocks(blocks: list[Any], role: str, waiting: set[str], where: str) -> set[str]:
    """Check one message against the tool calls of the message before, and return the calls that it makes."""
    results: list[str] = []
    calls: list[str] = []
    for index, block in enumerate(blocks):
        place = f"{where}.content.{index}"
        expect(isinstance(block, dict), f"{place}: a dictionary")
        kind = block.get("type")
        if kind == "tool_result" and role == "user":
            expect(isinstance(block.get("content", ""), str | list), f"{place}.content: text or blocks")
            results.append(block.get("tool_use_id", ""))
        elif kind == "tool_use" and role == "assistant":
            expect(isinstance(block.get("input"), dict), f"{place}.input: a dictionary")
            expect(_TOOL_NAME.fullmatch(block.get("name", "")), f"{place}.name: a tool's name")
            calls.append(block.get("id", ""))
        else:
            _check_text_block(block, place)
    unknown = set(results) - waiting
    expect(not unknown, f"{where}: unexpected tool_use_id in tool_result: {', '.join(sorted(unknown))}")
    missing = waiting - set(results)
    expect(not missing, f"{where}: tool_use ids without tool_result: {', '.join(sorted(missing))}")
    expect(len(set(calls)) == len(calls), f"{where}: tool_use ids must be unique")
    return set(calls)


def _check_text_block(block: Any, where: str) -> None:
    expect(isinstance(block, dict) and block.get("type") == "text", f"{where}: a text block is due here")
    expect(isinstance(block.get("text"), str), f"{where}.text: text")
    expect(block["text"].strip(), f"{where}: text content blocks must be non-empty")


def check_openai(body: dict[str, Any]) -> None:
    """Check a ``POST /v1/chat/completions`` body."""
    _check_common(body)
    _check_tools(body.get("tools", []), _openai_tool)
    waiting: set[str] = set()
    for index, message in enumerate(body["messages"]):
        where = f"messages[{index}]"
        expect(isinstance(message, dict), f"{where}: a dictionary")
        role, content = message.get("role"), message.get("content")
        expect(role in ("system", "user", "assistant", "tool"), f"{where}.role: unknown role {role!r}")
        expect(content is None or isinstance(content, str | list), f"{where}.content: text, a list or null")
        calls = message.get("tool_calls") or []
        if role == "tool":
            expect(message.get("tool_call_id") in waiting, f"{where}: tool_call_id answers no tool call")
            waiting.discard(message["tool_call_id"])
            continue
        expect(not waiting, f"{where}: tool calls without an answer: {', '.join(sorted(waiting))}")
        expect(content is not None or calls, f"{where}: neither content nor tool_calls")
        for call in calls:
            expect(isinstance(call.get("function", {}).get("arguments"), str), f"{where}: arguments must be text")
        waiting = {call.get("id", "") for call in calls}
    expect(not waiting, f"tool calls without an answer: {', '.join(sorted(waiting))}")


def _check_common(body: dict[str, Any]) -> None:
    expect(isinstance(body.get("model"), str) and body["model"], "model: the name of a model")
    expect(isinstance(body.get("messages"), list) and body["messages"], "messages: at least one message")
    temperature = body.get("temperature", 1.0)
    number = isinstance(temperature, int | float) and not isinstance(temperature, bool)
    expect(number and 0 <= temperature <= 2, "temperature: a number between 0 and 2")


def _check_tools(tools: Any, unpack: Callable[[dict[str, Any], str], tuple[str, Any]]) -> None:
    expect(isinstance(tools, list), "tools: a list")
    names = []
    for index, tool in enumerate(tools):
        where = f"tools.{index}"
        expect(isinstance(tool, dict), f"{where}: a dictionary")
        name, schema = unpack(tool, where)
        expect(isinstance(name, str) and _TOOL_NAME.fullmatch(name), f"{where}.name: letters, digits, _ and -")
        expect(isinstance(schema, dict) and schema.get("type") == "object", f"{where}: the schema's type is object")
        check_schema(schema, f"{where}.input_schema")
        names.append(name)
    expect(len(set(names)) == len(names), "tools: tool names must be unique")


def _anthropic_tool(tool: dict[str, Any], where: str) -> tuple[str, Any]:
    extra = tool.keys() - _TOOL_KEYS
    expect(not extra, f"{where}: extra inputs are not permitted: {', '.join(sorted(extra))}")
    expect(isinstance(tool.get("description", ""), str), f"{where}.description: text")
    return tool.get("name", ""), tool.get("input_schema")


def _openai_tool(tool: dict[str, Any], where: str) -> tuple[str, Any]:
    function = tool.get("function")
    expect(tool.get("type") == "function" and isinstance(function, dict), f"{where}: a function")
    assert isinstance(function, dict)
    return function.get("name", ""), function.get("parameters", {"type": "object"})


def check_schema(schema: Any, where: str) -> None:
    """Whether it is JSON Schema, as far as tools use it."""
    expect(isinstance(schema, dict), f"{where}: a schema is a dictionary")
    kinds = schema.get("type", [])
    for kind in kinds if isinstance(kinds, list) else [kinds]:
        expect(kind in _SCHEMA_TYPES, f"{where}.type: JSON schema is invalid: {kind!r} is no type")
    required = schema.get("required", [])
    strings = isinstance(required, list) and all(isinstance(name, str) for name in required)
    expect(strings, f"{where}.required: JSON schema is invalid: a list of names")
    expect(isinstance(schema.get("enum", []), list), f"{where}.enum: JSON schema is invalid: a list")
    expect(isinstance(schema.get("description", ""), str), f"{where}.description: text")
    for key in ("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems"):
        expect(isinstance(schema.get(key, 0), int | float), f"{where}.{key}: JSON schema is invalid: a number")
    properties = schema.get("properties", {})
    expect(isinstance(properties, dict), f"{where}.properties: JSON schema is invalid: a dictionary")
    for name, part in properties.items():
        check_schema(part, f"{where}.properties.{name}")
    for key in ("anyOf", "oneOf", "allOf"):
        for index, part in enumerate(schema.get(key, [])):
            check_schema(part, f"{where}.{key}.{index}")
    if "items" in schema:
        check_schema(schema["items"], f"{where}.items")
