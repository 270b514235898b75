"""Looks for a text everywhere: which rows, columns and places of a user hold it. Derived from the catalog alone."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import regex

from mira_ltmemory.protocols import Json
from mira_ltmemory.store.analysis import DENSE
from mira_ltmemory.store.models import SCHEMA
from mira_ltmemory.store.rows import Rows

MIN_COPY_CHARS = 12
"""A shorter text that was erased by its id is not looked for elsewhere: "ok" stands everywhere."""

OWN_KEYS = ("change_sets", "metadata")
"""The column whose keys are words of this program; everywhere else a key may be the user's."""

_FETCHED = 1_000
_MIN_BINARY_BYTES = 6
"""A shorter text would be found in packed numbers by chance."""

_WORD = r"\p{L}\p{N}\p{M}"
_MARK = regex.compile(r"\[erased(?: [0-9a-f-]{36})?\]")
_INVISIBLE = regex.compile(r"\p{Cf}")
_LETTER = regex.compile(rf"[{_WORD}]")

_COLUMNS = """
SELECT c.relname AS table, a.attname AS column, format_type(a.atttypid, NULL) AS type,
    EXISTS (SELECT FROM pg_attribute u WHERE u.attrelid = c.oid AND u.attname = 'user_id') AS own,
    coalesce(a.attnum = ANY(i.indkey), false) AS key
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
WHERE c.relnamespace = CAST(:schema AS regnamespace) AND c.relkind IN ('r', 'p')
ORDER BY c.relname, a.attnum
"""


def folded(text: str) -> str:
    """A text without what makes no other letter of it: case, width, composition, invisible characters."""
    if text.isascii():
        return text.lower()
    flat = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).casefold()
    return unicodedata.normalize("NFKC", flat)


def has_letters(text: str) -> bool:
    """Whether a text holds anything that can be looked for as a word."""
    return _LETTER.search(folded(text)) is not None


class Needle:
    """What is looked for: a subject as whole words, in any case, or whole texts as they were.

    Letters of scripts without spaces need no border. Words of the subject may stand apart by blanks, ``-`` or ``_``.
    """

    def __init__(self, *, subject: str | None = None, texts: Collection[str] = ()) -> None:
        self.subject = subject
        words = [word for word in regex.split(r"[\s_\-]+", folded(subject or "")) if word]
        self._span = len(words)
        self._first = words[0] if words else ""
        self._pattern = regex.compile(_pattern(words), regex.VERSION1) if words else None
        long = {flat for text in texts if len(flat := folded(text).strip()) >= MIN_COPY_CHARS}
        self._texts = tuple(sorted(long, key=len))

    def holds(self, text: str) -> bool:
        """Whether it stands in a text."""
        flat = folded(text)
        if self._pattern is not None:
            return self._first in flat and self._pattern.search(flat) is not None
        return any(part in flat for part in self._texts if len(part) <= len(flat))

    def lines(self, text: str) -> list[int]:
        """Numbers, from 1, of the lines that hold it, those that hold it only together included."""
        if not self.holds(text):
            return []
        lines = text.split("\n")
        found = {number for number, line in enumerate(lines) if self.holds(line)}
        longest = self._span if self._pattern is not None else max(part.count("\n") + 1 for part in self._texts)
        for size in range(2, longest + 1):
            for start in range(len(lines) - size + 1):
                window = range(start, start + size)
                if not found.intersection(window) and self.holds("\n".join(lines[start : start + size])):
                    found.update(window)
        # What stands over more blank lines than the subject has words goes as a whole.
        return [number + 1 for number in sorted(found or range(len(lines)))]

    def binary(self) -> list[bytes]:
        """How the subject would stand in bytes, in its usual spellings; nothing where it is too short to tell."""
        if self.subject is None:
            return []
        word = self.subject.strip()
        spellings = {word, word.lower(), word.upper(), word.title(), folded(word)}
        return sorted(raw for spelling in spellings if len(raw := spelling.encode()) >= _MIN_BINARY_BYTES)


def _pattern(words: Sequence[str]) -> str:
    body = r"[\s_\-]+".join(map(regex.escape, words))
    before = rf"(?<![[{_WORD}]--[{DENSE}]])" if regex.match(rf"[[{_WORD}]--[{DENSE}]]", words[0], regex.V1) else ""
    after = rf"(?![[{_WORD}]--[{DENSE}]])" if regex.search(rf"[[{_WORD}]--[{DENSE}]]\Z", words[-1], regex.V1) else ""
    return before + body + after


@dataclass(frozen=True, slots=True)
class Place:
    """A value that holds the text: its table, the row's key without the user, and the column."""

    table: str
    key: Mapping[str, Any]
    column: str
    value: Any

    @property
    def live_table(self) -> str:
        """The table whose rows these are, be they present or earlier versions."""
        return self.table.removesuffix("_versions")

    @property
    def name(self) -> str:
        """Table and column, for people."""
        return f"{self.table}.{self.column}"


@dataclass(slots=True)
class Table:
    """The columns of a table that can hold text, and those of its key."""

    name: str
    own: bool
    key: list[str] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    binary: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)


class ScanRows(Rows):
    """Every value that the user has in the schema, whichever table a migration put it in."""

    def tables(self) -> list[Table]:
        """Every table of the schema, from the catalog."""
        found: dict[str, Table] = {}
        for row in self.execute(_COLUMNS, schema=SCHEMA):
            table = found.setdefault(row.table, Table(row.table, row.own))
            if row.key and row.column != "user_id":
                table.key.append(row.column)
            if row.type == "bytea":
                table.binary.append(row.column)
            elif row.type == "uuid" and row.column != "user_id":
                table.ids.append(row.column)
            elif _readable(row.type):
                table.texts[row.column] = row.type
        return list(found.values())

    def places(self, needle: Needle, chosen: Callable[[str], bool] = lambda _table: True) -> Iterator[Place]:
        """Every value that holds the text, in the tables that are chosen by their name."""
        for table in self.tables():
            if chosen(table.name):
                yield from self._in_texts(table, needle)
                yield from self._in_bytes(table, needle)

    def columns(self) -> int:
        """How many columns a scan reads."""
        return sum(len(table.texts) + len(table.binary) for table in self.tables())

    def mentions(self, ids: Sequence[UUID], beside: Collection[str]) -> dict[str, int]:
        """Where one of these ids still stands, rows by column; tables named in ``beside`` are left out."""
        left: dict[str, int] = {}
        for table in self.tables():
            for column in table.ids if table.own and table.name not in beside else ():
                counted = self.execute(
                    f'SELECT count(*) FROM {SCHEMA}."{table.name}" '
                    f'WHERE user_id = :user_id AND "{column}" = ANY(CAST(:ids AS uuid[]))',
                    ids=list(ids),
                ).scalar_one()
                if counted:
                    left[f"{table.name}.{column}"] = int(counted)
        return left

    def _in_texts(self, table: Table, needle: Needle) -> Iterator[Place]:
        if not table.texts:
            return
        rows = self._read(table, list(dict.fromkeys([*table.key, *table.texts])), "true")
        for row in rows:
            values = row._mapping
            for column in table.texts:
                ours = (table.name, column) == OWN_KEYS
                if any(needle.holds(text) for text in texts_of(values[column], keys=not ours)):
                    yield Place(table.name, {name: values[name] for name in table.key}, column, values[column])

    def _in_bytes(self, table: Table, needle: Needle) -> Iterator[Place]:
        for column in table.binary:
            for raw in needle.binary():
                for row in self._read(table, table.key, f'position(:raw in "{column}") > 0', raw=raw):
                    yield Place(table.name, dict(row._mapping), column, raw)

    def _read(self, table: Table, columns: Sequence[str], where: str, **parameters: Any) -> Iterator[Any]:
        names = ", ".join(f'"{name}"' for name in columns)
        own = "user_id = :user_id AND " if table.own else ""
        statement = f'SELECT {names} FROM {SCHEMA}."{table.name}" WHERE {own}{where}'
        streamed = self.stream(statement, _FETCHED, **parameters)
        yield from streamed


def texts_of(value: Any, *, keys: bool = True) -> Iterator[str]:
    """Every text in a value: numbers of a JSON value count, and its keys."""
    for _, text, key in leaves(value):
        if (keys or not key) and not _MARK.fullmatch(text):
            yield text


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str, bool]]:
    """Path, text, and whether it is a key, of everything readable in a value."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield (*path, str(key)), str(key), True
            yield from leaves(inner, (*path, str(key)))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from leaves(inner, (*path, str(index)))
    elif value is not None and not isinstance(value, bool):
        yield path, str(value), False


def what_goes(place: Place, needle: Needle) -> Json:
    """What of a value has to go, as ``erase_in_place`` reads it. Lines go only of a block's content."""
    if isinstance(place.value, str) and place.live_table == "blocks" and place.column == "content":
        return {"lines": needle.lines(place.value)}
    found = [(path, key) for path, text, key in leaves(place.value) if needle.holds(text)]
    if isinstance(place.value, list) and all(len(path) == 1 and not key for path, key in found):
        items = [int(path[0]) for path, _ in found]
        return {"items": [item + 1 for item in items], "paths": [list(path) for path, _ in found], "keys": []}
    ours = (place.table, place.column) == OWN_KEYS
    return {
        "paths": [list(path) for path, key in found if not key],
        "keys": [list(path) for path, key in sorted(found, key=lambda item: -len(item[0])) if key and not ours],
    }


def _readable(type_name: str) -> bool:
    base = type_name.removesuffix("[]")
    return base.startswith(("text", "character", "json", "name", "citext", "xml", "tsvector", '"char"'))
