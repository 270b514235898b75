"""Named moments of memory: made, compared, and brought back."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from mira_ltmemory.errors import InvalidArgument, UnknownSnapshot
from mira_ltmemory.protocols import Actor, Change, Clock
from mira_ltmemory.services.history import HistoryService, Restoration, unknown_snapshot
from mira_ltmemory.services.text import require_text
from mira_ltmemory.store.history import TABLES
from mira_ltmemory.store.models import Block, Conversation, Journaled, Message, Snapshot, Source
from mira_ltmemory.store.unit_of_work import SqlUnitOfWork, Store

MAX_NAME_CHARS = 200
MAX_NOTE_CHARS = 2_000

RESTORED: tuple[type[Journaled], ...] = tuple(table for table in TABLES if table not in (Conversation, Message))
"""What a snapshot brings back. Recall memory is a record of what was said: it is never rolled back."""

_COMPARED = tuple(table for table in RESTORED if table not in (Block, Source))


@dataclass(frozen=True, slots=True)
class SnapshotView:
    """A snapshot as people see it; ``moment`` is the last change set that belongs to it."""

    name: str
    note: str | None
    moment: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class RowsDiff:
    """The rows of one table that came, went, and changed between two moments, by id."""

    added: tuple[UUID, ...]
    removed: tuple[UUID, ...]
    changed: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class SnapshotDiff:
    """What changed from one moment to another.

    ``blocks`` holds a unified diff for each label whose text changed, came or went; ``rows`` each other table's rows
    by the table's name.
    """

    blocks: Mapping[str, str]
    rows: Mapping[str, RowsDiff]

    @property
    def empty(self) -> bool:
        """Whether nothing changed."""
        return not self.blocks and not any(each.added or each.removed or each.changed for each in self.rows.values())


class SnapshotService:
    """The snapshots of one user. A snapshot copies nothing: it names a moment, whose versions are then kept."""

    def __init__(self, store: Store, clock: Clock, history: HistoryService) -> None:
        self._store = store
        self._clock = clock
        self._history = history

    def create(self, name: str, note: str | None = None) -> SnapshotView:
        """Name the present moment. Raises ``InvalidArgument`` where the name is taken or malformed."""
        name = require_text("name", name, limit=MAX_NAME_CHARS).strip()
        if not name.isprintable():
            raise InvalidArgument("name must be one line of printable text.")
        name = self._store.redact(name)
        if note is not None:
            note = self._store.redact(require_text("note", note, limit=MAX_NOTE_CHARS, empty=True))
        with self._store.upkeep() as unit:
            made = unit.snapshots.add(name, note, self._clock.now())
            if made is None:
                raise InvalidArgument(f"There is a snapshot {name!r} already; nothing was changed. Take another name.")
            return _view(made)

    def list(self) -> list[SnapshotView]:
        """Every snapshot, newest first."""
        with self._store.read() as unit:
            return [_view(snapshot) for snapshot in unit.snapshots.all()]

    def get(self, name: str) -> SnapshotView:
        """One snapshot. Raises ``UnknownSnapshot``."""
        with self._store.read() as unit:
            return _view(self._find(unit, name))

    def delete(self, name: str) -> None:
        """Forget a name; the versions that only it kept go with the next vacuum. Raises ``UnknownSnapshot``."""
        with self._store.upkeep() as unit:
            unit.snapshots.remove(self._find(unit, name).name)

    def diff(self, old: str, new: str | None = None) -> SnapshotDiff:
        """Tell what changed from one snapshot to another, or until now. Raises ``UnknownSnapshot``."""
        with self._store.read() as unit:
            first, second = self._find(unit, old), None if new is None else self._find(unit, new)
            before = first.moment
            after = unit.journal.last_id() if second is None else second.moment
            names = (first.name, "now" if second is None else second.name)
            texts = [{row["label"]: row["content"] for row in unit.history.at(Block, at)} for at in (before, after)]
            blocks = {
                label: _unified(texts[0].get(label), texts[1].get(label), names)
                for label in sorted({*texts[0], *texts[1]})
                if texts[0].get(label) != texts[1].get(label)
            }
            rows = {
                str(table.__tablename__): _rows_diff(unit.history.at(table, before), unit.history.at(table, after))
                for table in _COMPARED
            }
            return SnapshotDiff(blocks, rows)

    def restore(self, name: str, change: Change | None = None) -> Restoration:
        """Bring blocks and passages back to how they were, as one change set that can itself be undone.

        Messages stay: recall memory is a record of what was said. Raises ``UnknownSnapshot`` and ``ReadOnly``.
        """
        change = change or Change(Actor.USER, "snapshot_restore", f"restore of snapshot {name!r}")
        self.get(name)
        with self._store.write(change) as unit:
            moment = self._find(unit, name).moment
            return Restoration(unit.change_set_id, self._history.restore(unit, moment, RESTORED))

    def _find(self, unit: SqlUnitOfWork, name: str) -> Snapshot:
        found = unit.snapshots.get(self._store.redact(name)) if isinstance(name, str) else None
        if found is None:
            raise UnknownSnapshot(unknown_snapshot(str(name), [each.name for each in unit.snapshots.all()]))
        return found


def _view(snapshot: Snapshot) -> SnapshotView:
    return SnapshotView(snapshot.name, snapshot.note, snapshot.moment, snapshot.created_at)


def _unified(old: str | None, new: str | None, names: tuple[str, str]) -> str:
    before, after = ([] if text is None else text.split("\n") for text in (old, new))
    return "\n".join(difflib.unified_diff(before, after, *names, lineterm=""))


def _rows_diff(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> RowsDiff:
    old, new = ({row["id"]: row["change_set_id"] for row in rows} for rows in (before, after))
    return RowsDiff(
        added=tuple(sorted(new.keys() - old.keys())),
        removed=tuple(sorted(old.keys() - new.keys())),
        changed=tuple(sorted(key for key in old.keys() & new.keys() if old[key] != new[key])),
    )
