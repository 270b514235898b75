"""Rows that go for good: what came from what, what a row was, and the functions that take it out of history."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from mira_ltmemory.protocols import Json, Kind
from mira_ltmemory.store.database import Database
from mira_ltmemory.store.erasable import CONVERSATION, ROW_TABLES, TEXT
from mira_ltmemory.store.rows import Rows
from mira_ltmemory.store.scan import Place
from mira_ltmemory.store.words import KIND_NUMBERS

_DERIVED = """
SELECT DISTINCT {taken} AS kind, {row} AS id, {given} AS from_id FROM (
    SELECT kind, row_id, source_kind, source_id FROM ltmemory.sources WHERE user_id = :user_id
    UNION ALL
    SELECT kind, row_id, source_kind, source_id FROM ltmemory.sources_versions WHERE user_id = :user_id
) s WHERE {given} = ANY(CAST(:ids AS uuid[]))
"""

_LINKS = """
SELECT id FROM ltmemory.sources
WHERE user_id = :user_id AND (row_id = ANY(CAST(:ids AS uuid[])) OR source_id = ANY(CAST(:ids AS uuid[])))
UNION
SELECT id FROM ltmemory.sources_versions
WHERE user_id = :user_id AND (row_id = ANY(CAST(:ids AS uuid[])) OR source_id = ANY(CAST(:ids AS uuid[])))
"""

# The newest version of each row, and how many there are.
_ROWS = """
SELECT DISTINCT ON (r.id) r.id, r.text, r.at, count(*) OVER (PARTITION BY r.id) AS versions, r.ended_by IS NULL AS live
FROM (
    SELECT t.id, {text} AS text, {at} AS at, t.version, NULL::bigint AS ended_by
    FROM ltmemory.{table} t WHERE t.user_id = :user_id AND t.id = ANY(CAST(:ids AS uuid[]))
    UNION ALL
    SELECT t.id, {text}, {at}, t.version, t.ended_by
    FROM ltmemory.{table}_versions t WHERE t.user_id = :user_id AND t.id = ANY(CAST(:ids AS uuid[]))
) r ORDER BY r.id, r.ended_by DESC NULLS FIRST
"""

_TEXT_OF = {
    Kind.MESSAGE.value: ("t.content", "t.said_at"),
    Kind.PASSAGE.value: ("t.content", "t.said_at"),
    Kind.BLOCK.value: ("t.label", "NULL::timestamptz"),
    CONVERSATION: ("coalesce(t.title, t.external_id)", "NULL::timestamptz"),
    Kind.ENTITY.value: ("t.type || ' ' || t.name", "NULL::timestamptz"),
    Kind.ALIAS.value: ("t.alias", "NULL::timestamptz"),
    Kind.MENTION.value: ("'mention in ' || t.source_kind || ' ' || t.source_id", "t.said_at"),
    Kind.RELATION.value: ("t.predicate", "t.valid_from"),
    Kind.MERGE.value: ("t.verdict", "NULL::timestamptz"),
}

_MESSAGES_OF = """
SELECT id FROM ltmemory.messages WHERE user_id = :user_id AND conversation_id = ANY(CAST(:ids AS uuid[]))
UNION SELECT id FROM ltmemory.messages_versions
WHERE user_id = :user_id AND conversation_id = ANY(CAST(:ids AS uuid[]))
"""

_TEXTS = """
SELECT content FROM ltmemory.{table} WHERE user_id = :user_id AND id = ANY(CAST(:ids AS uuid[]))
UNION SELECT content FROM ltmemory.{table}_versions WHERE user_id = :user_id AND id = ANY(CAST(:ids AS uuid[]))
"""

# A mark that ends at an erased row begins its change set anew.
_FORGET_MARK = """
UPDATE ltmemory.consolidation_marks SET row_id = '00000000-0000-0000-0000-000000000000'
WHERE user_id = :user_id AND row_id = ANY(CAST(:ids AS uuid[]))
"""

_BURY = """
INSERT INTO ltmemory.tombstones (user_id, kind, row_id, receipt_id, erased_at)
SELECT :user_id, :kind, u.id, :receipt_id, :at FROM unnest(CAST(:ids AS uuid[])) AS u (id) ON CONFLICT DO NOTHING
"""


# Each union reads earlier versions too: what was undone or merged once is not left behind. A name, mention, relation
# or merge goes with its entity; a mention with its source; an entity with its name, with those it is the same as, and
# when the last that spoke of it goes.
_GRAPH_TABLE = """
SELECT {columns} FROM ltmemory.{table} WHERE user_id = :user_id AND {where}
UNION SELECT {columns} FROM ltmemory.{table}_versions WHERE user_id = :user_id AND {where}
"""
_IDS = "ANY(CAST(:ids AS uuid[]))"


def _graph(table: str, columns: str, where: str) -> str:
    return _GRAPH_TABLE.format(table=table, columns=columns, where=where.replace("@", _IDS))


_OF_ENTITIES = {
    Kind.ALIAS: _graph("entity_aliases", "id, entity_id AS akin", "entity_id = @"),
    Kind.MENTION: _graph("mentions", "id, entity_id AS akin", "entity_id = @"),
    Kind.RELATION: _graph("relations", "id, subject_id AS akin", "(subject_id = @ OR object_id = @)"),
    Kind.MERGE: _graph("entity_merges", "id, into_id AS akin", "(entity_id = @ OR into_id = @)"),
}
_NAMED = _graph("entity_aliases", "entity_id AS id, id AS akin", "id = @")
_SPOKEN_OF = _graph("mentions", "id, source_id AS akin", "source_id = @")
_SAME = (
    _graph("entity_merges", "into_id AS id, entity_id AS akin", "entity_id = @ AND verdict = 'same'"),
    _graph("entity_merges", "entity_id AS id, into_id AS akin", "into_id = @ AND verdict = 'same'"),
)
_LAST_SPOKEN_OF = f"""
WITH spoken AS (
    SELECT id, entity_id FROM ltmemory.mentions WHERE user_id = :user_id
    UNION SELECT id, entity_id FROM ltmemory.mentions_versions WHERE user_id = :user_id
)
SELECT m.entity_id AS id, (array_agg(m.id))[1] AS akin FROM spoken m
WHERE m.entity_id IN (SELECT entity_id FROM spoken WHERE id = {_IDS})
GROUP BY m.entity_id HAVING bool_and(m.id = {_IDS})
"""


@dataclass(frozen=True, slots=True)
class RowFacts:
    """A row as an erasure sees it: its newest text, its moment, how many versions, and whether it is present."""

    id: UUID
    text: str
    at: datetime | None
    versions: int
    live: bool


@dataclass(frozen=True, slots=True)
class Erased:
    """What became of rows of a table, and the change sets that had made or ended them."""

    live: int
    versions: int
    change_sets: frozenset[int]


@dataclass(frozen=True, slots=True)
class BlockText:
    """One version of a block; ``ended_by`` is none for the present one."""

    id: UUID
    label: str
    content: str
    made_by: int
    ended_by: int | None

    @property
    def place(self) -> Place:
        """Where the text stands."""
        if self.ended_by is None:
            return Place("blocks", {"id": self.id}, "content", self.content)
        return Place("blocks_versions", {"id": self.id, "ended_by": self.ended_by}, "content", self.content)


class ErasureRows(Rows):
    """Erasing in the user's tables, inside a change set of the tool ``forget``."""

    def linked(self, ids: Iterable[UUID], *, upwards: bool = False) -> list[tuple[str, UUID, UUID]]:
        """What came directly from these rows (or, ``upwards``, what they came from): kind, id, and from or to whom."""
        columns = ("source_kind", "source_id", "row_id") if upwards else ("kind", "row_id", "source_id")
        statement = _DERIVED.format(taken=columns[0], row=columns[1], given=columns[2])
        return [(row.kind, row.id, row.from_id) for row in self.execute(statement, ids=list(ids))]

    def in_graph(self, kind: Kind, ids: Sequence[UUID]) -> list[tuple[Kind, UUID, UUID]]:
        """What of the graph goes with rows of a kind: kind, id, and with whom it goes.

        For mentions give all that go: their entities go where no other is left.
        """
        statements = {
            Kind.MESSAGE: [(Kind.MENTION, _SPOKEN_OF)],
            Kind.PASSAGE: [(Kind.MENTION, _SPOKEN_OF)],
            Kind.ALIAS: [(Kind.ENTITY, _NAMED)],
            Kind.MENTION: [(Kind.ENTITY, _LAST_SPOKEN_OF)],
            Kind.ENTITY: [*_OF_ENTITIES.items(), *((Kind.ENTITY, same) for same in _SAME)],
        }
        return [
            (reached, row.id, row.akin)
            for reached, statement in statements.get(kind, ())
            for row in (self.execute(statement, ids=list(ids)) if ids else ())
        ]

    def facts(self, kind: str, ids: Sequence[UUID]) -> dict[UUID, RowFacts]:
        """The rows of a kind that are present or known from earlier versions."""
        if kind not in ROW_TABLES or not ids:
            return {}
        text, at = _TEXT_OF[kind]
        rows = self.execute(_ROWS.format(table=ROW_TABLES[kind], text=text, at=at), ids=list(ids))
        return {row.id: RowFacts(row.id, row.text, row.at, row.versions, row.live) for row in rows}

    def messages_of(self, conversations: Sequence[UUID]) -> list[UUID]:
        """Every message that these conversations have or had."""
        return [row.id for row in self.execute(_MESSAGES_OF, ids=list(conversations))]

    def texts(self, kind: str, ids: Sequence[UUID]) -> set[str]:
        """Every text that these rows hold or held."""
        return {row.content for row in self.execute(_TEXTS.format(table=ROW_TABLES[kind]), ids=list(ids))}

    def tombstoned(self, kind: str, ids: Sequence[UUID]) -> dict[UUID, datetime]:
        """Which of these ids were erased, and when."""
        rows = self.execute(
            "SELECT row_id, erased_at FROM ltmemory.tombstones "
            "WHERE user_id = :user_id AND kind = :kind AND row_id = ANY(CAST(:ids AS uuid[]))",
            kind=kind,
            ids=list(ids),
        )
        return {row.row_id: row.erased_at for row in rows}

    def bury(self, kind: str, ids: Iterable[UUID], receipt_id: UUID, at: datetime) -> None:
        """Remember that rows were erased, so that nothing brings them back."""
        self.execute(_BURY, kind=kind, ids=sorted(ids), receipt_id=receipt_id, at=at)

    def bury_texts(self, hashes: Iterable[UUID], receipt_id: UUID, at: datetime) -> None:
        """Remember that passages of these texts (by ``content_hash``) were erased, by a hash that is the user's own."""
        self.bury(TEXT, [self._text_key(each) for each in hashes], receipt_id, at)

    def text_erased(self, content_hash: UUID) -> datetime | None:
        """When a passage of this text was erased, if one was."""
        key = self._text_key(content_hash)
        return self.tombstoned(TEXT, [key]).get(key)

    def _text_key(self, content_hash: UUID) -> UUID:
        return uuid5(self.user_id, f"passage:{content_hash}")

    def erase_rows(self, table: str, ids: Iterable[UUID]) -> Erased:
        """Erase rows with every version that they ever had."""
        row = self.execute(
            "SELECT live, versions, change_sets FROM ltmemory.erase_rows(:target, CAST(:ids AS uuid[]))",
            target=table,
            ids=sorted(ids),
        ).one()
        return Erased(row.live, row.versions, frozenset(row.change_sets) - {self._unit.change_set_id})

    def links(self, ids: Iterable[UUID]) -> list[UUID]:
        """The provenance links of rows, in either direction, with those that were dropped since."""
        return [row.id for row in self.execute(_LINKS, ids=sorted(ids))]

    def erase_derived(self, kind: Kind, ids: Sequence[UUID]) -> tuple[int, int, int]:
        """Erase what was computed from rows; tell how many vectors, indexed texts and queued texts there were."""
        words = self._unit.words.remove(kind, ids) if kind in KIND_NUMBERS else 0
        if kind is Kind.MESSAGE:
            self._unit.batches.erase(ids)
        if kind in KIND_NUMBERS:
            self._unit.uses.erase(kind, ids)
            self._unit.cold.drop(kind, ids)
            self.execute(_FORGET_MARK, ids=list(ids))
        vectors = self.execute(
            "SELECT ltmemory.erase_vectors(:kind, CAST(:ids AS uuid[]))", kind=kind.value, ids=list(ids)
        ).scalar_one()
        queued = self.execute(
            "DELETE FROM ltmemory.pending_embeddings "
            "WHERE user_id = :user_id AND kind = :kind AND row_id = ANY(CAST(:ids AS uuid[]))",
            kind=kind.value,
            ids=list(ids),
        ).rowcount
        return int(vectors), words, queued

    def erase_in_place(self, place: Place, what: Mapping[str, Any]) -> None:
        """Take the text out of one value; a present journaled row gets a new version by it."""
        self.execute(
            "SELECT ltmemory.erase_in_place(:target, CAST(:key AS jsonb), :field, CAST(:places AS jsonb))",
            target=place.table,
            key=json.dumps({name: str(value) for name, value in place.key.items()}),
            field=place.column,
            places=json.dumps(what),
        )

    def note(self, receipt: Json, touched: Iterable[int]) -> None:
        """Keep the receipt with its change set, and mark the change sets that lost rows by it."""
        self.execute(
            "SELECT ltmemory.note_erasure(CAST(:receipt AS jsonb), CAST(:touched AS bigint[]))",
            receipt=json.dumps(receipt),
            touched=sorted(touched),
        )

    def receipts(self) -> list[Json]:
        """Every receipt that was kept, newest first."""
        rows = self.execute(
            "SELECT metadata -> 'erasure' AS receipt FROM ltmemory.change_sets "
            "WHERE user_id = :user_id AND tool = 'forget' AND metadata ? 'erasure' ORDER BY id DESC"
        )
        return [row.receipt for row in rows]

    def block_texts(self, ids: Sequence[UUID]) -> list[BlockText]:
        """Every text that these blocks hold or held, oldest first."""
        rows = self.execute(
            "SELECT id, label, content, change_set_id, NULL AS ended_by FROM ltmemory.blocks "
            "WHERE user_id = :user_id AND id = ANY(CAST(:ids AS uuid[])) UNION ALL "
            "SELECT id, label, content, change_set_id, ended_by FROM ltmemory.blocks_versions "
            "WHERE user_id = :user_id AND id = ANY(CAST(:ids AS uuid[])) ORDER BY id, change_set_id",
            ids=list(ids),
        )
        return [BlockText(row.id, row.label, row.content, row.change_set_id, row.ended_by) for row in rows]

    def read_only_blocks(self, ids: Sequence[UUID]) -> list[str]:
        """Labels of those of these blocks that may not be changed."""
        rows = self.execute(
            "SELECT label FROM ltmemory.blocks WHERE user_id = :user_id AND read_only "
            "AND id = ANY(CAST(:ids AS uuid[])) ORDER BY label",
            ids=list(ids),
        )
        return [row.label for row in rows]


# ANALYZE of a table that has become empty keeps the old samples. Postgres knows how to drop them from 18 on.
_CLEAR_SAMPLES = """
DO $$
BEGIN
    IF to_regproc('pg_catalog.pg_clear_attribute_stats') IS NOT NULL THEN
        PERFORM pg_clear_attribute_stats('ltmemory', CAST(c.relname AS text), CAST(a.attname AS text), false)
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.oid = to_regclass('ltmemory.{table}') OR c.oid IN (
            SELECT i.indexrelid FROM pg_index i
            WHERE i.indrelid = to_regclass('ltmemory.{table}') AND i.indexprs IS NOT NULL
        );
    END IF;
END
$$
"""


def clean_up(database: Database, tables: Iterable[str], *, vacuum: bool) -> None:
    """Make Postgres forget samples of erased values, and with ``vacuum`` the erased rows themselves. By the owner."""
    names = sorted(tables)
    database.maintain([f'VACUUM (FULL) ltmemory."{name}"' for name in names] if vacuum else [])
    # The planner's statistics hold sample values of every column.
    for name in names:
        database.maintain([_CLEAR_SAMPLES.format(table=name), f'ANALYZE ltmemory."{name}"'])
