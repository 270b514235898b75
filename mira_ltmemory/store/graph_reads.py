"""The knowledge graph as it is read, now or at the end of a change set; each query is bounded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy.engine import CursorResult

from mira_ltmemory.protocols import Kind
from mira_ltmemory.store.graph import KIN, Named
from mira_ltmemory.store.models import GRAPH_JOURNALED
from mira_ltmemory.store.rows import Rows
from mira_ltmemory.store.vector_text import vector_text

if TYPE_CHECKING:
    from mira_ltmemory.protocols import Vectors

MAX_HOPS = 4
MAX_REACHED = 2_000
MAX_EDGES = 50_000
MOST_TOGETHER = 60
"""A text that speaks of more than so many is a list."""

_TABLES = tuple(str(table.__tablename__) for table in GRAPH_JOURNALED)
_COLUMNS = {
    str(table.__tablename__): ", ".join(f'"{column.name}"' for column in table.__table__.columns)  # type: ignore[attr-defined]
    for table in GRAPH_JOURNALED
}
_THEN = """(
    SELECT {columns} FROM ltmemory.{table} WHERE user_id = :user_id AND change_set_id <= :moment
    UNION ALL
    SELECT {columns} FROM ltmemory.{table}_versions
    WHERE user_id = :user_id AND change_set_id <= :moment AND ended_by > :moment
)"""

_NAMED = """
SELECT e.id, e.type, e.name, a.key FROM {entity_aliases} a
JOIN {entities} e ON e.user_id = a.user_id AND e.id = a.entity_id
WHERE a.user_id = :user_id AND ({which}) ORDER BY e.id, a.key LIMIT :limit
"""
_BY_KEY = "a.key = ANY(CAST(:keys AS text[]))"
_BY_WORD = "string_to_array(a.key, ' ') && CAST(:words AS text[])"

_NEAREST = """
SELECT v.row_id AS id, 1 - (CAST(v.embedding AS halfvec({dimension})) <=> CAST(:vector AS halfvec({dimension}))) AS near
FROM ltmemory.vectors v JOIN {entities} e ON e.user_id = v.user_id AND e.id = v.row_id
    AND e.content_hash = v.content_hash
WHERE v.user_id = :user_id AND v.kind = 'entity' AND v.model_id = :model_id
    AND (CAST(:type AS text) IS NULL OR e.type = :type)
ORDER BY near DESC, id LIMIT :limit
"""

_DETAILS = """
SELECT e.id, e.type, e.name, e.origin, array(
    SELECT a.alias FROM {entity_aliases} a WHERE a.user_id = :user_id AND a.entity_id = e.id ORDER BY a.alias
) AS aliases FROM {entities} e WHERE e.user_id = :user_id AND e.id = ANY(CAST(:ids AS uuid[]))
"""

_SPOKEN = """
SELECT m.entity_id, count(*) AS mentions, min(m.said_at) AS first, max(m.said_at) AS last FROM {mentions} m
WHERE m.user_id = :user_id AND m.entity_id = ANY(CAST(:ids AS uuid[])) GROUP BY m.entity_id
"""

_LATEST = """
SELECT m.entity_id, m.source_kind, m.source_id, m.start_at, m.end_at, m.said_at, m.confidence, m.method,
    coalesce(s.content, p.content) AS content, s.speaker, s.role, s.external_id, c.external_id AS conversation
FROM {mentions} m
LEFT JOIN ltmemory.messages s ON s.user_id = m.user_id AND m.source_kind = 'message' AND s.id = m.source_id
LEFT JOIN ltmemory.passages p ON p.user_id = m.user_id AND m.source_kind = 'passage' AND p.id = m.source_id
LEFT JOIN ltmemory.conversations c ON c.user_id = m.user_id AND c.id = s.conversation_id
WHERE m.user_id = :user_id AND m.entity_id = ANY(CAST(:ids AS uuid[]))
ORDER BY m.said_at DESC, m.source_id, m.start_at LIMIT :limit
"""

# What was kept on purpose. Not what repeats a tool or a web page, nor what an undo made what it is.
_UNREAD = """
SELECT r.id, r.change_set_id, r.origin, r.content, r.said_at FROM ltmemory.passages r
JOIN ltmemory.change_sets c ON c.user_id = r.user_id AND c.id = r.change_set_id
WHERE r.user_id = :user_id AND r.change_set_id >= :after AND (r.change_set_id, r.id) > (:after, :row_id)
    AND r.change_set_id <= :through AND r.category = 'note' AND r.valid_until IS NULL
    AND r.origin NOT IN ('tool', 'web') AND NOT c.metadata ? 'untrusted_source' AND c.undoes IS NULL
    AND NOT EXISTS (SELECT FROM ltmemory.mentions m WHERE m.user_id = :user_id AND m.source_id = r.id)
ORDER BY r.change_set_id, r.id LIMIT :limit
"""

_RELATIONS = """
SELECT r.id, r.subject_id, r.predicate, r.object_id, r.confidence, r.inferred, r.rule, r.valid_from, r.valid_until,
    array(SELECT s.source_id FROM ltmemory.sources s WHERE s.user_id = r.user_id AND s.kind = 'relation'
        AND s.row_id = r.id ORDER BY s.source_id LIMIT 5) AS evidence
FROM {relations} r WHERE r.user_id = :user_id
    AND (r.subject_id = ANY(CAST(:ids AS uuid[])) OR r.object_id = ANY(CAST(:ids AS uuid[])))
ORDER BY r.inferred, r.valid_until IS NOT NULL, r.confidence DESC, r.id LIMIT :limit
"""

# A step along a relation costs one; from an entity to one that is the same as it, nothing.
_REACHED = """
WITH RECURSIVE edges (a, b, cost) AS (
    SELECT subject_id, object_id, 1 FROM {relations} WHERE user_id = :user_id AND (:inferred OR NOT inferred)
    UNION ALL
    SELECT object_id, subject_id, 1 FROM {relations} WHERE user_id = :user_id AND (:inferred OR NOT inferred)
    UNION ALL
    SELECT entity_id, into_id, 0 FROM {entity_merges} WHERE user_id = :user_id AND verdict = 'same'
    UNION ALL
    SELECT into_id, entity_id, 0 FROM {entity_merges} WHERE user_id = :user_id AND verdict = 'same'
), reached (id, hops) AS (
    SELECT u.id, 0 FROM unnest(CAST(:ids AS uuid[])) AS u (id)
    UNION
    SELECT e.b, r.hops + e.cost FROM reached r JOIN edges e ON e.a = r.id WHERE r.hops + e.cost <= :hops
)
SELECT id, min(hops) AS hops FROM reached GROUP BY id ORDER BY hops, id LIMIT :limit
"""

_LATELY = """
SELECT m.entity_id, m.said_at, m.source_id FROM {mentions} m WHERE m.user_id = :user_id
ORDER BY m.said_at DESC, m.id LIMIT :limit
"""

# Who is spoken of in the same text: the newest mentions only, and no text that is a list of names: it does not say that
# they have to do with each other, and its pairs are the square of it.
_TEXTS = """
WITH lately AS (
    SELECT m.entity_id, m.source_id FROM {mentions} m
    JOIN {entities} e ON e.user_id = m.user_id AND e.id = m.entity_id
    WHERE m.user_id = :user_id AND e.type = ANY(CAST(:types AS text[]))
    ORDER BY m.said_at DESC, m.id LIMIT :newest
), spoken AS (
    SELECT DISTINCT entity_id, source_id FROM lately
), texts AS (
    SELECT source_id FROM spoken GROUP BY source_id HAVING count(*) BETWEEN 2 AND :most
)"""
_TOGETHER = f"""{_TEXTS}
SELECT a.entity_id AS a, b.entity_id AS b, count(*) AS times FROM texts t
JOIN spoken a ON a.source_id = t.source_id
JOIN spoken b ON b.source_id = t.source_id AND a.entity_id < b.entity_id
GROUP BY a.entity_id, b.entity_id HAVING count(*) >= :least
ORDER BY times DESC, a, b LIMIT :limit
"""
_IN_ONE_TEXT = f"""{_TEXTS}
SELECT array_agg(s.entity_id) AS ids FROM texts t JOIN spoken s ON s.source_id = t.source_id GROUP BY t.source_id
"""

_EDGES = """
SELECT subject_id AS a, object_id AS b, predicate, confidence, inferred FROM {relations}
WHERE user_id = :user_id AND (valid_until IS NULL OR valid_until > :now) AND (:inferred OR NOT inferred)
ORDER BY id LIMIT :limit
"""

_KEYS = """
SELECT a.key, a.alias FROM {entity_aliases} a WHERE a.user_id = :user_id
ORDER BY a.change_set_id DESC, a.id LIMIT :limit
"""


@dataclass(frozen=True, slots=True)
class EntityDetails:
    """An entity with its names."""

    id: UUID
    type: str
    name: str
    origin: str
    aliases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Spoken:
    """How often an entity was spoken of, and when first and last."""

    mentions: int
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class MentionDetails:
    """A mention with the text that holds it; ``content`` is none where that text is not there any more."""

    entity_id: UUID
    source_kind: Kind
    source_id: UUID
    start: int
    end: int
    said_at: datetime
    confidence: float
    method: str
    content: str | None
    speaker: str | None
    role: str | None
    external_id: str | None
    conversation: str | None


@dataclass(frozen=True, slots=True)
class RelationDetails:
    """A relation; ``evidence`` are ids of messages or passages, at most five."""

    id: UUID
    subject_id: UUID
    predicate: str
    object_id: UUID
    confidence: float
    inferred: bool
    rule: str | None
    valid_from: datetime | None
    valid_until: datetime | None
    evidence: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class Together:
    """Two entities and the number of texts that speak of both."""

    a: UUID
    b: UUID
    times: int


@dataclass(frozen=True, slots=True)
class UnreadPassage:
    """A passage that was kept on purpose and not read for entities yet."""

    id: UUID
    change_set_id: int
    origin: str
    content: str
    said_at: datetime


class GraphReads(Rows):
    """The user's graph, for whoever reads it. ``moment`` is a change set; none is now."""

    def unread_passages(self, after: int, row_id: UUID, through: int, limit: int) -> list[UnreadPassage]:
        """Passages kept on purpose, by change set and id, after those given and up to a change set."""
        rows = self.execute(_UNREAD, after=after, row_id=row_id, through=through, limit=limit)
        return [UnreadPassage(row.id, row.change_set_id, row.origin, row.content, row.said_at) for row in rows]

    def named(self, keys: Collection[str], words: Collection[str] = (), *, moment: int | None = None) -> list[Named]:
        """Entities with one of these names, or with one of these words in a name."""
        if not keys and not words:
            return []
        # By whole names alone an index answers; by words every name of the user is read.
        which = f"{_BY_KEY} OR {_BY_WORD}" if words else _BY_KEY
        given: dict[str, Any] = {"words": sorted(words)} if words else {}
        rows = self._ask(_NAMED.replace("{which}", which), moment, keys=sorted(keys), limit=MAX_REACHED, **given)
        return [Named(row.id, row.type, row.name, row.key) for row in rows]

    def nearest(
        self, vector: Vectors, model_id: int, limit: int, *, type: str | None = None, moment: int | None = None
    ) -> list[tuple[UUID, float]]:
        """Entities whose names are near a vector, nearest first, with the cosine."""
        statement = _NEAREST.replace("{dimension}", str(len(vector)))
        rows = self._ask(statement, moment, vector=vector_text(vector), model_id=model_id, limit=limit, type=type)
        return [(row.id, float(row.near)) for row in rows]

    def details(self, ids: Iterable[UUID], *, moment: int | None = None) -> dict[UUID, EntityDetails]:
        """Entities by their ids."""
        rows = self._ask(_DETAILS, moment, ids=sorted(set(ids)))
        return {row.id: EntityDetails(row.id, row.type, row.name, row.origin, tuple(row.aliases)) for row in rows}

    def kin(self, ids: Iterable[UUID], *, moment: int | None = None) -> dict[UUID, list[UUID]]:
        """For each entity all that are the same as it, itself included; the one that the others went into first."""
        found: dict[UUID, list[UUID]] = defaultdict(list)
        for row in self._ask(KIN.replace("{merges}", "{entity_merges}"), moment, ids=sorted(set(ids))):
            found[row.seed].append(row.id)
        return dict(found)

    def spoken(self, ids: Iterable[UUID], *, moment: int | None = None) -> dict[UUID, Spoken]:
        """How often entities were spoken of."""
        rows = self._ask(_SPOKEN, moment, ids=sorted(set(ids)))
        return {row.entity_id: Spoken(row.mentions, row.first, row.last) for row in rows}

    def latest(self, ids: Iterable[UUID], limit: int, *, moment: int | None = None) -> list[MentionDetails]:
        """The newest mentions of entities, newest first."""
        return [
            MentionDetails(
                row.entity_id, Kind(row.source_kind), row.source_id, row.start_at, row.end_at, row.said_at,
                float(row.confidence), row.method, row.content, row.speaker, row.role, row.external_id,
                row.conversation,
            )
            for row in self._ask(_LATEST, moment, ids=sorted(set(ids)), limit=limit)
        ]  # fmt: skip

    def relations(self, ids: Iterable[UUID], limit: int = 100, *, moment: int | None = None) -> list[RelationDetails]:
        """Relations of entities: said before inferred, present before ended."""
        return [
            RelationDetails(
                row.id, row.subject_id, row.predicate, row.object_id, float(row.confidence), row.inferred, row.rule,
                row.valid_from, row.valid_until, tuple(row.evidence),
            )
            for row in self._ask(_RELATIONS, moment, ids=sorted(set(ids)), limit=limit)
        ]  # fmt: skip

    def reached(
        self, ids: Iterable[UUID], hops: int, *, inferred: bool = True, moment: int | None = None
    ) -> dict[UUID, int]:
        """Entities within so many steps along relations, with the steps; at most ``MAX_HOPS`` and ``MAX_REACHED``."""
        wanted = {"ids": sorted(set(ids)), "hops": min(hops, MAX_HOPS), "limit": MAX_REACHED, "inferred": inferred}
        return {row.id: row.hops for row in self._ask(_REACHED, moment, **wanted)}

    def lately(self, limit: int, *, moment: int | None = None) -> list[tuple[UUID, datetime, UUID]]:
        """The newest mentions: entity, when, and the text's id."""
        rows = self._ask(_LATELY, moment, limit=limit)
        return [(row.entity_id, row.said_at, row.source_id) for row in rows]

    def together(
        self, types: Sequence[str], *, least: int, newest: int = 20_000, limit: int = MAX_EDGES
    ) -> list[Together]:
        """Pairs of entities of these types that at least so many texts speak of, of the newest mentions; no lists."""
        rows = self._ask(
            _TOGETHER, None, types=list(types), least=least, newest=newest, most=MOST_TOGETHER, limit=limit
        )
        return [Together(row.a, row.b, row.times) for row in rows]

    def in_one_text(self, types: Sequence[str], *, newest: int = 20_000) -> list[frozenset[UUID]]:
        """The entities of these types that each text speaks of, two or more, of the newest mentions; no lists."""
        rows = self._ask(_IN_ONE_TEXT, None, types=list(types), newest=newest, most=MOST_TOGETHER)
        return [frozenset(row.ids) for row in rows]

    def edges(self, now: datetime, *, inferred: bool) -> list[tuple[UUID, UUID, str, float, bool]]:
        """Relations that hold: subject, object, predicate, confidence, and whether it is inferred."""
        rows = self._ask(_EDGES, None, now=now, inferred=inferred, limit=MAX_EDGES)
        return [(row.a, row.b, row.predicate, float(row.confidence), row.inferred) for row in rows]

    def keys(self, limit: int, *, moment: int | None = None) -> dict[str, str]:
        """The newest names as they are compared, and as they are written."""
        return {row.key: row.alias for row in self._ask(_KEYS, moment, limit=limit)}

    def counts(self) -> dict[str, int]:
        """How many entities, mentions and relations there are."""
        row = self.execute(
            "SELECT (SELECT count(*) FROM ltmemory.entities WHERE user_id = :user_id) AS entities, "
            "(SELECT count(*) FROM ltmemory.mentions WHERE user_id = :user_id) AS mentions, "
            "(SELECT count(*) FROM ltmemory.relations WHERE user_id = :user_id) AS relations"
        ).one()
        return {"entities": row.entities, "mentions": row.mentions, "relations": row.relations}

    def _ask(self, statement: str, moment: int | None, **parameters: Any) -> CursorResult[Any]:
        if moment is None:
            sources = {table: f"ltmemory.{table}" for table in _TABLES}
        else:
            sources = {table: _THEN.format(columns=_COLUMNS[table], table=table) for table in _TABLES}
            parameters["moment"] = moment
        return self.execute(statement.format(**sources), **parameters)
