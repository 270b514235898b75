"""Rows of archival memory."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlmodel import select

from mira_ltmemory.store.models import Passage
from mira_ltmemory.store.rows import Rows


class PassageRows(Rows):
    """The user's archival passages."""

    def add(self, passages: Sequence[Passage]) -> None:
        """Insert passages."""
        self.session.add_all(passages)
        self.session.flush()

    def with_content(self, content_hash: UUID) -> Sequence[Passage]:
        """Passages whose content is the same to the letter (by hash)."""
        own = select(Passage).where(Passage.user_id == self.user_id, Passage.content_hash == content_hash)
        return self.session.exec(own).all()

    def get(self, passage_id: UUID) -> Passage | None:
        """One passage by id."""
        return self.session.exec(
            select(Passage).where(Passage.user_id == self.user_id, Passage.id == passage_id)
        ).one_or_none()

    def count(self) -> int:
        """How many passages are stored."""
        return int(self.execute("SELECT count(*) FROM ltmemory.passages WHERE user_id = :user_id").scalar_one())
