"""Rows of snapshots: named moments."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import uuid4

from sqlmodel import col, select

from mira_ltmemory.store.models import Snapshot
from mira_ltmemory.store.rows import Rows
from mira_ltmemory.store.storable import UNSTORABLE

# The lock waits for an edit that is under way, and lets no vacuum in between.
_INSERT = """
WITH state AS (
    SELECT last_change_set_id FROM ltmemory.user_states WHERE user_id = :user_id FOR UPDATE
)
INSERT INTO ltmemory.snapshots (user_id, id, name, note, moment, created_at)
SELECT :user_id, :id, :name, :note, last_change_set_id, :now FROM state
ON CONFLICT (user_id, name) DO NOTHING RETURNING id
"""


class SnapshotRows(Rows):
    """The user's snapshots."""

    def all(self) -> Sequence[Snapshot]:
        """Every snapshot, newest first."""
        own = select(Snapshot).where(Snapshot.user_id == self.user_id)
        return self.session.exec(own.order_by(col(Snapshot.created_at).desc(), col(Snapshot.name))).all()

    def get(self, name: str) -> Snapshot | None:
        """The snapshot of that name."""
        if UNSTORABLE.search(name):
            return None
        own = select(Snapshot).where(Snapshot.user_id == self.user_id, Snapshot.name == name)
        return self.session.exec(own).one_or_none()

    def at(self, moment: int) -> bool:
        """Whether a snapshot names the end of that change set."""
        named = "SELECT EXISTS (SELECT FROM ltmemory.snapshots WHERE user_id = :user_id AND moment = :moment)"
        return bool(self.execute(named, moment=moment).scalar_one())

    def add(self, name: str, note: str | None, now: datetime) -> Snapshot | None:
        """Name the present moment; none where the name is taken."""
        made = self.execute(_INSERT, id=uuid4(), name=name, note=note, now=now).scalar()
        return None if made is None else self.get(name)

    def remove(self, name: str) -> bool:
        """Forget a name; tell whether there was one."""
        gone = self.execute("DELETE FROM ltmemory.snapshots WHERE user_id = :user_id AND name = :name", name=name)
        return gone.rowcount > 0
