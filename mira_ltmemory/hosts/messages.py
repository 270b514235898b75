"""MIRA's messages, in each of their shapes, as `IncomingMessage`.

A message is a live object, a dict of a saved file, or anything else; its content is a string, a list of
block objects or dicts, or (in saved files) strings such as ``"ToolUseBlock(id='1', input={...}, ...)"``.
No message is dropped and nothing here raises: what is not understood is kept as its text.

Results of our own memory tools are memory shown again. They are not taken down as text, or memory would
be fed with itself: such a message says only which tool answered.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from mira_ltmemory.config import ToolSwitches
from mira_ltmemory.protocols import IncomingMessage, Json, Origin, Role, is_plausible

MEMORY_TOOLS = frozenset({*ToolSwitches.model_fields, "lt_memory"})
"""Tools whose results are memory shown again; the last is that of MIRA's own first memory."""

_MAX_REPR = 1_000_000
_BLOCK_REPR = re.compile(r"\s*(?:[A-Z]\w*Block|ThinkingBlock)\(")
_TAGS = re.compile(
    r"<thought_process>.*?</thought_process>|<topic_changed\s*=\s*(?:true|false)\s*/?>|<need_tool\s*/?>",
    re.DOTALL | re.IGNORECASE,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def convert(
    messages: Iterable[Any], conversation_id: str, *, memory_tools: frozenset[str] = MEMORY_TOOLS
) -> list[IncomingMessage]:
    """Return every message of one conversation, in order."""
    everything = list(messages)
    blocks = [_blocks(_get(message, "content"), _get(message, "role")) for message in everything]
    tools = dict(_tool_names(blocks))
    moments = _moments([_get(message, "created_at") for message in everything])
    return [
        _convert(message, parts, moment, str(conversation_id), tools, memory_tools)
        for message, parts, moment in zip(everything, blocks, moments, strict=True)
    ]


def message_id(message: Any) -> str:
    """Return the id of a message; one that has none gets an id made from what it says."""
    given = _text_of(_get(message, "id"))
    if given:
        return given
    return hashlib.sha256(_text_of(message).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _convert(
    message: Any,
    blocks: list[Any],
    said_at: datetime,
    conversation_id: str,
    tools: Mapping[str, str],
    memory_tools: frozenset[str],
) -> IncomingMessage:
    metadata = _metadata(_get(message, "metadata"))
    content, told = _content(blocks, tools, memory_tools)
    role, origin = _side(_get(message, "role"), metadata, told)
    if role is Role.ASSISTANT:
        content = _TAGS.sub("", content).strip() or ("[nothing but internal tags]" if content.strip() else content)
    return IncomingMessage(
        conversation_id=conversation_id,
        external_id=message_id(message),
        role=role,
        content=content or "[empty message]",
        said_at=said_at,
        origin=origin,
        metadata={**metadata, **told},
    )


def _content(blocks: list[Any], tools: Mapping[str, str], memory_tools: frozenset[str]) -> tuple[str, Json]:
    """Return the blocks as one text, and what is to be noted beside it."""
    parts: list[str] = []
    calls: list[Json] = []
    answered: list[str] = []
    recalled: list[str] = []
    for block in blocks:
        kind = _get(block, "type")
        if isinstance(block, str):
            parts.append(block)
        elif kind == "text":
            parts.append(_text_of(_get(block, "text")))
        elif kind == "tool_use":
            name = _text_of(_get(block, "name"))
            shown = {} if name in memory_tools else _jsonable(_get(block, "input"))
            calls.append({"name": name, "input": shown})
            parts.append(f"[calls {name}]" if not shown else f"[calls {name} with {_dump(shown)}]")
        elif kind == "tool_result":
            name = tools.get(_text_of(_get(block, "tool_use_id")), "a tool")
            (recalled if name in memory_tools else answered).append(name)
            parts.append(f"[{name} answered]" if name in memory_tools else _result(block))
        elif kind in ("thinking", "redacted_thinking"):
            continue
        elif kind == "image":
            parts.append("[image]")
        else:
            parts.append(_text_of(block))
    told: Json = {}
    if calls:
        told["tool_calls"] = calls
    if answered:
        told["tool_results"] = answered
    if recalled:
        told["recalled_by"] = recalled
    return "\n".join(part for part in parts if part), told


def _side(role: Any, metadata: Json, told: Json) -> tuple[Role, Origin]:
    """Return who said a message, and where its text came from."""
    if told.get("tool_results"):
        return Role.TOOL, Origin.TOOL
    if told.get("recalled_by"):
        return Role.TOOL, Origin.RECALLED
    if metadata.get("is_notification"):  # written by a reminder, not by the model
        return Role.ASSISTANT, Origin.TOOL
    sides = {
        "user": (Role.USER, Origin.USER),
        "assistant": (Role.ASSISTANT, Origin.ASSISTANT),
        "system": (Role.SYSTEM, Origin.TOOL),
    }
    return sides.get(_text_of(role).lower(), (Role.TOOL, Origin.TOOL))


def _blocks(content: Any, role: Any) -> list[Any]:
    """Return content as a list of blocks, strings among them where it holds text."""
    if isinstance(content, str):
        parsed = _parse_list(content) if _text_of(role).lower() == "assistant" else None
        return [content] if parsed is None else parsed
    if content is None:
        return []
    if isinstance(content, Mapping) or not isinstance(content, Sequence):
        return [content]
    return [_parse(item) if isinstance(item, str) else item for item in content]


def _parse(text: str) -> Any:
    """Return the block that a repr string stands for, as a mapping, or else the string itself."""
    if len(text) > _MAX_REPR or not _BLOCK_REPR.match(text):
        return text
    try:
        value = _value(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return text
    return value if isinstance(value, Mapping) and "type" in value else text


def _parse_list(text: str) -> list[Any] | None:
    """Return the blocks of a string that is the repr of a list of blocks."""
    if len(text) > _MAX_REPR or not text.startswith("[") or not _BLOCK_REPR.match(text[1:]):
        return None
    try:
        value = _value(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return None
    return value if isinstance(value, list) and all(isinstance(item, Mapping) for item in value) else None


def _value(node: ast.expr) -> Any:
    """Return the value of a literal that may hold calls, each as a dict of its keywords. Nothing is executed."""
    if isinstance(node, ast.Call):
        if node.args:
            raise ValueError("a block's repr names every part")
        return {word.arg: _value(word.value) for word in node.keywords if word.arg is not None}
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(item) for item in node.elts]
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return {_value(key): _value(value) for key, value in pairs if key is not None}
    return ast.literal_eval(node)


def _tool_names(conversation: Iterable[list[Any]]) -> Iterator[tuple[str, str]]:
    """Yield the id and the tool of every call, for the results that name only the id."""
    for blocks in conversation:
        for block in blocks:
            if _get(block, "type") == "tool_use":
                yield _text_of(_get(block, "id")), _text_of(_get(block, "name"))


def _result(block: Any) -> str:
    """Return what a tool answered, as text."""
    content = _get(block, "content")
    if isinstance(content, Sequence) and not isinstance(content, str):
        return "\n".join(_text_of(_get(item, "text")) or _text_of(item) for item in content)
    return _text_of(content)


def _get(thing: Any, name: str) -> Any:
    if isinstance(thing, str | bytes):
        return None
    try:
        return thing.get(name) if isinstance(thing, Mapping) else getattr(thing, name, None)
    except Exception:  # noqa: BLE001 a foreign object's property may raise anything; it then has no such part
        return None


def _text_of(thing: Any) -> str:
    if isinstance(thing, str):
        return thing
    if isinstance(thing, Mapping | list):
        return _dump(thing)
    return "" if thing is None else _shown(thing, str)


def _shown(thing: Any, show: Callable[[Any], str]) -> str:
    try:
        return show(thing)
    except Exception as error:  # noqa: BLE001 a foreign object that cannot even say what it is
        return f"[{type(thing).__name__} that cannot be shown: {type(error).__name__}]"


def _dump(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, default=_text_of)
    except (TypeError, ValueError, RecursionError):
        return _shown(value, repr)


def _jsonable(value: Any) -> Any:
    return json.loads(_dump(value)) if isinstance(value, Mapping | list) else value


def _metadata(value: Any) -> Json:
    """Return metadata with string keys, safe to store as JSON."""
    if not isinstance(value, Mapping):
        return {}
    try:
        plain = json.loads(json.dumps({_text_of(key): item for key, item in value.items()}, default=_text_of))
    except (TypeError, ValueError, RecursionError):
        return {"unreadable_metadata": _text_of(value)[:1000]}
    return plain if isinstance(plain, dict) else {}


def _moments(values: Sequence[Any]) -> list[datetime]:
    """Return when each message was said; one that does not tell was said with the one before it, or the first."""
    known = [_moment(value) for value in values]
    latest = next((moment for moment in known if moment is not None), _EPOCH)
    filled = []
    for moment in known:
        latest = moment or latest
        filled.append(latest)
    return filled


def _moment(value: Any) -> datetime | None:
    """Return a time, aware, in UTC; a naive one is UTC, as everywhere in MIRA. None where nothing was said then."""
    try:
        if isinstance(value, int | float):
            value = datetime.fromtimestamp(value, UTC)
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        if not isinstance(moment, datetime):
            return None
        moment = (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return moment if is_plausible(moment) else None
