"""Rows of archival memory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import or_
from sqlmodel import col, select

from mira_ltmemory.protocols import Json, Kind
from mira_ltmemory.store.models import Passage, Source
from mira_ltmemory.store.rows import Rows

# A passage made in a change set that noted untrusted text, or linked to a message of a tool or a web page.
_OF_UNTRUSTED = """
WITH marked AS (
    SELECT id FROM ltmemory.change_sets WHERE user_id = :user_id AND metadata ? 'untrusted_source'
), found AS (
    SELECT p.id FROM ltmemory.passages p JOIN marked m ON m.id = p.change_set_id WHERE p.user_id = :user_id
    UNION
    SELECT v.id FROM ltmemory.passages_versions v JOIN marked m ON m.id = v.change_set_id WHERE v.user_id = :user_id
    UNION
    SELECT s.row_id FROM ltmemory.sources s JOIN ltmemory.messages m ON m.user_id = s.user_id AND m.id = s.source_id
    WHERE s.user_id = :user_id AND s.kind = 'passage' AND s.source_kind = 'message' AND m.origin IN ('tool', 'web')
)
SELECT p.id, p.content FROM ltmemory.passages p
WHERE p.user_id = :user_id AND p.id IN (SELECT id FROM found) ORDER BY p.said_at DESC, p.id LIMIT :limit
"""

_END = """
UPDATE ltmemory.passages SET valid_until = :at, metadata = metadata || CAST(:note AS jsonb)
WHERE user_id = :user_id AND id = :id AND (valid_until IS NULL OR valid_until > :at)
    AND (CAST(:version AS int) IS NULL OR version = :version)
"""


class PassageRows(Rows):
    """The user's archival passages."""

    def add(self, passages: Sequence[Passage]) -> None:
        """Insert passages."""
        self.session.add_all(passages)
        self.session.flush()

    def with_content(self, content_hash: UUID, at: datetime) -> Sequence[Passage]:
        """Passages whose content is the same to the letter (by hash) and that are not ended at that time."""
        until = col(Passage.valid_until)
        own = select(Passage).where(
            Passage.user_id == self.user_id, Passage.content_hash == content_hash, or_(until.is_(None), until > at)
        )
        return self.session.exec(own).all()

    def get(self, passage_id: UUID) -> Passage | None:
        """One passage by id."""
        return self.session.exec(
            select(Passage).where(Passage.user_id == self.user_id, Passage.id == passage_id)
        ).one_or_none()

    def end(self, passage_id: UUID, at: datetime, *, version: int | None = None, note: Json | None = None) -> bool:
        """Let a passage hold until ``at`` and no longer, ``note`` joined to its metadata; tell whether it was changed.

        It is not where it is gone, ends before, or is no more at ``version``: somebody changed it meanwhile.
        """
        done = self.execute(_END, id=passage_id, at=at, version=version, note=json.dumps(note or {}))
        return done.rowcount == 1

    def stored(self, ids: Sequence[UUID]) -> set[UUID]:
        """Which of these passages are there."""
        rows = self.execute(
            "SELECT id FROM ltmemory.passages WHERE user_id = :user_id AND id = ANY(CAST(:ids AS uuid[]))",
            ids=list(ids),
        )
        return {row.id for row in rows}

    def of_untrusted(self, limit: int) -> list[tuple[UUID, str]]:
        """Id and text of the newest passages that repeat text of a tool or a web page."""
        return [(row.id, row.content) for row in self.execute(_OF_UNTRUSTED, limit=limit)]

    def sources_of(self, kind: Kind, row_id: UUID) -> set[UUID]:
        """The rows that a row is recorded to have come from."""
        rows = self.execute(
            "SELECT source_id FROM ltmemory.sources WHERE user_id = :user_id AND kind = :kind AND row_id = :row_id",
            kind=kind.value,
            row_id=row_id,
        )
        return {row.source_id for row in rows}

    def add_sources(self, sources: Iterable[Source]) -> None:
        """Record what rows came from."""
        self.session.add_all(sources)
        self.session.flush()

    def count(self) -> int:
        """How many passages are stored."""
        return int(self.execute("SELECT count(*) FROM ltmemory.passages WHERE user_id = :user_id").scalar_one())
