"""The journal as people use it: undo of an edit or a whole run, and memory as it was."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from mira_ltmemory.errors import Erased, InvalidArgument, NotKept, ReadOnly, UndoConflict, UnknownSnapshot
from mira_ltmemory.protocols import Change, Clock, Kind
from mira_ltmemory.services.standing import After, Standing
from mira_ltmemory.store.history import REFERRED, TABLES, Put, Version
from mira_ltmemory.store.models import Block, ChangeSet, Entity, Journaled, Message, Passage
from mira_ltmemory.store.unit_of_work import SqlUnitOfWork, Store
from mira_ltmemory.store.words import KIND_NUMBERS

_KINDS: dict[type[Journaled], Kind] = {Message: Kind.MESSAGE, Passage: Kind.PASSAGE, Entity: Kind.ENTITY}


@dataclass(frozen=True, slots=True)
class Restoration:
    """What an undo or a restore did: its change set, and the rows it touched by table."""

    change_set_id: int
    rows: Mapping[str, int]
    undone: tuple[int, ...] = ()


@dataclass(slots=True)
class _Plan:
    """What each touched row is to become, and the change sets that stand in the way."""

    rows: dict[tuple[type[Journaled], UUID], Put] = field(default_factory=dict)
    blocking: dict[int, str] = field(default_factory=dict)

    def block(self, change_sets: Iterable[int], why: str) -> None:
        """Note what stands in the way; of several reasons the first stays."""
        for each in change_sets:
            self.blocking.setdefault(each, why)

    def add(self, table: type[Journaled], versions: Sequence[Version], wanted: Version | None) -> None:
        """Let a row become ``wanted``. A block that is read-only now stays so."""
        present = next((version for version in versions if version.ended_by is None), None)
        if table is Block and present is not None and wanted is not None and present.values["read_only"]:
            wanted = replace(wanted, values={**wanted.values, "read_only": True})
        row_id: UUID = versions[0].values["id"]
        last = max(int(version.values["version"]) for version in versions)
        self.rows[table, row_id] = Put(table, row_id, present, wanted, last)

    def removed(self) -> list[UUID]:
        """The rows that go."""
        return [put.id for put in self.rows.values() if put.present is not None and put.wanted is None]

    def changes(self, table: type[Journaled]) -> list[Put]:
        """The rows of a table that really become something else."""
        return [put for put in self.rows.values() if put.table is table and not _same(put.present, put.wanted)]


class HistoryService:
    """Reads the journal of one user, undoes change sets, and brings rows back to how they were.

    ``max_embedded_chars`` is the length, in characters, beyond which a message that comes back is not embedded.
    """

    def __init__(self, store: Store, clock: Clock, *, max_embedded_chars: int = 200_000) -> None:
        self._store = store
        self._clock = clock
        self._max_embedded_chars = max_embedded_chars

    def log(self, limit: int = 20) -> Sequence[ChangeSet]:
        """The newest change sets, newest first."""
        with self._store.read() as unit:
            return unit.journal.latest(limit)

    def undo(self, change_set_id: int, change: Change, *, with_dependents: bool = False) -> Restoration:
        """Reverse a change set, and everything below it where it is a run, in one transaction.

        Raises ``InvalidArgument`` where there is no such set, it is undone already or it changed nothing, ``NotKept``
        where the versions before it were vacuumed, ``Erased`` where it is an erasure or one took rows of it,
        ``ReadOnly`` where it would change a block that is read-only now, and ``UndoConflict`` with the list where
        later changes depend on it, unless ``with_dependents`` says to undo those too.
        """
        if isinstance(change_set_id, bool) or not isinstance(change_set_id, int):
            raise InvalidArgument(
                f"change_set_id must be the number of a change set, not {type(change_set_id).__name__}."
            )
        self._require_known(change_set_id)
        undoing = self._store.clean(replace(change, undoes=change_set_id))
        with self._store.write(undoing) as unit:
            entries = [entry for entry in unit.history.entries() if entry.id != unit.change_set_id]
            standing = Standing(entries)
            self._require_undoable(unit, standing, change_set_id, change)
            roots = {change_set_id}
            while True:
                family = standing.family(roots)
                after = standing.without(family)
                _refuse_erased(standing, after.turned)
                plan = self._plan(unit, after, family, standing.erasures)
                if not plan.blocking:
                    break
                if not with_dependents:
                    raise UndoConflict(change_set_id, _told(unit, plan.blocking))
                roots |= plan.blocking.keys()
            if not plan.rows and standing.entry(change_set_id).undoes is None:
                raise InvalidArgument(f"Change set {change_set_id} changed no row that can be brought back.")
            for root in sorted(roots - {change_set_id}, reverse=True):
                unit.journal.note_undo_of(root, undoing, self._clock.now())
            return Restoration(unit.change_set_id, self._apply(unit, plan), tuple(sorted(roots)))

    def restore(self, unit: SqlUnitOfWork, moment: int, tables: Collection[type[Journaled]]) -> Mapping[str, int]:
        """Bring the rows of some tables to how they were at the end of a change set, inside ``unit``.

        Raises ``NotKept`` and ``ReadOnly``.
        """
        plan = _Plan()
        for table in tables:
            for versions in unit.history.changed_since(table, moment).values():
                plan.add(table, versions, next((each for each in versions if each.holds_at(moment)), None))
        self.require_kept(unit, moment)
        return self._apply(unit, plan)

    def moment(self, at: datetime) -> int:
        """The change set that was the last at a point in time. Raises ``InvalidArgument`` for the future.

        Waits for an edit that is under way: the answer for a point in time never changes later.
        """
        if at.tzinfo is None:
            raise InvalidArgument(f"as_of {at.isoformat()} has no time zone; give an offset.")
        if at > self._clock.now():
            raise InvalidArgument(f"as_of {at.isoformat()} lies in the future; memory is known until now.")
        with self._store.read() as unit:
            unit.journal.wait_for_writers()
            return unit.history.moment(at)

    def resolve(self, at: datetime | int | str) -> int:
        """The change set at whose end memory is meant: of a point in time, a change set's id or a snapshot's name.

        Raises ``InvalidArgument`` for the future and for what is unknown, ``UnknownSnapshot``, and ``NotKept`` where
        memory of that moment was vacuumed.
        """
        if isinstance(at, datetime):
            moment = self.moment(at)
        elif isinstance(at, str):
            with self._store.read() as unit:
                snapshot = unit.snapshots.get(self._store.redact(at))
                if snapshot is None:
                    raise UnknownSnapshot(unknown_snapshot(at, [each.name for each in unit.snapshots.all()]))
                moment = snapshot.moment
        elif isinstance(at, bool) or not isinstance(at, int):
            raise InvalidArgument("as_of wants a point in time, the number of a change set, or a snapshot's name.")
        else:
            self._require_known(at)
            moment = at
        with self._store.read() as unit:
            self.require_kept(unit, moment)
        return moment

    def time_of(self, moment: int) -> datetime | None:
        """When a change set was made; none where there is no such."""
        with self._store.read() as unit:
            entry = unit.journal.get(moment)
        return None if entry is None else entry.created_at

    def rows_at(self, table: type[Journaled], moment: int) -> list[dict[str, Any]]:
        """The rows of a table, columns by name, as they were at the end of a change set. Raises ``NotKept``."""
        with self._store.read() as unit:
            rows = unit.history.at(table, moment)
            self.require_kept(unit, moment)
            return rows

    def require_kept(self, unit: SqlUnitOfWork, moment: int) -> None:
        """Raise ``NotKept`` unless memory at the end of a change set is still known in full.

        Ask after reading: what a vacuum removed meanwhile is then noticed.
        """
        kept_from = unit.history.kept_from()
        if moment < kept_from and not unit.snapshots.at(moment):
            since = unit.journal.get(kept_from)
            when = "" if since is None else f", made {since.created_at.isoformat()}"
            raise NotKept(
                f"Memory as it was after change set {moment} is not kept: earlier versions were vacuumed. "
                f"It is known from change set {kept_from}{when} on, and at snapshots."
            )

    def _require_known(self, change_set_id: int) -> None:
        with self._store.read() as unit:
            if not 0 < change_set_id < 2**63 or unit.journal.get(change_set_id) is None:
                named = change_set_id if abs(change_set_id) < 2**63 else "with so large a number"
                raise InvalidArgument(f"There is no change set {named}; the newest is {unit.journal.last_id()}.")

    def _require_undoable(self, unit: SqlUnitOfWork, standing: Standing, target: int, change: Change) -> None:
        entry = standing.entry(target)
        if entry.joined:
            raise InvalidArgument(
                f"Change set {target} is a part of the undo {entry.parent_id}; nothing was changed. Undo that one."
            )
        if not standing.is_on(target):
            raise InvalidArgument(f"Change set {target} is undone already; nothing was changed.")
        if target in standing.ancestors(change.parent):
            raise InvalidArgument(f"Change set {target} is the run that this undo belongs to; nothing was changed.")
        kept_from = unit.history.kept_from()
        if min(standing.family([target])) <= kept_from:
            raise NotKept(
                f"Change set {target} cannot be undone: what was before change set {kept_from + 1} was vacuumed. "
                "Nothing was changed."
            )

    def _plan(self, unit: SqlUnitOfWork, after: After, family: Collection[int], erasures: Collection[int]) -> _Plan:
        plan = _Plan()
        for table in TABLES:
            for versions in unit.history.touched(table, after.turned).values():
                events = {event for version in versions for event in _events(version)}
                first = min(events & after.turned)
                # An erasure took the same out of every version: what it left alone can still be brought back.
                if later := after.blocking(events.difference(erasures), first, family):
                    plan.block(later, f"made a later version of {_name(table, versions[-1])}")
                plan.add(table, versions, next((each for each in versions if each.holds_at(first - 1)), None))
        self._block_citing(unit, plan)
        self._block_holding(unit, plan)
        return plan

    def _block_citing(self, unit: SqlUnitOfWork, plan: _Plan) -> None:
        """Let the change sets of rows that stay and refer to one that goes stand in the way."""
        planned = {row_id: put for (_, row_id), put in plan.rows.items()}
        for row_id, cited in unit.history.citing(plan.removed()).items():
            wanted = planned[row_id].wanted if row_id in planned else None
            relation = "belongs to" if cited.source_kind == "conversation" else "came from"
            why = f"made {cited.kind} {cited.row_id}, which {relation} {cited.source_kind} {cited.source_id}"
            if row_id not in planned:
                plan.block([cited.made_by], why)
            elif wanted is not None and cited.source_id in wanted.values.values():
                plan.block([wanted.made_by], why)

    def _block_holding(self, unit: SqlUnitOfWork, plan: _Plan) -> None:
        """Likewise those by which other rows hold a unique key, such as a label, that a row needs to come back."""
        for table in TABLES:
            coming = [put.wanted for put in plan.changes(table) if put.wanted is not None]
            for version, holder, made_by in unit.history.holders(table, coming):
                put = plan.rows.get((table, holder))
                key = "label" if table is Block else "key"
                why = f"gave {_singular(table)} {holder} the {key} that {_name(table, version)} needs to come back"
                if put is None:
                    plan.block([made_by], why)
                elif put.wanted is not None and not unit.history.differ(table, put.wanted, version):
                    plan.block([put.wanted.made_by], why)

    def _apply(self, unit: SqlUnitOfWork, plan: _Plan) -> Mapping[str, int]:
        _refuse_read_only(plan.changes(Block))
        counts = {str(table.__tablename__): len(rows) for table in TABLES if (rows := plan.changes(table))}
        # Rows that others refer to come back first and go last.
        for table in TABLES:
            stay = [put for put in plan.changes(table) if put.wanted is not None or table not in REFERRED]
            unit.history.put(table, stay)
        for table in reversed([table for table in TABLES if table in REFERRED]):
            unit.history.remove(table, [put.id for put in plan.changes(table) if put.wanted is None])
        for table, kind in _KINDS.items():
            self._reindex(unit, kind, [(put.present, put.wanted) for put in plan.changes(table)])
        return counts

    def _reindex(self, unit: SqlUnitOfWork, kind: Kind, rows: Iterable[tuple[Version | None, Version | None]]) -> None:
        """Keep words and vectors true to the rows that changed; superseded versions keep their vectors."""
        changed = [(old, new) for old, new in rows if old is None or new is None or _place(old) != _place(new)]
        if not changed:
            return
        back = [new for _, new in changed if new is not None]
        if kind in KIND_NUMBERS:
            gone = [old.values["id"] for old, _ in changed if old is not None]
            unit.words.remove(kind, gone)
            unit.cold.drop(kind, gone)
            unit.cold.freeze(kind, [new.values["id"] for new in back if new.values.get("tier") == "cold"])
            back = [new for new in back if new.values.get("tier") != "cold"]
            unit.words.add(kind, [(new.values["id"], _text(new)) for new in back])
        embedded = [new for new in back if _text(new).strip() and len(_text(new)) <= self._max_embedded_chars]
        unit.vectors.enqueue(kind, [new.values["id"] for new in embedded])
        unit.vectors.drop_orphans()


def unknown_snapshot(name: str, known: Sequence[str]) -> str:
    """Say that there is no snapshot of that name, and which there are."""
    listed = ", ".join(repr(each) for each in known[:20]) + (" and more" if len(known) > 20 else "")
    return f"There is no snapshot {name[:80]!r}. " + (f"The snapshots are: {listed}." if known else "There are none.")


def _told(unit: SqlUnitOfWork, blocking: Mapping[int, str]) -> dict[int, str]:
    makers = unit.history.makers(blocking.keys())
    return {each: f"({makers.get(each, 'unknown')}) {why}" for each, why in blocking.items()}


def _singular(table: type[Journaled]) -> str:
    name = str(table.__tablename__).replace("_", " ")
    return f"{name[:-3]}y" if name.endswith("ies") else name.removesuffix("es" if name.endswith("ases") else "s")


def _name(table: type[Journaled], version: Version) -> str:
    """A row as people know it: a block by its label, another by its id."""
    return (
        f"{_singular(table)} {version.values['label']!r}"
        if table is Block
        else (f"{_singular(table)} {version.values['id']}")
    )


def _refuse_erased(standing: Standing, change_sets: Collection[int]) -> None:
    left = standing.left_of(change_sets)
    more = ""
    if left:
        listed = ", ".join(map(str, left[:20])) + (f" and {len(left) - 20} more" if len(left) > 20 else "")
        more = f" What else this would undo can still be undone by itself, newest first: {listed}."
    for each in sorted(change_sets):
        erased_by = standing.entry(each).erased_by
        if erased_by == each:
            raise Erased(f"Change set {each} is an erasure, which cannot be undone; nothing was changed.")
        if erased_by is not None:
            raise Erased(
                f"Change set {each} cannot be undone: change set {erased_by} erased rows of it for good. "
                f"Nothing was changed.{more}"
            )


def _refuse_read_only(blocks: Sequence[Put]) -> None:
    for put in blocks:
        if put.present is None or not put.present.values["read_only"]:
            continue
        if put.wanted is None or any(put.wanted.values[name] != put.present.values[name] for name in _TEXT):
            label = put.present.values["label"]
            raise ReadOnly(f"Block {label!r} is read-only and would have to change; nothing was changed.")


_TEXT = ("label", "content")


def _events(version: Version) -> Iterable[int]:
    return (version.made_by,) if version.ended_by is None else (version.made_by, version.ended_by)


def _same(present: Version | None, wanted: Version | None) -> bool:
    if present is None or wanted is None:
        return present is wanted
    bookkeeping = {"version", "change_set_id"}
    return all(present.values[name] == value for name, value in wanted.values.items() if name not in bookkeeping)


def _place(version: Version) -> tuple[str, str]:
    """What decides where the indexes hold a row: its text and, of a passage, its tier."""
    return _text(version), version.values.get("tier", "hot")


def _text(version: Version) -> str:
    content: str = version.values["content"]
    return content
