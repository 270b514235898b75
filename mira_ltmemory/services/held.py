"""Edits of the model that wait for a person. They live in this process alone and end with it."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from mira_ltmemory.errors import InvalidArgument

_KEPT = 100
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class HeldEdit:
    """An edit that waits. ``before`` and ``after`` are the block's text as it would have changed.

    ``sources`` are the ids of the tool or web messages, and passages made from such, whose text
    it repeats.
    """

    id: int
    operation: str
    label: str
    tool: str | None
    before: str
    after: str
    sources: tuple[str, ...]
    held_at: datetime


class HeldEdits(Generic[T]):
    """The newest 100 edits that wait, each with what carries it out. May be used from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, tuple[HeldEdit, T]] = {}

    def hold(self, make: Callable[[int], HeldEdit], work: T) -> int:
        """Keep an edit and return its number; the oldest falls out where there are more than 100."""
        with self._lock:
            number = next(self._numbers)
            self._waiting[number] = (make(number), work)
            while len(self._waiting) > _KEPT:
                del self._waiting[min(self._waiting)]
            return number

    def all(self) -> list[HeldEdit]:
        """What waits, oldest first."""
        with self._lock:
            return [held for held, _ in self._waiting.values()]

    def take(self, number: int) -> tuple[HeldEdit, T]:
        """Take out an edit. Raises ``InvalidArgument`` with the numbers that wait."""
        with self._lock:
            if number not in self._waiting:
                waiting = ", ".join(map(str, self._waiting)) or "none"
                raise InvalidArgument(f"No held edit has the number {str(number)[:40]}. Waiting: {waiting}.")
            return self._waiting.pop(number)

    def drop(self, unwanted: Callable[[HeldEdit], bool]) -> int:
        """Drop every edit that is unwanted; tell how many."""
        with self._lock:
            gone = [number for number, (held, _) in self._waiting.items() if unwanted(held)]
            for number in gone:
                del self._waiting[number]
            return len(gone)

    def put_back(self, held: HeldEdit, work: T) -> None:
        """Let an edit that could not be carried out wait on."""
        with self._lock:
            self._waiting[held.id] = (held, work)
