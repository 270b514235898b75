"""Rows of the knowledge graph as they are written, and what a name may stand for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert as upsert

from mira_ltmemory.store.models import GRAPH_JOURNALED, Entity, EntityMerge, Journaled, Mention, Relation
from mira_ltmemory.store.rows import Rows, column_values

SAME, DIFFERENT = "same", "different"

# The names that share the whole key, and those of several words that begin or end with one of the words.
_CANDIDATES = """
SELECT e.id, e.type, e.name, a.key FROM ltmemory.entity_aliases a
JOIN ltmemory.entities e ON e.user_id = a.user_id AND e.id = a.entity_id
WHERE a.user_id = :user_id AND (
    a.key = ANY(CAST(:keys AS text[]))
    OR split_part(a.key, ' ', 1) = ANY(CAST(:words AS text[]))
    OR split_part(a.key, ' ', -1) = ANY(CAST(:words AS text[]))
) ORDER BY e.id, a.key
"""

# Those of one connected set of merges: each seed with everything that is the same as it.
KIN = """
WITH RECURSIVE kin (seed, id) AS (
    SELECT u.id, u.id FROM unnest(CAST(:ids AS uuid[])) AS u (id)
    UNION
    SELECT k.seed, CASE WHEN m.entity_id = k.id THEN m.into_id ELSE m.entity_id END FROM kin k
    JOIN {merges} m ON m.user_id = :user_id AND m.verdict = 'same' AND (m.entity_id = k.id OR m.into_id = k.id)
)
SELECT k.seed, k.id, EXISTS (
    SELECT FROM {merges} m WHERE m.user_id = :user_id AND m.verdict = 'same' AND m.entity_id = k.id
) AS merged FROM kin k ORDER BY k.seed, merged, k.id
"""

# A pair that was parted, or whose merge was undone: nothing but a person brings it together again.
_PARTED = """
SELECT entity_id, into_id FROM ltmemory.entity_merges
WHERE user_id = :user_id AND verdict = 'different'
    AND (entity_id = ANY(CAST(:ids AS uuid[])) OR into_id = ANY(CAST(:ids AS uuid[])))
UNION
SELECT v.entity_id, v.into_id FROM ltmemory.entity_merges_versions v
WHERE v.user_id = :user_id AND v.verdict = 'same'
    AND (v.entity_id = ANY(CAST(:ids AS uuid[])) OR v.into_id = ANY(CAST(:ids AS uuid[])))
    AND NOT EXISTS (SELECT FROM ltmemory.entity_merges m WHERE m.user_id = :user_id AND m.id = v.id)
"""

# The mean of what was said around an entity lately: its context by meaning.
_CONTEXTS = """
SELECT n.entity_id, avg(CAST(v.embedding AS vector({dimension}))) AS mean FROM (
    SELECT m.entity_id, m.source_kind, m.source_id,
        row_number() OVER (PARTITION BY m.entity_id ORDER BY m.said_at DESC) AS place
    FROM ltmemory.mentions m WHERE m.user_id = :user_id AND m.entity_id = ANY(CAST(:ids AS uuid[]))
) n
JOIN ltmemory.vectors v ON v.user_id = :user_id AND v.kind = n.source_kind AND v.row_id = n.source_id
    AND v.model_id = :model_id
WHERE n.place <= :newest GROUP BY n.entity_id
"""

_MOVE_MENTIONS = """
UPDATE ltmemory.mentions t SET entity_id = :to_id
WHERE t.user_id = :user_id AND t.entity_id = :entity_id AND :written = (
    SELECT substr(s.content, t.start_at + 1, t.end_at - t.start_at) FROM (
        SELECT content FROM ltmemory.messages WHERE user_id = :user_id AND id = t.source_id
        UNION ALL SELECT content FROM ltmemory.passages WHERE user_id = :user_id AND id = t.source_id
    ) s)
"""

# Nearby: in the same conversation, within half a day.
_PAIRS = 2_000
_FIRST_NAMES = """
WITH names AS (
    SELECT e.id, e.name, a.key FROM ltmemory.entities e
    JOIN ltmemory.entity_aliases a ON a.user_id = e.user_id AND a.entity_id = e.id
    WHERE e.user_id = :user_id AND e.type = 'person'
)
SELECT f.id AS entity_id, f.name, w.id AS into_id, w.name AS into_name, EXISTS (
    SELECT FROM ltmemory.mentions mf
    JOIN ltmemory.messages sf ON sf.user_id = :user_id AND sf.id = mf.source_id
    JOIN ltmemory.messages sw ON sw.user_id = :user_id AND sw.conversation_id = sf.conversation_id
        AND sw.said_at BETWEEN sf.said_at - interval '12 hours' AND sf.said_at + interval '12 hours'
    JOIN ltmemory.mentions mw ON mw.user_id = :user_id AND mw.source_id = sw.id AND mw.entity_id = w.id
    WHERE mf.user_id = :user_id AND mf.entity_id = f.id
) AS beside
FROM names f JOIN names w ON position(' ' IN f.key) = 0 AND split_part(w.key, ' ', 1) = f.key AND w.key <> f.key
    AND w.id <> f.id
ORDER BY f.id, w.id LIMIT :limit
"""

_NAMES_OF = """
SELECT e.id, e.type, e.name, a.key FROM ltmemory.entities e
JOIN ltmemory.entity_aliases a ON a.user_id = e.user_id AND a.entity_id = e.id
WHERE e.user_id = :user_id AND e.type = :type ORDER BY e.id, a.key LIMIT :limit
"""


@dataclass(frozen=True, slots=True)
class FirstName:
    """A person known by one name, and one whose whole name begins with it; ``beside``: both stood nearby."""

    entity_id: UUID
    name: str
    into_id: UUID
    into_name: str
    beside: bool


# What was said of one subject and kind, each with when and by what.
_PERIODS = """
SELECT r.id, r.object_id, r.valid_from, r.valid_until, t.said, t.sources FROM ltmemory.relations r
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(coalesce(m.said_at, p.said_at) ORDER BY s.source_id), '{}') AS said,
        coalesce(array_agg(s.source_id ORDER BY s.source_id), '{}') AS sources
    FROM ltmemory.sources s
    LEFT JOIN ltmemory.messages m ON m.user_id = :user_id AND s.source_kind = 'message' AND m.id = s.source_id
    LEFT JOIN ltmemory.passages p ON p.user_id = :user_id AND s.source_kind = 'passage' AND p.id = s.source_id
    WHERE s.user_id = :user_id AND s.kind = 'relation' AND s.row_id = r.id
        AND coalesce(m.said_at, p.said_at) IS NOT NULL
) t
WHERE r.user_id = :user_id AND r.subject_id = ANY(CAST(:subjects AS uuid[])) AND r.predicate = :predicate
    AND NOT r.inferred ORDER BY r.id
"""

_INFERRED = """
SELECT r.id, r.confidence, array(SELECT s.source_id FROM ltmemory.sources s
    WHERE s.user_id = r.user_id AND s.kind = 'relation' AND s.row_id = r.id) AS premises
FROM ltmemory.relations r WHERE r.user_id = :user_id AND r.inferred
"""

_SAID = """
SELECT id, subject_id, predicate, object_id, confidence FROM ltmemory.relations
WHERE user_id = :user_id AND NOT inferred AND (valid_from IS NULL OR valid_from <= :now)
    AND (valid_until IS NULL OR valid_until > :now) ORDER BY id LIMIT :limit
"""


@dataclass(frozen=True, slots=True)
class SaidRelation:
    """A relation that was said."""

    id: UUID
    subject_id: UUID
    predicate: str
    object_id: UUID
    confidence: float


@dataclass(frozen=True, slots=True)
class Named:
    """An entity with one of its names as it is compared."""

    id: UUID
    type: str
    name: str
    key: str


class GraphRows(Rows):
    """The user's graph, for whoever writes it."""

    def add(self, rows: Iterable[Journaled]) -> int:
        """Insert rows of the graph's tables, those that are there already left alone; return how many came."""
        by_table: dict[type[Journaled], list[Journaled]] = defaultdict(list)
        for row in rows:
            by_table[type(row)].append(row)
        added = 0
        for table in GRAPH_JOURNALED:
            if table in by_table:
                values = [column_values(row) for row in by_table[table]]
                added += self.connection.execute(upsert(table).on_conflict_do_nothing(), values).rowcount
        return added

    def candidates(self, keys: Collection[str], words: Collection[str]) -> list[Named]:
        """Entities with one of these names, or with a name of several words whose first or last is one of these."""
        if not keys and not words:
            return []
        rows = self.execute(_CANDIDATES, keys=sorted(keys), words=sorted(words))
        return [Named(row.id, row.type, row.name, row.key) for row in rows]

    def kin(self, ids: Iterable[UUID]) -> dict[UUID, list[UUID]]:
        """For each entity all that are the same as it, itself included; the one that the others went into first."""
        found: dict[UUID, list[UUID]] = defaultdict(list)
        wanted = sorted(set(ids))
        if wanted:
            for row in self.execute(KIN.format(merges="ltmemory.entity_merges"), ids=wanted):
                found[row.seed].append(row.id)
        return dict(found)

    def parted(self, ids: Iterable[UUID]) -> set[frozenset[UUID]]:
        """Pairs of which somebody said that they are not the same, or undid that they are."""
        rows = self.execute(_PARTED, ids=sorted(set(ids)))
        return {frozenset((row.entity_id, row.into_id)) for row in rows}

    def entity(self, entity_id: UUID) -> Entity | None:
        """One entity by id."""
        return self.session.get(Entity, (self.user_id, entity_id))

    def has_relation(self, relation_id: UUID) -> bool:
        """Whether a relation is there."""
        return self.session.get(Relation, (self.user_id, relation_id)) is not None

    def first_names(self) -> list[FirstName]:
        """People of one name only, each with the whole names that begin with it, and whether both stood nearby."""
        rows = self.execute(_FIRST_NAMES, limit=_PAIRS)
        return [FirstName(row.entity_id, row.name, row.into_id, row.into_name, row.beside) for row in rows]

    def names_of(self, type: str) -> list[Named]:
        """The names of entities of a type, at most 20,000."""
        rows = self.execute(_NAMES_OF, type=type, limit=_PAIRS * 10)
        return [Named(row.id, row.type, row.name, row.key) for row in rows]

    def periods(self, subjects: Sequence[UUID], predicate: str) -> Sequence[Any]:
        """The relations of a kind that were said of these: ``id``, ``object_id``, ``valid_from``, ``valid_until``.

        Of each also ``said``, the moments of what said it, and ``sources``, their ids.
        """
        return self.execute(_PERIODS, subjects=list(subjects), predicate=predicate).all()

    def bound_relation(self, relation_id: UUID, valid_from: datetime | None, valid_until: datetime | None) -> None:
        """Let a relation hold from and until these moments."""
        self.execute(
            "UPDATE ltmemory.relations SET valid_from = :valid_from, valid_until = :valid_until "
            "WHERE user_id = :user_id AND id = :id",
            id=relation_id,
            valid_from=valid_from,
            valid_until=valid_until,
        )

    def said(self, now: datetime) -> list[SaidRelation]:
        """Relations that were said and hold, at most 50,000."""
        rows = self.execute(_SAID, now=now, limit=_PAIRS * 25)
        return [SaidRelation(row.id, row.subject_id, row.predicate, row.object_id, row.confidence) for row in rows]

    def inferred(self) -> dict[UUID, tuple[float, frozenset[UUID]]]:
        """The inferred relations by id: how sure each is, and the relations that it follows from."""
        return {row.id: (float(row.confidence), frozenset(row.premises)) for row in self.execute(_INFERRED)}

    def renew_relation(self, relation_id: UUID, confidence: float, gone: Collection[UUID]) -> None:
        """Let an inferred relation be so sure, and no longer follow from those that are ``gone``."""
        self.execute(
            "UPDATE ltmemory.relations SET confidence = :confidence WHERE user_id = :user_id AND id = :id AND inferred",
            id=relation_id,
            confidence=confidence,
        )
        self.execute(
            "DELETE FROM ltmemory.sources WHERE user_id = :user_id AND kind = 'relation' AND row_id = :id "
            "AND source_id = ANY(CAST(:gone AS uuid[]))",
            id=relation_id,
            gone=list(gone),
        )

    def remove_relations(self, ids: Sequence[UUID]) -> None:
        """Take inferred relations away, with the links that say what they follow from; their versions stay."""
        self.execute(
            "DELETE FROM ltmemory.sources WHERE user_id = :user_id AND kind = 'relation' "
            "AND row_id = ANY(CAST(:ids AS uuid[]))",
            ids=list(ids),
        )
        self.execute(
            "DELETE FROM ltmemory.relations WHERE user_id = :user_id AND inferred AND id = ANY(CAST(:ids AS uuid[]))",
            ids=list(ids),
        )

    def take_alias(self, entity_id: UUID, key: str) -> str:
        """Take a name from an entity, and return it as it is written."""
        taken = self.execute(
            "DELETE FROM ltmemory.entity_aliases WHERE user_id = :user_id AND entity_id = :entity_id AND key = :key "
            "RETURNING alias",
            entity_id=entity_id,
            key=key,
        )
        return str(taken.scalar_one())

    def move_mentions(self, entity_id: UUID, to_id: UUID, written: str) -> int:
        """Let the mentions of an entity that use this name, as it is written, be another's; return how many."""
        moved = self.execute(_MOVE_MENTIONS, entity_id=entity_id, to_id=to_id, written=written)
        return int(moved.rowcount)

    def merge_row(self, entity_id: UUID, into_id: UUID) -> EntityMerge | None:
        """What was decided of a pair, in this order."""
        row = self.execute(
            "SELECT id FROM ltmemory.entity_merges "
            "WHERE user_id = :user_id AND entity_id = :entity_id AND into_id = :into_id",
            entity_id=entity_id,
            into_id=into_id,
        ).scalar()
        return None if row is None else self.session.get(EntityMerge, (self.user_id, row))

    def merges_of(self, entity_id: UUID) -> list[EntityMerge]:
        """The decisions by which an entity is the same as others."""
        rows = self.execute(
            "SELECT id FROM ltmemory.entity_merges WHERE user_id = :user_id AND verdict = 'same' "
            "AND (entity_id = :entity_id OR into_id = :entity_id) ORDER BY id",
            entity_id=entity_id,
        ).scalars()
        found = (self.session.get(EntityMerge, (self.user_id, each)) for each in rows)
        return [each for each in found if each is not None]

    def save(self, row: Journaled) -> None:
        """Write a changed row."""
        self.session.add(row)
        self.session.flush()

    def contexts(
        self, ids: Sequence[UUID], model_id: int, dimension: int, newest: int = 20
    ) -> dict[UUID, tuple[float, ...]]:
        """For each entity the mean vector of the texts that spoke of it lately; entities without vectors have none."""
        rows = self.execute(
            _CONTEXTS.format(dimension=int(dimension)), ids=sorted(set(ids)), model_id=model_id, newest=newest
        )
        return {row.entity_id: tuple(float(each) for each in _numbers(row.mean)) for row in rows}

    def mentioned(self, source_ids: Sequence[UUID]) -> dict[UUID, list[UUID]]:
        """Which entities are mentioned in which message or passage, by its id."""
        found: dict[UUID, list[UUID]] = defaultdict(list)
        rows = self.execute(
            "SELECT DISTINCT source_id, entity_id FROM ltmemory.mentions "
            "WHERE user_id = :user_id AND source_id = ANY(CAST(:ids AS uuid[])) ORDER BY source_id, entity_id",
            ids=list(source_ids),
        )
        for row in rows:
            found[row.source_id].append(row.entity_id)
        return dict(found)

    def mentions_of(self, entity_id: UUID) -> list[Mention]:
        """Every mention of one entity, oldest first."""
        rows = self.execute(
            "SELECT id FROM ltmemory.mentions WHERE user_id = :user_id AND entity_id = :entity_id ORDER BY said_at, id",
            entity_id=entity_id,
        ).scalars()
        found = (self.session.get(Mention, (self.user_id, each)) for each in rows)
        return [each for each in found if each is not None]


def _numbers(value: object) -> Iterable[str]:
    """The numbers of a vector as Postgres writes it, or as a driver's adapter reads it."""
    if isinstance(value, str):
        return value.strip("[]").split(",")
    return (str(each) for each in value)  # type: ignore[attr-defined]
