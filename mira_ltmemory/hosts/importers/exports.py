"""Conversations of ChatGPT's and Claude's data exports, as conversations of messages in the order they were said.

Both keep every version of a message that was edited or answered anew, as a tree. The branch that the conversation
ended on is what was said; the others are given only where they are asked for.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mira_ltmemory.hosts.importers.values import read_id, read_text
from mira_ltmemory.hosts.messages import MEMORY_TOOLS
from mira_ltmemory.protocols import Json

_CITATION = re.compile("\ue200[^\ue201]*\ue201|[\ue200-\ue20f]")
_RECALLING = MEMORY_TOOLS | {"recent_chats"}
"""Tools whose answers are memory shown again, ours or Claude's own."""


@dataclass(slots=True)
class Export:
    """One conversation: a document as `MessageReader.conversation` takes it, and how much was left out, by kind."""

    document: Json
    left_out: Counter[str] = field(default_factory=Counter)


def read_export(document: Mapping[str, Any], *, all_branches: bool = False) -> Export | None:
    """Return a conversation of an export; none where the document is no such thing."""
    if isinstance(document.get("mapping"), Mapping):
        return _ChatGPT(document, all_branches).export()
    if isinstance(document.get("chat_messages"), list):
        return _Claude(document, all_branches).export()
    return None


class _Tree:
    """Messages by id with the id of the one before each; ``leaf`` is where the conversation ended."""

    def __init__(self, before: Mapping[str, str | None], leaf: str | None) -> None:
        self._before = before
        self._leaf = leaf

    def branch(self) -> set[str]:
        """Return the ids on the branch that the conversation ended on; all where none can be told."""
        if self._leaf not in self._before:
            return set(self._before)
        found: set[str] = set()
        at: str | None = self._leaf
        while at is not None and at in self._before and at not in found:
            found.add(at)
            at = self._before[at]
        return found

    def in_order(self) -> list[str]:
        """Return all ids, each behind the one before it, branches in the order in which they are listed."""
        children: dict[str | None, list[str]] = {}
        for one, before in self._before.items():
            children.setdefault(before if before in self._before else None, []).append(one)
        found: dict[str, None] = {}
        waiting = list(reversed(children.get(None, [])))
        while waiting:
            one = waiting.pop()
            if one not in found:
                found[one] = None
                waiting += reversed(children.get(one, []))
        # What hangs together in a circle has no beginning; it is given all the same.
        return list({**found, **dict.fromkeys(self._before)})


class _ChatGPT:
    """A conversation of ``conversations.json`` from ChatGPT."""

    def __init__(self, document: Mapping[str, Any], all_branches: bool) -> None:
        self._document = document
        self._all = all_branches
        self._left_out: Counter[str] = Counter()
        self._nodes: dict[str, Mapping[str, Any]] = {}
        for name, node in document["mapping"].items():
            if isinstance(node, Mapping):
                self._nodes[name] = node
            else:
                self._left_out["entries that are no messages"] += 1

    def export(self) -> Export:
        """Return the conversation."""
        tree = _Tree({name: read_id(node.get("parent")) for name, node in self._nodes.items()}, self._leaf())
        branch = tree.branch()
        messages: list[Json] = []
        for name in tree.in_order():
            message = self._nodes[name].get("message")
            if message is None:
                continue
            if not isinstance(message, Mapping) or not isinstance(message.get("content"), Mapping):
                self._left_out["entries that are no messages"] += 1
            elif name not in branch and not self._all:
                self._left_out["messages of branches that were given up"] += 1
            else:
                messages += self._message(name, message, on_branch=name in branch)
        given = self._document
        document = {
            "conversation_id": given.get("conversation_id") or given.get("id"),
            "created_at": given.get("create_time"),
            "messages": _titled(messages, given.get("title")),
        }
        return Export(document, self._left_out)

    def _leaf(self) -> str | None:
        named = read_id(self._document.get("current_node"))
        if named in self._nodes:
            return named
        parents = {node.get("parent") for node in self._nodes.values()}
        ends = [name for name in self._nodes if name not in parents]
        return max(ends, key=lambda name: _number(_message(self._nodes[name]).get("create_time")), default=None)

    def _message(self, name: str, message: Mapping[str, Any], *, on_branch: bool) -> Iterator[Json]:
        author, about = _mapping(message.get("author")), _mapping(message.get("metadata"))
        content = message["content"]
        if about.get("is_visually_hidden_from_conversation") or content.get("content_type") == "user_editable_context":
            self._left_out["hidden messages, such as the instructions that go with every conversation"] += 1
            return
        if content.get("content_type") in ("thoughts", "reasoning_recap"):
            return
        text = _CITATION.sub("", _content(content)).strip()
        recipient = read_text(message.get("recipient"))
        metadata: Json = {"source": "chatgpt", **({} if on_branch else {"branch": "given up"})}
        if author.get("role") == "assistant" and recipient not in ("", "all"):
            metadata["tool_calls"] = [{"name": recipient, "input": text}]
            text = f"[calls {recipient} with {text}]" if text else f"[calls {recipient}]"
        if attachments := [read_text(_mapping(one).get("name")) for one in _list(about.get("attachments"))]:
            metadata["attachments"] = attachments
            text = "\n".join([text, *(f"[attachment: {each}]" for each in attachments)]).strip()
        if about.get("model_slug"):
            metadata["model"] = about["model_slug"]
        if text:
            yield {
                "id": message.get("id") or name,
                "role": author.get("role"),
                "speaker": author.get("name"),
                "content": text,
                "timestamp": message.get("create_time"),
                "metadata": metadata,
            }


def _content(content: Mapping[str, Any]) -> str:
    """Return what a message of ChatGPT shows, as text."""
    if isinstance(content.get("parts"), list):
        return "\n".join(filter(None, map(_part, content["parts"])))
    told = [read_text(content.get(key)) for key in ("name", "title", "url", "summary", "result", "text")]
    if any(told):
        return "\n".join(filter(None, told))
    rest = {key: value for key, value in content.items() if key not in ("content_type", "language") and value}
    return read_text(rest) if rest else ""


def _part(part: Any) -> str:
    if isinstance(part, str):
        return part
    kind = read_text(_mapping(part).get("content_type"))
    if text := read_text(_mapping(part).get("text")):
        return text
    for name in ("image", "audio", "video"):
        if name in kind:
            return f"[{name}]"
    return "" if part is None else read_text(part)


class _Claude:
    """A conversation of ``conversations.json`` from Claude."""

    def __init__(self, document: Mapping[str, Any], all_branches: bool) -> None:
        self._document = document
        self._all = all_branches
        self._left_out: Counter[str] = Counter()
        self._messages: dict[str, Mapping[str, Any]] = {}
        for place, message in enumerate(document["chat_messages"]):
            if isinstance(message, Mapping):
                self._messages[read_id(message.get("uuid")) or f"message {place}"] = message
            else:
                self._left_out["entries that are no messages"] += 1

    def export(self) -> Export:
        """Return the conversation."""
        parents = {name: read_id(message.get("parent_message_uuid")) for name, message in self._messages.items()}
        if any(parent in self._messages for parent in parents.values()):
            leaf = read_id(self._document.get("current_leaf_message_uuid")) or next(reversed(self._messages), None)
            tree = _Tree(parents, leaf)
            branch, order = tree.branch(), tree.in_order()
        else:  # an older export, which lists the messages in order
            branch, order = set(self._messages), list(self._messages)
        messages: list[Json] = []
        for name in order:
            if name in branch or self._all:
                messages += self._message(self._messages[name], {} if name in branch else {"branch": "given up"})
            else:
                self._left_out["messages of branches that were given up"] += 1
        document = {
            "conversation_id": self._document.get("uuid"),
            "created_at": self._document.get("created_at"),
            "messages": _titled(messages, self._document.get("name")),
        }
        return Export(document, self._left_out)

    def _message(self, message: Mapping[str, Any], branch: Json) -> Iterator[Json]:
        """Give a message, cut where a tool answered: what a tool says was not said by the one who asked it."""
        timestamp, about = message.get("created_at"), {"source": "claude", **branch}
        uuid = read_id(message.get("uuid"))
        for number, (text, tool, calls) in enumerate(self._segments(message)):
            metadata = {**about, **({"tool_calls": calls} if calls else {})}
            role = {"role": "tool", "speaker": tool} if tool else {"role": message.get("sender")}
            identity = {} if uuid is None else {"id": uuid if number == 0 else f"{uuid}/{number}"}
            yield {**role, **identity, "content": text, "timestamp": timestamp, "metadata": metadata}

    def _segments(self, message: Mapping[str, Any]) -> Iterator[tuple[str, str, list[Json]]]:
        """Give text, the tool that said it (none: the sender), and the calls that it makes."""
        said: list[str] = []
        calls: list[Json] = []
        blocks = [block for block in _list(message.get("content")) if isinstance(block, Mapping)]
        for block in blocks or [{"type": "text", "text": message.get("text")}]:
            kind = block.get("type")
            if kind == "tool_result":
                if said:
                    yield "\n".join(said), "", calls
                    said, calls = [], []
                yield (*_answer(block), [])
            elif kind == "tool_use":
                name = read_text(block.get("name")) or "a tool"
                given = {} if name in _RECALLING else block.get("input") or {}
                calls.append({"name": name, "input": given})
                said.append(f"[calls {name} with {read_text(given)}]" if given else f"[calls {name}]")
            elif kind not in ("thinking", "redacted_thinking"):
                said.append(read_text(block.get("text") or block.get("transcript")).strip())
        attachments = [_mapping(one) for one in _list(message.get("attachments"))]
        files = [_mapping(one) for one in _list(message.get("files"))]
        said += [f"[attachment: {read_text(one.get('file_name')) or 'a file'}]" for one in (*attachments, *files)]
        if any(said):
            yield "\n".join(filter(None, said)), "", calls
        for one in attachments:
            if text := read_text(one.get("extracted_content")).strip():
                yield text, read_text(one.get("file_name")) or "attachment", []


def _answer(block: Mapping[str, Any]) -> tuple[str, str]:
    """Return what a tool answered, and its name; memory shown again is not taken down."""
    name = read_text(block.get("name")) or "a tool"
    if name in _RECALLING:
        return f"[{name} answered]", name
    content = block.get("content")
    parts: Sequence[Any] = content if isinstance(content, list) else [content]
    texts = [read_text(_mapping(part).get("text")) or _part(part) for part in parts]
    return "\n".join(filter(None, texts)) or f"[{name} answered]", name


def _titled(messages: list[Json], title: object) -> list[Json]:
    """Note the title of a conversation beside its first message."""
    if messages and isinstance(title, str) and title.strip():
        messages[0]["metadata"] = {**messages[0]["metadata"], "title": title.strip()}
    return messages


def _message(node: Mapping[str, Any]) -> Mapping[str, Any]:
    return _mapping(node.get("message"))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
