"""Turns records of import files into messages: nothing is dropped, and what was odd is noted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from mira_ltmemory.hosts.importers.records import ImportProblem
from mira_ltmemory.hosts.importers.values import clean_json, read_id, read_moment, read_role, read_text
from mira_ltmemory.hosts.messages import convert
from mira_ltmemory.protocols import IncomingMessage, Json, in_zone

Event: TypeAlias = IncomingMessage | ImportProblem

_MOMENT_KEYS = ("timestamp", "created_at", "said_at", "date")
_ID_KEYS = ("id", "message_id")
_TAKEN = {*_MOMENT_KEYS, *_ID_KEYS, "conversation_id", "role", "speaker", "content", "metadata"}
_UTC = ZoneInfo("UTC")


@dataclass(slots=True)
class _Thread:
    """What is known of one conversation while its file is read."""

    next_position: int = 0
    last_moment: datetime | None = None
    last_from: str = "the file's own date"
    digests: dict[str, str] = field(default_factory=dict)


class MessageReader:
    """Reads the messages of one file. ``fallback`` is the moment of a message when nothing tells one."""

    def __init__(self, source: str, zone: ZoneInfo, fallback: datetime) -> None:
        self._source = source
        self._zone = zone
        self._fallback = fallback
        self._threads: dict[str, _Thread] = {}
        self._told: set[str] = set()

    def conversation(self, document: Mapping[str, Any], conversation_id: str, line: int | None) -> Iterator[Event]:
        """Give the messages of one conversation; an exact repeat gives nothing."""
        thread = self._thread(conversation_id)
        if thread.last_moment is None and (began := read_moment(document.get("created_at"), self._zone)) is not None:
            thread.last_moment, thread.last_from = began, "its conversation's beginning"
        items: list[Json] = []
        for item in document["messages"]:
            if isinstance(item, dict):
                items.append(item)
            else:
                yield self._no_message(item, line)
        if _is_mira(document, items):
            # The adapter of the live host reads them, so that a message captured live is the same message.
            for item, message in zip(items, convert(items, conversation_id), strict=True):
                yield from self._finish(item, message, thread, line, _UTC)
        else:
            for item in items:
                yield from self._finish(item, _record(item, conversation_id), thread, line, self._zone)

    def single(self, item: Json, conversation_id: str, line: int | None) -> Iterator[Event]:
        """Give the message of a record that stands alone."""
        yield from self._finish(item, _record(item, conversation_id), self._thread(conversation_id), line, self._zone)

    def _thread(self, conversation_id: str) -> _Thread:
        return self._threads.setdefault(conversation_id, _Thread())

    def _no_message(self, item: object, line: int | None) -> ImportProblem:
        return ImportProblem(self._source, line, f"a message is due here, not {type(item).__name__}.")

    def _finish(
        self, item: Json, message: IncomingMessage, thread: _Thread, line: int | None, zone: ZoneInfo
    ) -> Iterator[Event]:
        """Give the message its moment, place and id, unless this file gave the same one before."""
        notes: Json = {}
        digest = _digest(message)
        position = thread.next_position
        thread.next_position += 1
        if not read_role(item.get("role"))[2]:
            notes["role"] = read_text(item.get("role"))[:100] or "missing"
        came_from = thread.last_from
        said_at = self._moment(item, thread, zone, notes)
        yield from self._guesses(notes, line, f"{came_from}, {in_zone(said_at, self._zone):%Y-%m-%d %H:%M %Z}")
        given = next((found for key in _ID_KEYS if (found := read_id(item.get(key))) is not None), None)
        identity = f"derived-{position}-{digest[:16]}" if given is None else given
        if thread.digests.get(identity, digest) != digest:
            # Recall knows a message by its id for ever: a second text under one id needs an id of its own.
            identity = f"{identity}#{digest[:12]}"
            text = f"a second text under the id of another message is kept as {identity}."
            yield ImportProblem(self._source, line, text, remark=True)
        if identity in thread.digests:
            return
        thread.digests[identity] = digest
        metadata = clean_json({**message.metadata, **({"import": notes} if notes else {})})
        yield replace(message, external_id=identity, position=position, said_at=said_at, metadata=metadata)

    def _guesses(self, notes: Json, line: int | None, moment: str) -> Iterator[ImportProblem]:
        """Tell, once for each kind and file, that something had to be guessed; ``moment`` is the one that was taken."""
        for name, guess in (
            ("timestamp", f"it is filed under {moment}"),
            ("role", "it is taken as said"),
        ):
            if name in notes and name not in self._told:
                self._told.add(name)
                text = f"a message has no readable {name} ({notes[name]}): {guess}. Others of this file may too."
                yield ImportProblem(self._source, line, text, remark=True)

    def _moment(self, item: Json, thread: _Thread, zone: ZoneInfo, notes: Json) -> datetime:
        given = next((item[key] for key in _MOMENT_KEYS if item.get(key) is not None), None)
        moment = read_moment(given, zone)
        if moment is None:
            notes["timestamp"] = "missing" if given is None else f"unreadable: {read_text(given)[:100]}"
            moment = self._fallback if thread.last_moment is None else thread.last_moment
        else:
            thread.last_from = "the time of the one before it"
        thread.last_moment = moment
        return moment


def _record(item: Json, conversation_id: str) -> IncomingMessage:
    """Return a message of JSON Lines as it stands there; `_finish` gives it its moment and id."""
    role, origin, _known = read_role(item.get("role"))
    given = item.get("metadata")
    more = {key: value for key, value in item.items() if key not in _TAKEN and isinstance(value, str | int | float)}
    return IncomingMessage(
        conversation_id=conversation_id,
        external_id="",
        role=role,
        content=_text(item.get("content")),
        said_at=datetime.now(_UTC),
        origin=origin,
        speaker=read_text(item.get("speaker")) or None,
        metadata={**more, **(given if isinstance(given, dict) else {})},
    )


def _text(content: object) -> str:
    """Content as text: a list holds blocks as model APIs know them."""
    if isinstance(content, list):
        return convert([{"role": "user", "content": content}], "")[0].content
    return read_text(content)


def _is_mira(document: Mapping[str, Any], items: list[Json]) -> bool:
    """Whether MIRA saved the conversation: it calls the moment of a message ``created_at``."""
    saved = "system_prompt" in document or any("created_at" in item for item in items)
    return saved and not any("timestamp" in item for item in items)


def _digest(message: IncomingMessage) -> str:
    return hashlib.sha256(f"{message.role}\n{message.content}".encode("utf-8", "surrogatepass")).hexdigest()
