"""Reads conversations from files: MIRA's ``conversation_<id>.json``, exports of ChatGPT and Claude, and JSON Lines."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from mira_ltmemory.hosts.importers.arrays import CHUNK, MAX_ITEM, Item, array_items
from mira_ltmemory.hosts.importers.exports import read_export
from mira_ltmemory.hosts.importers.files import (
    BAD_BYTES,
    READ_ERRORS,
    Source,
    find_files,
    is_lines,
    numbered_lines,
    open_source,
    reason,
    sources,
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


def read_conversations(path: Path, zone: ZoneInfo | None = None, *, all_branches: bool = False) -> Iterator[Event]:
    """Give every message of a file, or of all files below a directory, and the problems, as they come.

    Moments without a zone are read in ``zone`` (UTC where none is given). Of exports that keep given-up branches only
    the one that the conversation ended on is given, unless ``all_branches``. Raises nothing: a file, entry or line
    that cannot be read is a problem with its name and line, and the rest is given.
    """
    for found in find_files(path):
        if isinstance(found, ImportProblem):
            yield found
        else:
            yield from read_file(found, zone, all_branches=all_branches)


def read_file(
    path: Path,
    zone: ZoneInfo | None = None,
    *,
    all_branches: bool = False,
    at: Callable[[float], None] = lambda share: None,
) -> Iterator[Event]:
    """Give every message of one file or archive, and its problems; ``at`` hears what share of it was read."""
    try:
        written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        with sources(path) as every:
            found = False
            for source in every:
                found = True
                messages = MessageReader(source.name, zone or ZoneInfo("UTC"), written)
                yield from _FileReader(source, messages, all_branches, at).events()
            if not found:
                yield ImportProblem(str(path), None, "holds no file of conversations and was left out.", remark=True)
    except READ_ERRORS as error:
        yield ImportProblem(str(path), None, f"cannot be read to its end: {reason(error)}.")


class _FileReader:
    """One file on its way to messages."""

    def __init__(
        self, source: Source, messages: MessageReader, all_branches: bool, at: Callable[[float], None]
    ) -> None:
        self._source = source
        self._messages = messages
        self._all_branches = all_branches
        self._at = at
        self._told_of_name = False
        self._foreign: list[ImportProblem] = []
        self._left_out: Counter[str] = Counter()

    def events(self) -> Iterator[Event]:
        """Give everything in the file; one that holds no message at all is one remark, not a problem a line."""
        found = False
        for event in self.lines() if is_lines(self._source.file_name) else self.document():
            found = found or isinstance(event, IncomingMessage)
            if found:
                yield from self._foreign
                self._foreign.clear()
            yield event
        for what, number in self._left_out.items():
            yield self._problem(None, f"{number} {what} were left out.", remark=True)
        if found:
            yield from self._foreign
        elif self._foreign:
            yield self._problem(None, "holds no conversation and was left out.", remark=True)

    def lines(self) -> Iterator[Event]:
        """JSON Lines: a conversation or a message a line."""
        number = 0
        try:
            with open_source(self._source) as text:
                for number, line in numbered_lines(text):
                    yield from self._line(number, line)
        except READ_ERRORS as error:
            yield self._problem(number + 1, f"cannot be read from here on: {reason(error)}.")

    def document(self) -> Iterator[Event]:
        """One JSON document: a conversation, or a list of conversations or messages, which is read item by item."""
        with open_source(self._source) as opened:
            text = opened.read(CHUNK)
            if text.lstrip("\ufeff \t\r\n").startswith("["):
                for item in array_items(text, opened):
                    yield from self._item(item)
                return
            text += opened.read(MAX_ITEM)
            if opened.read(1):
                yield self._problem(
                    None, f"is one document of more than {MAX_ITEM >> 20} million characters: too large."
                )
                return
        yield from self._bad_bytes(text, None)
        try:
            document = _DECODER.decode(text)
        except JSON_ERRORS as error:
            yield from self._corrupt(text, error)
            return
        if isinstance(document, dict) and isinstance(document.get("conversations"), list):
            for entry in document["conversations"]:
                yield from self._entry(entry, None)
        elif isinstance(document, dict) and (_is_conversation(document) or read_export(document)):
            yield from self._entry(document, None)
        else:
            self._foreign.append(self._problem(None, "is no conversation."))

    def _item(self, item: Item) -> Iterator[Event]:
        """Give what one item of an array holds; one that is damaged harms no other."""
        yield from self._bad_bytes(item.text, item.line)
        alone = item.text[0] in "[{"  # else it is all that stands between two of those
        try:
            entries = _DECODER.decode(item.text if alone else f"[{item.text}]")
        except JSON_ERRORS as error:
            yield from self._corrupt(item.text, error, item.line, f"has an entry, number {item.number}, that ")
        else:
            for entry in [entries] if alone else entries:
                yield from self._entry(entry, item.line)
        self._at(self._source.share())

    def _line(self, number: int, line: str) -> Iterator[Event]:
        yield from self._bad_bytes(line, number)
        try:
            entry = _DECODER.decode(line)
        except JSON_ERRORS as error:
            yield self._problem(number, f"is no JSON: {_short(error)}.")
            return
        yield from self._entry(entry, number)

    def _entry(self, entry: Any, line: int | None) -> Iterator[Event]:
        export = read_export(entry, all_branches=self._all_branches) if isinstance(entry, dict) else None
        if export is not None:
            self._left_out += export.left_out
            yield from self._conversation(export.document, line)
        elif isinstance(entry, dict) and _is_conversation(entry):
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

    def _corrupt(self, text: str, error: Exception, line: int = 1, what: str = "") -> Iterator[Event]:
        """Give what a damaged document still holds: lines that are whole, or the messages before the damage."""
        first = text.lstrip("\ufeff").lstrip().split("\n", 1)[0]
        if _is_object(first):
            for number, one in enumerate(text.split("\n"), line):
                if one.strip():
                    yield from self._line(number, one)
            return
        found = _CONVERSATION_ID.search(text)
        items = list(_whole_messages(text))
        # "created_at" of a conversation stands behind its messages, where the damage may have taken it.
        document = {"messages": items, "conversation_id": found.group(1) if found else None}
        yield from self._conversation(document, None)
        place = line + error.lineno - 1 if isinstance(error, json.JSONDecodeError) else line
        rest = f" The {len(items)} messages before it were read." if items else ""
        yield self._problem(place, f"{what}is damaged: {_short(error)}.{rest}")

    def _bad_bytes(self, text: str, line: int | None) -> Iterator[Event]:
        found = BAD_BYTES.search(text)
        if found is not None:
            at = line or text.count("\n", 0, found.start()) + 1
            yield self._problem(at, "holds bytes that are no UTF-8; they are kept as escapes.", remark=True)

    def _name(self) -> str:
        """Return the id that a file's name gives its conversation."""
        stem = self._source.file_name.removesuffix(".gz").rsplit(".", 1)[0]
        return stem.removeprefix("conversation_") or self._source.file_name

    def _problem(self, line: int | None, text: str, *, remark: bool = False) -> ImportProblem:
        return ImportProblem(self._source.name, line, text, remark)


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
