"""Reads conversations from files: MIRA's ``conversation_<id>.json``, and JSON Lines in two layouts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from mira_ltmemory.hosts.importers.files import (
    BAD_BYTES,
    READ_ERRORS,
    find_files,
    is_lines,
    numbered_lines,
    open_text,
    reason,
)
from mira_ltmemory.hosts.importers.messages import Event, MessageReader
from mira_ltmemory.hosts.importers.records import ImportProblem
from mira_ltmemory.hosts.importers.values import read_id
from mira_ltmemory.protocols import IncomingMessage

JSON_ERRORS = (ValueError, RecursionError)
"""What parsing may raise; a number of thousands of digits is a plain ``ValueError``."""

_DECODER = json.JSONDecoder(strict=False)
_MESSAGES = re.compile(r'"messages"\s*:\s*\[')
_SEPARATOR = re.compile(r"[\s,]*")
_CONVERSATION_ID = re.compile(r'"conversation_id"\s*:\s*"([^"\\]+)"')


def read_conversations(path: Path, zone: ZoneInfo | None = None) -> Iterator[Event]:
    """Give every message of a file, or of all files below a directory, and the problems, as they come.

    Moments without a zone are read in ``zone`` (UTC where none is given). Raises nothing: a file or line
    that cannot be read is a problem with its name and line, and the rest is given.
    """
    for found in find_files(path):
        if isinstance(found, ImportProblem):
            yield found
        else:
            yield from read_file(found, zone)


def read_file(path: Path, zone: ZoneInfo | None = None) -> Iterator[Event]:
    """Give every message of one file, and its problems."""
    try:
        written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        reader = _FileReader(path, MessageReader(str(path), zone or ZoneInfo("UTC"), written))
        yield from reader.events()
    except READ_ERRORS as error:
        yield ImportProblem(str(path), None, f"cannot be read to its end: {reason(error)}.")


class _FileReader:
    """One file on its way to messages."""

    def __init__(self, path: Path, messages: MessageReader) -> None:
        self._path = path
        self._messages = messages
        self._told_of_name = False
        self._foreign: list[ImportProblem] = []

    def events(self) -> Iterator[Event]:
        """Give everything in the file; one that holds no message at all is one remark, not a problem a line."""
        found = False
        for event in self.lines() if is_lines(self._path) else self.document():
            found = found or isinstance(event, IncomingMessage)
            if found:
                yield from self._foreign
                self._foreign.clear()
            yield event
        if found:
            yield from self._foreign
        elif self._foreign:
            yield self._problem(None, "holds no conversation and was left out.", remark=True)

    def lines(self) -> Iterator[Event]:
        """JSON Lines: a conversation or a message a line."""
        number = 0
        try:
            with open_text(self._path) as text:
                for number, line in numbered_lines(text):
                    yield from self._line(number, line)
        except READ_ERRORS as error:
            yield self._problem(number + 1, f"cannot be read from here on: {reason(error)}.")

    def document(self) -> Iterator[Event]:
        """One JSON document: a conversation, or a list of conversations or messages."""
        with open_text(self._path) as opened:
            text = opened.read()
        yield from self._bad_bytes(text, None)
        try:
            document = _DECODER.decode(text)
        except JSON_ERRORS as error:
            yield from self._corrupt(text, error)
            return
        if isinstance(document, list):
            for item in document:
                yield from self._entry(item, None)
        elif isinstance(document, dict) and _is_conversation(document):
            yield from self._conversation(document, None)
        else:
            self._foreign.append(self._problem(None, "is no conversation."))

    def _line(self, number: int, line: str) -> Iterator[Event]:
        yield from self._bad_bytes(line, number)
        try:
            entry = _DECODER.decode(line)
        except JSON_ERRORS as error:
            yield self._problem(number, f"is no JSON: {_short(error)}.")
            return
        yield from self._entry(entry, number)

    def _entry(self, entry: Any, line: int | None) -> Iterator[Event]:
        if isinstance(entry, dict) and _is_conversation(entry):
            yield from self._conversation(entry, line)
        elif isinstance(entry, dict) and "content" in entry:
            conversation_id = read_id(entry.get("conversation_id"))
            if conversation_id is None and not self._told_of_name:
                self._told_of_name = True
                text = f"names no conversation: its messages are filed under {self._name()}."
                yield self._problem(line, text, remark=True)
            yield from self._messages.single(entry, conversation_id or self._name(), line)
        else:
            text = "is neither a conversation nor a message: it has no messages and no content."
            self._foreign.append(self._problem(line, text))

    def _conversation(self, document: Mapping[str, Any], line: int | None) -> Iterator[Event]:
        conversation_id = read_id(document.get("conversation_id")) or read_id(document.get("id")) or self._name()
        yield from self._messages.conversation(document, conversation_id, line)

    def _corrupt(self, text: str, error: Exception) -> Iterator[Event]:
        """Give what a damaged document still holds: lines that are whole, or the messages before the damage."""
        first = text.lstrip("\ufeff").lstrip().split("\n", 1)[0]
        if _is_object(first):
            for number, line in enumerate(text.split("\n"), 1):
                if line.strip():
                    yield from self._line(number, line)
            return
        found = _CONVERSATION_ID.search(text)
        items = list(_whole_messages(text))
        # "created_at" of a conversation stands behind its messages, where the damage may have taken it.
        document = {"messages": items, "conversation_id": found.group(1) if found else None}
        yield from self._conversation(document, None)
        place = error.lineno if isinstance(error, json.JSONDecodeError) else None
        rest = f" The {len(items)} messages before it were read." if items else ""
        yield self._problem(place, f"is damaged: {_short(error)}.{rest}")

    def _bad_bytes(self, text: str, line: int | None) -> Iterator[Event]:
        found = BAD_BYTES.search(text)
        if found is not None:
            at = line or text.count("\n", 0, found.start()) + 1
            yield self._problem(at, "holds bytes that are no UTF-8; they are kept as escapes.", remark=True)

    def _name(self) -> str:
        """Return the id that a file's name gives its conversation."""
        stem = self._path.name.removesuffix(".gz").rsplit(".", 1)[0]
        return stem.removeprefix("conversation_") or self._path.name

    def _problem(self, line: int | None, text: str, *, remark: bool = False) -> ImportProblem:
        return ImportProblem(str(self._path), line, text, remark)


def _is_conversation(document: Mapping[str, Any]) -> bool:
    return isinstance(document.get("messages"), list)


def _is_object(text: str) -> bool:
    try:
        return isinstance(_DECODER.decode(text), dict)
    except JSON_ERRORS:
        return False


def _whole_messages(text: str) -> Iterator[Any]:
    """Give the items of the list of messages up to the first that is damaged."""
    found = _MESSAGES.search(text)
    at = found.end() if found else len(text)
    while True:
        gap = _SEPARATOR.match(text, at)
        at = gap.end() if gap else at
        if at >= len(text) or text[at] != "{":
            return
        try:
            item, at = _DECODER.raw_decode(text, at)
        except JSON_ERRORS:
            return
        yield item


def _short(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at column {error.colno}"
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)[:200].rstrip(".")
