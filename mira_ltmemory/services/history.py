"""The journal as people use it: undo of an edit or a whole run, and memory as it was."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from mira_ltmemory.errors import InvalidArgument, UndoConflict
from mira_ltmemory.protocols import Change, Clock, Kind
from mira_ltmemory.store.history import TABLES, Entry, Version
from mira_ltmemory.store.models import ChangeSet, Journaled, Message, Passage
from mira_ltmemory.store.unit_of_work import SqlUnitOfWork, Store

_KINDS: dict[type[Journaled], Kind] = {Message: Kind.MESSAGE, Passage: Kind.PASSAGE}


@dataclass(frozen=True, slots=True)
class Restoration:
    """What an undo or a restore did: its change set, and the rows it touched by table."""

    change_set_id: int
    rows: Mapping[str, int]
    undone: tuple[int, ...] = ()


@dataclass(slots=True)
class _Plan:
    """What each touched row is to become, and the change sets that stand in the way."""

    rows: list[tuple[type[Journaled], Version | None, Version | None, int]] = field(default_factory=list)
    blocking: set[int] = field(default_factory=set)


class HistoryService:
    """Reads the journal of one user, undoes change sets, and brings rows back to how they were."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def log(self, limit: int = 20) -> Sequence[ChangeSet]:
        """The newest change sets, newest first."""
        with self._store.read() as unit:
            return unit.journal.latest(limit)

    def undo(self, change_set_id: int, change: Change, *, with_dependents: bool = False) -> Restoration:
        """Reverse a change set, and everything below it where it is a run, in one transaction.

        Raises ``InvalidArgument`` where there is no such set or it is undone already, and ``UndoConflict`` with
        the list where later changes depend on it, unless ``with_dependents`` says to undo those too.
        """
        undoing = Change(change.actor, change.tool, change.reason, change.parent, undoes=change_set_id)
        self._require_known(change_set_id)
        with self._store.write(undoing) as unit:
            entries = [entry for entry in unit.history.entries_from(change_set_id) if entry.id != unit.change_set_id]
            journal = _Journal(entries)
            if not journal.stands(change_set_id):
                raise InvalidArgument(f"Change set {change_set_id} is undone already; nothing was changed.")
            roots = {change_set_id}
            while True:
                plan = self._plan(unit, journal, journal.family(roots))
                if not plan.blocking:
                    break
                if not with_dependents:
                    raise UndoConflict(change_set_id, tuple(sorted(plan.blocking)))
                roots |= plan.blocking
            for root in sorted(roots - {change_set_id}, reverse=True):
                unit.journal.note_undo_of(root, undoing, self._clock.now())
            return Restoration(unit.change_set_id, self._apply(unit, plan), tuple(sorted(roots)))

    def restore(self, unit: SqlUnitOfWork, moment: int, tables: Collection[type[Journaled]]) -> Mapping[str, int]:
        """Bring the rows of some tables to how they were at the end of a change set, inside ``unit``."""
        plan = _Plan()
        for table in tables:
            for versions in unit.history.changed_since(table, moment).values():
                wanted = next((version for version in versions if version.holds_at(moment)), None)
                plan.rows.append((table, _present(versions), wanted, _last(versions)))
        return self._apply(unit, plan)

    def moment(self, at: datetime) -> int:
        """The change set that was the last at a point in time. Raises ``InvalidArgument`` for the future."""
        if at.tzinfo is None:
            raise InvalidArgument(f"as_of {at.isoformat()} has no time zone; give an offset.")
        if at > self._clock.now():
            raise InvalidArgument(f"as_of {at.isoformat()} lies in the future; memory is known until now.")
        with self._store.read() as unit:
            return unit.history.moment(at)

    def rows_at(self, table: type[Journaled], moment: int) -> list[dict[str, Any]]:
        """The rows of a table, columns by name, as they were at the end of a change set."""
        with self._store.read() as unit:
            return unit.history.at(table, moment)

    def _require_known(self, change_set_id: int) -> None:
        with self._store.read() as unit:
            if unit.journal.get(change_set_id) is None:
                raise InvalidArgument(
                    f"There is no change set {change_set_id}; the newest is {unit.journal.last_id()}."
                )

    def _plan(self, unit: SqlUnitOfWork, journal: _Journal, undone: set[int]) -> _Plan:
        plan = _Plan()
        removed: list[UUID] = []
        for table in TABLES:
            for row_id, versions in unit.history.touched(table, undone).items():
                events = sorted({event for version in versions for event in _events(version)})
                first = next(event for event in events if event in undone)
                plan.blocking |= journal.depending(events, first, undone)
                before = next((version for version in versions if version.holds_at(first - 1)), None)
                present = _present(versions)
                plan.rows.append((table, present, before, _last(versions)))
                if before is None and present is not None:
                    removed.append(row_id)
        plan.blocking |= unit.history.citing(removed) - undone
        return plan

    def _apply(self, unit: SqlUnitOfWork, plan: _Plan) -> Mapping[str, int]:
        counts: dict[str, int] = {}
        order = {table: number for number, table in enumerate(TABLES)}
        # Rows that others refer to come back first and go last.
        coming = sorted((row for row in plan.rows if row[2] is not None), key=lambda row: order[row[0]])
        going = sorted((row for row in plan.rows if row[2] is None), key=lambda row: -order[row[0]])
        for table, present, wanted, last in [*coming, *going]:
            if _same(present, wanted):
                continue
            unit.history.put(table, present, wanted, last)
            counts[str(table.__tablename__)] = counts.get(str(table.__tablename__), 0) + 1
        for table, kind in _KINDS.items():
            self._reindex(unit, kind, [row[1:3] for row in plan.rows if row[0] is table and not _same(row[1], row[2])])
        return counts

    def _reindex(self, unit: SqlUnitOfWork, kind: Kind, rows: Iterable[tuple[Version | None, Version | None]]) -> None:
        """Keep words and vectors true to the rows that changed; superseded versions keep their vectors."""
        changed = [(old, new) for old, new in rows if old is None or new is None or _text(old) != _text(new)]
        unit.words.remove(kind, [old.values["id"] for old, _ in changed if old is not None])
        back = [new for _, new in changed if new is not None]
        unit.words.add(kind, [(new.values["id"], new.values["content"]) for new in back])
        unit.vectors.enqueue(kind, [new.values["id"] for new in back])


class _Journal:
    """Which change sets still stand, from a first one on: an undo takes its target out, and its own undo back in."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = {entry.id: entry for entry in entries}
        self._undone: dict[int, bool] = {}
        self._undoers: dict[int, list[int]] = {}
        for entry in entries:
            if entry.undoes is not None:
                self._undoers.setdefault(entry.undoes, []).append(entry.id)

    def stands(self, change_set: int) -> bool:
        """Whether a change set is in force: neither it nor a run that it belongs to is undone."""
        if change_set not in self._undone:
            entry = self._entries.get(change_set)
            undone = any(self.stands(undoer) for undoer in self._undoers.get(change_set, ()))
            if not undone and entry is not None and entry.parent_id is not None and entry.undoes is None:
                undone = not self.stands(entry.parent_id)
            self._undone[change_set] = undone
        return not self._undone[change_set]

    def family(self, roots: Collection[int]) -> set[int]:
        """The change sets and everything below them."""
        found = set(roots)
        for entry in self._entries.values():  # a child is younger than its parent
            if entry.parent_id in found:
                found.add(entry.id)
        return found

    def depending(self, events: Iterable[int], first: int, undone: Collection[int]) -> set[int]:
        """Which later events of a row stand in the way of undoing ``undone``, whose first event it is."""
        return {
            event
            for event in events
            if event > first and event not in undone and self.stands(event) and not self._cancels(event, first, undone)
        }

    def _cancels(self, event: int, first: int, undone: Collection[int]) -> bool:
        """An undo of something later than ``first`` left the row as it was before that."""
        target = self._entries[event].undoes
        return target is not None and target > first and target not in undone


def _events(version: Version) -> Iterable[int]:
    return (version.made_by,) if version.ended_by is None else (version.made_by, version.ended_by)


def _present(versions: Sequence[Version]) -> Version | None:
    return next((version for version in versions if version.ended_by is None), None)


def _last(versions: Sequence[Version]) -> int:
    numbers: list[int] = [version.values["version"] for version in versions]
    return max(numbers)


def _same(present: Version | None, wanted: Version | None) -> bool:
    if present is None or wanted is None:
        return present is wanted
    bookkeeping = {"version", "change_set_id"}
    return all(present.values[name] == value for name, value in wanted.values.items() if name not in bookkeeping)


def _text(version: Version) -> str:
    content: str = version.values["content"]
    return content
