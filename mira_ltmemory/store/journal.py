"""Rows of the journal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import col, select

from mira_ltmemory.protocols import Change
from mira_ltmemory.store.models import ChangeSet
from mira_ltmemory.store.rows import Rows

_NEXT = """
UPDATE ltmemory.user_states SET last_change_set_id = last_change_set_id + 1
WHERE user_id = :user_id RETURNING last_change_set_id
"""


# Backwards over the captures since the last edit: an hour's worth at most where jobs run.
_LAST_EDIT = """
SELECT id FROM ltmemory.change_sets WHERE user_id = :user_id AND tool IS DISTINCT FROM 'capture'
ORDER BY id DESC LIMIT 1
"""


class JournalRows(Rows):
    """The user's change sets."""

    _last_edit: int | None = None

    def latest(self, limit: int = 20) -> Sequence[ChangeSet]:
        """The newest change sets, newest first."""
        own = select(ChangeSet).where(ChangeSet.user_id == self.user_id)
        return self.session.exec(own.order_by(col(ChangeSet.id).desc()).limit(limit)).all()

    def get(self, change_set_id: int) -> ChangeSet | None:
        """One change set."""
        own = select(ChangeSet).where(ChangeSet.user_id == self.user_id, ChangeSet.id == change_set_id)
        return self.session.exec(own).one_or_none()

    def note_undo_of(self, change_set_id: int, by: Change, at: datetime) -> None:
        """Add an entry of its own for a change set that the present undo reverses along with its target."""
        number = self.execute(_NEXT).scalar_one()
        self.session.add(
            ChangeSet(
                user_id=self.user_id,
                id=number,
                parent_id=self._unit.change_set_id,
                undoes=change_set_id,
                actor=by.actor.value,
                tool=by.tool,
                reason=by.reason,
                created_at=at,
                meta={"joined": True},
            )
        )
        self.session.flush()

    def wait_for_writers(self) -> None:
        """Let a change set of this user that is under way be finished first."""
        self.execute("SELECT 1 FROM ltmemory.user_states WHERE user_id = :user_id FOR SHARE")

    def last_edit_id(self) -> int:
        """The newest change set that is more than the capture of what was said; 0 where there is none.

        Asked again in the same transaction, it is what it was: what is read afterwards is that old or newer.
        """
        if self._last_edit is None:
            self._last_edit = int(self.execute(_LAST_EDIT).scalar() or 0)
        return self._last_edit

    def last_id(self) -> int:
        """The newest change set that was committed; 0 where there is none. Changes with every change of memory."""
        return int(
            self.execute("SELECT last_change_set_id FROM ltmemory.user_states WHERE user_id = :user_id").scalar() or 0
        )
