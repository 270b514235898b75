"""Every version of journaled rows: who made each, who ended it, and how a row is put back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Table, UniqueConstraint, any_, literal, null, or_, select, union, union_all
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.engine import Row

from mira_ltmemory.store.models import (
    GRAPH_JOURNALED,
    JOURNALED,
    Block,
    Conversation,
    Entity,
    Journaled,
    Message,
    Passage,
    Source,
)
from mira_ltmemory.store.rows import Rows

TABLES: tuple[type[Journaled], ...] = (Conversation, Message, Passage, Block, *GRAPH_JOURNALED, Source)
"""The journaled tables, those that others refer to first."""

REFERRED: frozenset[type[Journaled]] = frozenset({Conversation, Entity})
"""Those whose rows others cannot be without (foreign keys)."""

_CITES = """
SELECT s.id, s.change_set_id, s.kind, s.row_id, s.source_kind, s.source_id FROM ltmemory.sources s
WHERE s.user_id = :user_id AND s.source_id = ANY(:ids) AND NOT s.row_id = ANY(:ids)
UNION ALL
SELECT m.id, m.change_set_id, 'message', m.id, 'conversation', m.conversation_id FROM ltmemory.messages m
WHERE m.user_id = :user_id AND m.conversation_id = ANY(:ids) AND NOT m.id = ANY(:ids)
UNION ALL
SELECT a.id, a.change_set_id, 'alias', a.id, 'entity', a.entity_id FROM ltmemory.entity_aliases a
WHERE a.user_id = :user_id AND a.entity_id = ANY(:ids) AND NOT a.id = ANY(:ids)
UNION ALL
SELECT m.id, m.change_set_id, 'mention', m.id, 'entity', m.entity_id FROM ltmemory.mentions m
WHERE m.user_id = :user_id AND m.entity_id = ANY(:ids) AND NOT m.id = ANY(:ids)
UNION ALL
SELECT m.id, m.change_set_id, 'mention', m.id, m.source_kind, m.source_id FROM ltmemory.mentions m
WHERE m.user_id = :user_id AND m.source_id = ANY(:ids) AND NOT m.id = ANY(:ids)
UNION ALL
SELECT r.id, r.change_set_id, 'relation', r.id, 'entity', e.id FROM ltmemory.relations r
CROSS JOIN LATERAL (VALUES (r.subject_id), (r.object_id)) AS e (id)
WHERE r.user_id = :user_id AND (r.subject_id = ANY(:ids) OR r.object_id = ANY(:ids)) AND e.id = ANY(:ids)
    AND NOT r.id = ANY(:ids)
UNION ALL
SELECT d.id, d.change_set_id, 'merge', d.id, 'entity', e.id FROM ltmemory.entity_merges d
CROSS JOIN LATERAL (VALUES (d.entity_id), (d.into_id)) AS e (id)
WHERE d.user_id = :user_id AND (d.entity_id = ANY(:ids) OR d.into_id = ANY(:ids)) AND e.id = ANY(:ids)
    AND NOT d.id = ANY(:ids)
"""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a row: its columns by name, and the change set that ended it (none: it is the present one)."""

    values: dict[str, Any]
    ended_by: int | None

    @property
    def made_by(self) -> int:
        """The change set that made this version."""
        made: int = self.values["change_set_id"]
        return made

    def holds_at(self, moment: int) -> bool:
        """Whether this version was the row's at the end of that change set."""
        return self.made_by <= moment and (self.ended_by is None or self.ended_by > moment)


@dataclass(frozen=True, slots=True)
class Entry:
    """What the journal knows of a change set's place: its parent, and what it undoes.

    ``joined`` marks an entry that only notes what the undo above it reversed along with its target. ``erased_by`` is
    the erasure that took rows of it for good; an erasure names itself.
    """

    id: int
    parent_id: int | None
    undoes: int | None
    joined: bool = False
    erased_by: int | None = None


@dataclass(frozen=True, slots=True)
class Put:
    """What a row is now and what it is to become; none: not there. ``last`` numbers its newest version so far."""

    table: type[Journaled]
    id: UUID
    present: Version | None
    wanted: Version | None
    last: int


@dataclass(frozen=True, slots=True)
class Citation:
    """A row (``kind``, ``row_id``) that came from, or belongs to, another, as the change set ``made_by`` says."""

    made_by: int
    kind: str
    row_id: UUID
    source_kind: str
    source_id: UUID


class HistoryRows(Rows):
    """The versions of the user's journaled rows."""

    def touched(self, table: type[Journaled], change_sets: Collection[int]) -> dict[UUID, list[Version]]:
        """Every version, oldest first, of the rows that these change sets made, changed or removed."""
        live, past = _pair(table)
        wanted = any_(literal(sorted(change_sets), ARRAY(BigInteger)))
        keys = union(
            select(live.c.id).where(live.c.user_id == self.user_id, live.c.change_set_id == wanted),
            select(past.c.id).where(
                past.c.user_id == self.user_id,
                or_(past.c.change_set_id == wanted, past.c.ended_by == wanted),
            ),
        )
        return self._versions(table, keys)

    def changed_since(self, table: type[Journaled], moment: int) -> dict[UUID, list[Version]]:
        """Every version, oldest first, of the rows that changed after that change set."""
        live, past = _pair(table)
        keys = union(
            select(live.c.id).where(live.c.user_id == self.user_id, live.c.change_set_id > moment),
            select(past.c.id).where(past.c.user_id == self.user_id, past.c.ended_by > moment),
        )
        return self._versions(table, keys)

    def at(self, table: type[Journaled], moment: int) -> list[dict[str, Any]]:
        """The rows of a table, columns by name, as they were at the end of that change set."""
        live, past = _pair(table)
        then = union_all(
            select(*live.c).where(live.c.user_id == self.user_id, live.c.change_set_id <= moment),
            select(*[past.c[column.name] for column in live.c]).where(
                past.c.user_id == self.user_id, past.c.change_set_id <= moment, past.c.ended_by > moment
            ),
        )
        return [_named(live, row) for row in self.connection.execute(then)]

    def of_row(self, table: type[Journaled], row_id: UUID) -> list[Version]:
        """Every version of one row, oldest first."""
        return self._versions(table, select(literal(row_id))).get(row_id, [])

    def put(self, table: type[Journaled], rows: Sequence[Put]) -> None:
        """Make rows what they are to be: those that go, then those that change, then those that come (back).

        A row whose unique columns change goes and comes back, so that two rows can change places.
        """
        live, _ = _pair(table)
        moving = [row for row in rows if row.present and row.wanted and _moves(table, row.present, row.wanted)]
        keys = {row.id for row in moving}
        self.remove(table, [row.id for row in rows if row.wanted is None or row.id in keys])
        kept = {"user_id", "id", "version", "change_set_id"}
        for row in rows:
            if row.present is not None and row.wanted is not None and row.id not in keys:
                values = {name: value for name, value in row.wanted.values.items() if name not in kept}
                own = (live.c.user_id == self.user_id) & (live.c.id == row.id)
                self.connection.execute(live.update().where(own).values(values))
        made_by = self._unit.change_set_id
        coming = [
            {**row.wanted.values, "version": row.last + 1, "change_set_id": made_by}
            for row in rows
            if row.wanted is not None and (row.present is None or row.id in keys)
        ]
        if coming:
            self.connection.execute(live.insert(), coming)

    def remove(self, table: type[Journaled], row_ids: Sequence[UUID]) -> None:
        """Take rows away; their versions stay."""
        live, _ = _pair(table)
        if row_ids:
            gone = any_(literal(list(row_ids), ARRAY(live.c.id.type)))
            self.connection.execute(live.delete().where(live.c.user_id == self.user_id, live.c.id == gone))

    def citing(self, row_ids: Sequence[UUID]) -> dict[UUID, Citation]:
        """Rows outside ``row_ids``, links or messages by their id, that say to come from or belong to one of these."""
        if not row_ids:
            return {}
        return {
            row.id: Citation(row.change_set_id, row.kind, row.row_id, row.source_kind, row.source_id)
            for row in self.execute(_CITES, ids=list(row_ids))
        }

    def makers(self, change_sets: Collection[int]) -> dict[int, str]:
        """Who made each of these change sets, and with which tool: ``model, core_memory_append``."""
        rows = self.execute(
            "SELECT id, actor, tool FROM ltmemory.change_sets WHERE user_id = :user_id AND id = ANY(:ids)",
            ids=list(change_sets),
        )
        return {row.id: row.actor if row.tool is None else f"{row.actor}, {row.tool}" for row in rows}

    def holders(self, table: type[Journaled], wanted: Sequence[Version]) -> list[tuple[Version, UUID, int]]:
        """Which of these versions cannot come, because another row holds a key that must be unique.

        With each, that row's id and the change set that made it what it is.
        """
        live, _ = _pair(table)
        found: list[tuple[Version, UUID, int]] = []
        for names in _unique_keys(table) if wanted else ():
            arrays = [
                f"CAST(:k{n} AS {live.c[name].type.compile(self.connection.dialect)}[])" for n, name in enumerate(names)
            ]
            same = " AND ".join(f"r.{name} = w.k{n}" for n, name in enumerate(names))
            rows = self.execute(
                f"SELECT r.id, r.change_set_id, w.place FROM unnest({', '.join(arrays)}) WITH ORDINALITY "
                f"AS w ({', '.join(f'k{n}' for n in range(len(names)))}, place) "
                f"JOIN {live.fullname} r ON r.user_id = :user_id AND {same}",
                **{f"k{n}": [version.values[name] for version in wanted] for n, name in enumerate(names)},
            )
            holders = [(wanted[row.place - 1], row.id, row.change_set_id) for row in rows]
            found += [each for each in holders if each[0].values["id"] != each[1]]
        return found

    def differ(self, table: type[Journaled], one: Version, other: Version) -> bool:
        """Whether two versions can stand side by side: they share no key that must be unique."""
        return all(any(one.values[n] != other.values[n] for n in names) for names in _unique_keys(table))

    def entries(self) -> list[Entry]:
        """The whole journal, oldest first."""
        rows = self.execute(
            "SELECT id, parent_id, undoes, metadata ? 'joined' AS joined, "
            "CASE WHEN metadata ? 'erasure' THEN id ELSE CAST(metadata ->> 'erased_by' AS bigint) END AS erased_by "
            "FROM ltmemory.change_sets WHERE user_id = :user_id ORDER BY id"
        )
        return [Entry(row.id, row.parent_id, row.undoes, row.joined, row.erased_by) for row in rows]

    def kept_from(self) -> int:
        """The first change set at whose end memory is still known in full; 0 where nothing was vacuumed."""
        return int(self.execute("SELECT kept_from FROM ltmemory.user_states WHERE user_id = :user_id").scalar() or 0)

    def vacuum(self, bound: int) -> dict[str, int]:
        """Remove for good what ended at or before a change set and no snapshot shows; counts by table."""
        rows = self.execute("SELECT part, removed FROM ltmemory.vacuum_history(:bound)", bound=bound)
        return {row.part: int(row.removed) for row in rows}

    def moment(self, at: object) -> int:
        """The last change set made at or before a point in time; 0 where there is none."""
        return int(
            self.execute(
                "SELECT coalesce(max(id), 0) FROM ltmemory.change_sets WHERE user_id = :user_id AND created_at <= :at",
                at=at,
            ).scalar_one()
        )

    def _versions(self, table: type[Journaled], keys: Any) -> dict[UUID, list[Version]]:
        live, past = _pair(table)
        chosen = keys.subquery()
        every = union_all(
            select(*live.c, null().cast(BigInteger).label("ended_by")).where(
                live.c.user_id == self.user_id, live.c.id.in_(select(chosen.c[0]))
            ),
            select(*[past.c[column.name] for column in live.c], past.c.ended_by).where(
                past.c.user_id == self.user_id, past.c.id.in_(select(chosen.c[0]))
            ),
        )
        found: dict[UUID, list[Version]] = defaultdict(list)
        for row in self.connection.execute(every):
            values = _named(live, row)
            found[values["id"]].append(Version(values, row.ended_by))
        for versions in found.values():
            versions.sort(key=lambda version: version.made_by)
        return dict(found)


def _pair(table: type[Journaled]) -> tuple[Table, Table]:
    metadata = table.metadata
    live: Table = metadata.tables[f"{metadata.schema}.{table.__tablename__}"]
    past: Table = metadata.tables[f"{metadata.schema}.{JOURNALED[table].__tablename__}"]
    return live, past


def _unique_keys(table: type[Journaled]) -> list[list[str]]:
    """Columns of each unique constraint beside the user's."""
    live, _ = _pair(table)
    return [
        [column.name for column in constraint.columns if column.name != "user_id"]
        for constraint in live.constraints
        if isinstance(constraint, UniqueConstraint)
    ]


def _moves(table: type[Journaled], present: Version, wanted: Version) -> bool:
    names = {name for key in _unique_keys(table) for name in key}
    return any(present.values[name] != wanted.values[name] for name in names)


def _named(table: Table, row: Row[Any]) -> dict[str, Any]:
    names: Iterable[str] = [column.name for column in table.c]
    return dict(zip(names, row, strict=False))
