"""Reads a JSON array item by item, so that an export of any size takes the memory of its largest conversation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TextIO

CHUNK = 1 << 20
MAX_ITEM = 256 << 20
"""Characters of one item at most; a damaged file can look like a single endless one."""

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]|"', re.DOTALL)
_GAP = " \t\r\n,"


@dataclass(frozen=True, slots=True)
class Item:
    """The text of one item, the line on which it begins, and its number from 1."""

    text: str
    line: int
    number: int


def array_items(opening: str, rest: TextIO) -> Iterator[Item]:
    """Give the items of an array that begins with ``opening`` and goes on in ``rest``, none of them parsed.

    What stands between the items and behind the array is an item too. Raises what reading ``rest`` raises.
    """
    yield from _Scanner(opening, rest).items()


class _Scanner:
    def __init__(self, opening: str, rest: TextIO) -> None:
        self._text = opening
        self._rest = rest
        self._line = 1
        self._number = 0
        self._start = 0  # of what has not been given yet
        self._ended = False

    def items(self) -> Iterator[Item]:
        depth, at = 0, 0
        while True:
            found = _TOKEN.search(self._text, at)
            # A lone quote begins a string whose end is not read yet.
            if found is None or found.group() == '"':
                at = found.start() if found else len(self._text)
                if self._ended or len(self._text) > MAX_ITEM:
                    break
                at -= self._read()
                continue
            at = found.end()
            mark = found.group()
            if mark in "[{":
                if depth == 1:
                    yield from self._give(found.start())
                depth += 1
                if depth == 1:
                    self._start = at
            elif mark in "]}":
                depth -= 1
                if depth == 1:
                    yield from self._give(at)
                elif depth <= 0:
                    yield from self._give(found.start())
                    self._start = at
                    yield from self._behind()
                    return
        yield from self._give(len(self._text))

    def _read(self) -> int:
        """Drop what was given, read on, and return by how much the text moved; twice as much of a long item."""
        moved = self._start
        self._line += self._text.count("\n", 0, moved)
        kept = self._text[moved:]
        more = self._rest.read(max(CHUNK, len(kept)))
        self._ended = not more
        self._text = kept + more
        self._start = 0
        return moved

    def _give(self, end: int) -> Iterator[Item]:
        text = self._text[self._start : end]
        begins = self._start + len(text) - len(text.lstrip(_GAP))
        self._start = end
        if text := text.strip(_GAP):
            self._number += 1
            yield Item(text, self._line + self._text.count("\n", 0, begins), self._number)

    def _behind(self) -> Iterator[Item]:
        """Give the beginning of what stands behind the array."""
        self._read()
        yield from self._give(min(len(self._text), CHUNK))
