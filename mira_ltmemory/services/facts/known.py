"""The memories that a model is shown beside a window: those nearest to what was said in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest
from typing import Protocol
from uuid import UUID

from mira_ltmemory.protocols import Category, Filter, Origin, Role, SearchResult
from mira_ltmemory.services.batch.window import WindowMessage
from mira_ltmemory.services.text import parts_of, word_count
from mira_ltmemory.store.unit_of_work import Store

NEAREST = 8
SHOWN = 20
MEMORY_CHARS = 600
"""What is shown of a memory."""

FEW_QUERIES = 4
"""Where people said less, the assistant's words are looked for as well."""

QUERY_CHARS = 1_000
MOST_PARTS = 24
BEFORE_CHARS = 200
SHORT_WORDS = 4
_CATEGORIES = (Category.NOTE, Category.FACT)


class Memories(Protocol):
    """Where the nearest memories are looked for."""

    def search(self, query: str, filter: Filter | None = None, limit: int | None = None) -> SearchResult:
        """Find passages."""
        ...


@dataclass(frozen=True, slots=True)
class Known:
    """A memory that the model was shown, at the version that it was shown."""

    ref: str
    id: UUID
    version: int
    content: str
    said_at: datetime
    valid_from: datetime | None
    origin: Origin

    @property
    def shown_whole(self) -> bool:
        """Whether the model saw all of it."""
        return len(self.content) <= MEMORY_CHARS


def nearest(store: Store, memories: Memories, said: Sequence[WindowMessage]) -> list[Known]:
    """The present memories nearest to what was said: the first of each query, then the second, each once."""
    filter = Filter(categories=_CATEGORIES)
    hits = [[hit.id for hit in memories.search(query, filter, NEAREST).hits] for query in queries(said)]
    ids = list(dict.fromkeys(id for rank in zip_longest(*hits) for id in rank if id is not None))
    with store.read() as unit:
        rows = [row for id in ids[:SHOWN] if (row := unit.passages.get(id)) is not None]
    return [
        Known(f"a{number}", row.id, row.version, row.content, row.said_at, row.valid_from, Origin(row.origin))
        for number, row in enumerate(rows, 1)
    ]


def queries(said: Sequence[WindowMessage]) -> list[str]:
    """What to look for: all that people said, message by message, and of the assistant's words as much as makes a few.

    What is too short to be about anything ("in Porto") is read with the end of what was said before it.
    """
    people: list[str] = []
    assistant: list[str] = []
    for before, message in zip([None, *said], said, strict=False):
        text = message.content
        if before is not None and word_count(text) < SHORT_WORDS:
            text = f"{before.content[-BEFORE_CHARS:]}\n{text}"
        (people if message.role is Role.USER else assistant).extend(parts_of(text, QUERY_CHARS, MOST_PARTS))
    return list(dict.fromkeys([*people, *assistant[: max(0, FEW_QUERIES - len(people))]]))
