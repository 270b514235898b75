"""Every version of journaled rows: who made each, who ended it, and how a row is put back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Table, literal, null, or_, select, union, union_all
from sqlalchemy.engine import Row

from mira_ltmemory.store.models import JOURNALED, Block, Conversation, Journaled, Message, Passage, Source
from mira_ltmemory.store.rows import Rows

TABLES: tuple[type[Journaled], ...] = (Conversation, Message, Passage, Block, Source)
"""The journaled tables, those that others refer to first."""

_CITES = """
SELECT DISTINCT s.change_set_id FROM ltmemory.sources s
WHERE s.user_id = :user_id AND s.source_id = ANY(:ids) AND NOT s.row_id = ANY(:ids)
UNION
SELECT DISTINCT m.change_set_id FROM ltmemory.messages m
WHERE m.user_id = :user_id AND m.conversation_id = ANY(:ids) AND NOT m.id = ANY(:ids)
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
    """What the journal knows of a change set's place: its parent, and what it undoes."""

    id: int
    parent_id: int | None
    undoes: int | None


class HistoryRows(Rows):
    """The versions of the user's journaled rows."""

    def touched(self, table: type[Journaled], change_sets: Collection[int]) -> dict[UUID, list[Version]]:
        """Every version, oldest first, of the rows that these change sets made, changed or removed."""
        live, past = _pair(table)
        wanted = list(change_sets)
        keys = union(
            select(live.c.id).where(live.c.user_id == self.user_id, live.c.change_set_id.in_(wanted)),
            select(past.c.id).where(
                past.c.user_id == self.user_id,
                or_(past.c.change_set_id.in_(wanted), past.c.ended_by.in_(wanted)),
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

    def put(self, table: type[Journaled], present: Version | None, wanted: Version | None, last: int) -> None:
        """Make a row what ``wanted`` says (none: gone). ``last`` is the number of its newest version so far."""
        live, _ = _pair(table)
        if present is None and wanted is None:
            return
        key = (present or wanted).values["id"]  # type: ignore[union-attr]
        own = (live.c.user_id == self.user_id) & (live.c.id == key)
        if wanted is None:
            self.connection.execute(live.delete().where(own))
        elif present is None:
            fresh = {"version": last + 1, "change_set_id": self._unit.change_set_id}
            self.connection.execute(live.insert().values({**wanted.values, **fresh}))
        else:
            kept = {"user_id", "id", "version", "change_set_id"}
            values = {name: value for name, value in wanted.values.items() if name not in kept}
            self.connection.execute(live.update().where(own).values(values))

    def citing(self, row_ids: Sequence[UUID]) -> set[int]:
        """The change sets of rows outside ``row_ids`` that came from, or belong to, one of ``row_ids``."""
        if not row_ids:
            return set()
        return {row.change_set_id for row in self.execute(_CITES, ids=list(row_ids))}

    def entries_from(self, first: int) -> list[Entry]:
        """The journal from a change set on, oldest first."""
        rows = self.execute(
            "SELECT id, parent_id, undoes FROM ltmemory.change_sets "
            "WHERE user_id = :user_id AND id >= :first ORDER BY id",
            first=first,
        )
        return [Entry(row.id, row.parent_id, row.undoes) for row in rows]

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


def _named(table: Table, row: Row[Any]) -> dict[str, Any]:
    names: Iterable[str] = [column.name for column in table.c]
    return dict(zip(names, row, strict=False))
