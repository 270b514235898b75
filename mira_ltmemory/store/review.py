"""Rows of the weekly review: what the user said, what was noticed of it before, and the reports."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from mira_ltmemory.protocols import Json, Kind
from mira_ltmemory.store.rows import Rows

_SAID = """
SELECT id, conversation_id, said_at, left(content, :chars) AS content FROM ltmemory.messages
WHERE user_id = :user_id AND said_at >= :since AND role = 'user' AND origin IN ('user', 'import')
ORDER BY said_at DESC, id LIMIT :limit
"""

_CHANGED = """
SELECT o.id AS old_id, o.content AS old, o.said_at AS old_said, o.valid_from AS old_from, o.valid_until AS ended,
    n.id AS new_id, n.content AS new
FROM ltmemory.passages o
JOIN ltmemory.passages n ON n.user_id = o.user_id AND CAST(n.id AS text) = o.metadata ->> 'superseded_by'
WHERE o.user_id = :user_id AND o.valid_until >= :since AND o.valid_until <= :now AND o.category = 'fact'
    AND o.origin = 'user' AND n.origin = 'user' AND (n.valid_until IS NULL OR n.valid_until > :now)
    AND (n.valid_from IS NULL OR n.valid_from <= :now)
ORDER BY o.valid_until DESC, o.id LIMIT :limit
"""

_INSIGHTS = """
SELECT id, content, valid_until, metadata FROM ltmemory.passages
WHERE user_id = :user_id AND category = 'insight' AND metadata ? 'pattern' ORDER BY said_at, id
"""

# Of each insight the last version that was replaced, where an undo replaced it: what a person took back.
_UNDONE = """
SELECT l.id, l.content, l.valid_until, l.metadata FROM (
    SELECT DISTINCT ON (v.id) v.id, v.content, v.valid_until, v.metadata, v.ended_by FROM ltmemory.passages_versions v
    WHERE v.user_id = :user_id AND v.category = 'insight' AND v.metadata ? 'pattern'
    ORDER BY v.id, v.ended_by DESC
) l
JOIN ltmemory.change_sets c ON c.user_id = :user_id AND c.id = l.ended_by AND c.undoes IS NOT NULL ORDER BY l.id
"""

_REWRITE = """
UPDATE ltmemory.passages SET content = :content, content_hash = :hash, valid_from = :since, valid_until = NULL,
    said_at = :now, tier = 'hot', metadata = CAST(:metadata AS jsonb)
WHERE user_id = :user_id AND id = :id
"""

_REPORTS = """
SELECT id, parent_id, created_at, metadata -> 'review' AS review FROM ltmemory.change_sets
WHERE user_id = :user_id AND metadata ? 'review' AND (CAST(:run AS bigint) IS NULL OR parent_id = :run)
ORDER BY id DESC LIMIT :limit
"""

_CHILDREN = """
SELECT id, actor, tool, reason FROM ltmemory.change_sets WHERE user_id = :user_id AND parent_id = :run
    AND id > :run ORDER BY id
"""


@dataclass(frozen=True, slots=True)
class SaidRow:
    """A message of the user."""

    id: UUID
    conversation_id: UUID
    said_at: datetime
    content: str


@dataclass(frozen=True, slots=True)
class ChangedFact:
    """A fact that was superseded, and the one that holds in its place."""

    old_id: UUID
    old: str
    since: datetime
    ended: datetime
    new_id: UUID
    new: str


@dataclass(frozen=True, slots=True)
class NoticedRow:
    """An insight that was mined, in force or ended. ``note`` says from which pattern."""

    id: UUID
    content: str
    ended: bool
    note: Json


@dataclass(frozen=True, slots=True)
class ReportRow:
    """The report of a review: ``run`` is the change set that all of it belongs to."""

    run: int
    at: datetime
    review: Json


class ReviewRows(Rows):
    """What the weekly review reads and keeps."""

    def said(self, since: datetime, *, limit: int, chars: int) -> list[SaidRow]:
        """What the user said since then, at most ``limit`` of the newest messages, each up to ``chars`` characters."""
        rows = self.execute(_SAID, since=since, limit=limit, chars=chars)
        return [SaidRow(row.id, row.conversation_id, row.said_at, row.content) for row in rows]

    def changed_facts(self, since: datetime, now: datetime, *, limit: int) -> list[ChangedFact]:
        """Facts of the user's own words that were superseded since then and until now, the newest change first."""
        rows = self.execute(_CHANGED, since=since, now=now, limit=limit)
        return [
            ChangedFact(row.old_id, row.old, row.old_from or row.old_said, row.ended, row.new_id, row.new)
            for row in rows
        ]

    def noticed(self) -> list[NoticedRow]:
        """Every insight that was mined, the ended ones too."""
        return [_noticed(row) for row in self.execute(_INSIGHTS)]

    def undone(self) -> list[NoticedRow]:
        """Of each insight that an undo changed last, what it was before: taken away, reworded or ended."""
        return [_noticed(row) for row in self.execute(_UNDONE)]

    def rewrite(self, id: UUID, content: str, hash: UUID, *, since: datetime, now: datetime, note: Json) -> None:
        """Let an insight say something else from now on; one that was ended holds again."""
        self.execute(_REWRITE, id=id, content=content, hash=hash, since=since, now=now, metadata=json.dumps(note))
        self._unit.cold.drop(Kind.PASSAGE, [id])

    def reports(self, *, run: int | None = None, limit: int = 1) -> list[ReportRow]:
        """The newest reports, newest first; of one run where it is named."""
        rows = self.execute(_REPORTS, run=run, limit=limit)
        return [ReportRow(row.parent_id or row.id, row.created_at, dict(row.review)) for row in rows]

    def children(self, run: int) -> Sequence[Any]:
        """The change sets of a run (``id``, ``actor``, ``tool``, ``reason``), in order."""
        return self.execute(_CHILDREN, run=run).all()


def _noticed(row: Any) -> NoticedRow:
    return NoticedRow(row.id, row.content, row.valid_until is not None, dict(row.metadata))
