"""Rows that the prompt is made from: where shown passages come from, and what was found out about the user lately."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from mira_ltmemory.protocols import Kind
from mira_ltmemory.store.rows import Rows
from mira_ltmemory.store.words import KIND_NUMBERS

_SOURCES = """
SELECT s.row_id AS id, m.id AS message, m.said_at FROM ltmemory.sources s
JOIN ltmemory.messages m ON m.user_id = s.user_id AND m.id = s.source_id
WHERE s.user_id = :user_id AND s.kind = 'passage' AND s.source_kind = 'message'
    AND s.row_id = ANY(CAST(:ids AS uuid[]))
ORDER BY m.said_at, m.id
"""

# The index on insights alone answers this: among a million passages a few are.
_INSIGHTS = """
SELECT id, content, said_at, valid_from, metadata FROM ltmemory.passages
WHERE user_id = :user_id AND category = 'insight' AND valid_until IS NULL
ORDER BY said_at DESC, id LIMIT :limit
"""


@dataclass(frozen=True, slots=True)
class SourceMessage:
    """A message that a passage came from."""

    id: UUID
    said_at: datetime


@dataclass(frozen=True, slots=True)
class InsightRow:
    """An insight that holds: ``evidence`` is how many messages stand behind it, where noted; ``of_passages``: facts."""

    id: UUID
    content: str
    found_at: datetime
    since: datetime | None
    evidence: int | None
    of_passages: bool = False


class ContextRows(Rows):
    """What the prompt needs to know of the user's passages."""

    def messages_behind(self, passages: Sequence[UUID]) -> dict[UUID, list[SourceMessage]]:
        """The messages that passages came from directly, oldest first; passages without any are left out."""
        found: dict[UUID, list[SourceMessage]] = {}
        if passages:
            for row in self.execute(_SOURCES, ids=list(passages)):
                found.setdefault(row.id, []).append(SourceMessage(row.message, row.said_at))
        return found

    def kinds(self) -> list[Kind]:
        """The kinds of rows of which any can be found."""
        rows = self.execute("SELECT kind FROM ltmemory.word_totals WHERE user_id = :user_id AND documents > 0")
        there = {row.kind for row in rows}
        return [kind for kind, number in KIND_NUMBERS.items() if number in there]

    def insights(self, limit: int) -> list[InsightRow]:
        """The newest insights that hold, newest first."""
        rows = self.execute(_INSIGHTS, limit=limit)
        return [
            InsightRow(
                row.id, row.content, row.said_at, row.valid_from, row.metadata.get("evidence_count"),
                bool(row.metadata.get("of_passages")),
            )
            for row in rows
        ]  # fmt: skip
