"""Rows of the journal."""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import col, select

from mira_ltmemory.store.models import ChangeSet
from mira_ltmemory.store.rows import Rows


class JournalRows(Rows):
    """The user's change sets."""

    def latest(self, limit: int = 20) -> Sequence[ChangeSet]:
        """The newest change sets, newest first."""
        own = select(ChangeSet).where(ChangeSet.user_id == self.user_id)
        return self.session.exec(own.order_by(col(ChangeSet.id).desc()).limit(limit)).all()

    def last_id(self) -> int:
        """The newest change set that was committed; 0 where there is none. Changes with every change of memory."""
        return int(
            self.execute("SELECT last_change_set_id FROM ltmemory.user_states WHERE user_id = :user_id").scalar() or 0
        )
