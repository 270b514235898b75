"""What consolidation reads of the user's memory, and how far each of its steps has come."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from mira_ltmemory.protocols import FIRST_MOMENT, LAST_MOMENT, Conflicting, Json
from mira_ltmemory.store.rows import Rows

START = UUID(int=0)
"""Before every row."""

_CALENDAR = {"first": FIRST_MOMENT, "last": LAST_MOMENT}
"""Dates beyond need not exist in every time zone."""

_EFFORTS = (40, 400)
"""Candidates that a walk through the vector index looks at, and a second one where the first went astray."""

_COMPARED = 2_000
"""Up to so many vectors every one is compared: the index may miss neighbours where many texts are much alike."""

_SAME = 0.9999
"""Cosine from which on two vectors are the same: a row with many copies need not be among its own nearest."""

_SET_MARK = """
INSERT INTO ltmemory.consolidation_marks (user_id, step, through, row_id, at)
VALUES (:user_id, :step, :through, :row_id, :at)
ON CONFLICT (user_id, step) DO UPDATE SET through = EXCLUDED.through, row_id = EXCLUDED.row_id, at = EXCLUDED.at
"""

_OPEN = "r.valid_until IS NULL AND r.tier = 'hot'"
_MERGED = "r.category IN ('note', 'fact', 'insight')"

_FACTS = f"""
SELECT r.id, r.version, r.content, r.category, r.origin, r.tags, r.said_at, r.valid_from, r.valid_until, r.metadata,
    r.confidence
FROM ltmemory.passages r
WHERE r.user_id = :user_id AND r.id = ANY(CAST(:ids AS uuid[])) AND {_OPEN} AND {_MERGED}
"""

# One walk through the index for each row: no pair is looked at that is not near. A row is its own nearest.
_NEIGHBOURS = """
WITH asked AS MATERIALIZED (
    SELECT r.id, CAST(v.embedding AS {half}) AS vector FROM ltmemory.passages r
    JOIN ltmemory.vectors v ON v.user_id = :user_id AND v.kind = 'passage' AND v.model_id = {model_id}
        AND v.row_id = r.id AND v.content_hash = r.content_hash
    WHERE r.user_id = :user_id AND r.id = ANY(CAST(:ids AS uuid[]))
)
SELECT a.id, n.row_id AS other, 1 - n.distance AS cosine FROM asked a CROSS JOIN LATERAL (
    SELECT v.row_id, CAST(v.embedding AS {half}) <=> a.vector AS distance FROM ltmemory.vectors v
    WHERE v.user_id = :user_id AND v.kind = 'passage' AND v.model_id = {model_id}
    ORDER BY CAST(v.embedding AS {half}) <=> a.vector LIMIT :nearest
) n WHERE n.distance <= :distance
"""

# The same by comparing the row with every other: OFFSET 0 keeps the planner from answering with the index.
_NEIGHBOURS_EXACT = """
SELECT a.row_id AS id, n.row_id AS other, 1 - n.distance AS cosine FROM ltmemory.vectors a CROSS JOIN LATERAL (
    SELECT e.row_id, e.distance FROM (
        SELECT v.row_id, CAST(v.embedding AS {half}) <=> CAST(a.embedding AS {half}) AS distance
        FROM ltmemory.vectors v WHERE v.user_id = :user_id AND v.kind = 'passage' AND v.model_id = {model_id} OFFSET 0
    ) e ORDER BY e.distance, e.row_id LIMIT :nearest
) n WHERE a.user_id = :user_id AND a.kind = 'passage' AND a.model_id = {model_id}
    AND a.row_id = ANY(CAST(:ids AS uuid[])) AND n.distance <= :distance
"""

_CONFLICTS = """
SELECT r.id, o.id AS other, o.content, o.said_at FROM ltmemory.passages r
CROSS JOIN LATERAL jsonb_array_elements_text(
    CASE jsonb_typeof(r.metadata -> 'conflicts') WHEN 'array' THEN r.metadata -> 'conflicts' ELSE '[]' END
) AS m (id)
JOIN ltmemory.passages o ON o.user_id = :user_id AND o.valid_until IS NULL
    AND o.id = CASE WHEN m.id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN CAST(m.id AS uuid) END
WHERE r.user_id = :user_id AND r.id = ANY(CAST(:ids AS uuid[]))
ORDER BY r.id, o.said_at, o.id
"""

_UNITE = """
INSERT INTO ltmemory.sources
    (user_id, id, version, change_set_id, origin, metadata, kind, row_id, source_kind, source_id)
SELECT s.user_id, gen_random_uuid(), 1, :change_set_id, s.origin, s.metadata, s.kind, m.winner, s.source_kind,
    s.source_id
FROM unnest(CAST(:winners AS uuid[]), CAST(:losers AS uuid[])) AS m (winner, loser)
JOIN ltmemory.sources s ON s.user_id = :user_id AND s.kind = 'passage' AND s.row_id = m.loser
    AND s.source_id <> m.winner
ON CONFLICT (user_id, kind, row_id, source_kind, source_id) DO NOTHING
"""

_CHANGE = f"""
UPDATE ltmemory.passages r SET valid_until = coalesce(w.until, r.valid_until),
    valid_from = coalesce(w.since, r.valid_from),
    tags = ARRAY(SELECT jsonb_array_elements_text(w.tags)), metadata = r.metadata || w.note
FROM jsonb_to_recordset(CAST(:changes AS jsonb)) AS w
    (id uuid, version int, until timestamptz, since timestamptz, tags jsonb, note jsonb)
WHERE r.user_id = :user_id AND r.id = w.id AND r.version = w.version AND {_OPEN} RETURNING r.id
"""

# Touched: said, or last changed by a person or the model; what the jobs change makes nothing newer.
_STANDINGS = """
WITH links AS (
    SELECT source_id, count(*) AS n FROM ltmemory.sources
    WHERE user_id = :user_id AND source_kind = 'passage' GROUP BY source_id
), corrected AS (
    SELECT metadata ->> 'superseded_by' AS id, count(*) AS n FROM ltmemory.passages
    WHERE user_id = :user_id AND metadata ? 'superseded_by' GROUP BY 1
), used AS (
    SELECT row_id, array_agg(day ORDER BY day DESC) AS days, array_agg(count ORDER BY day DESC) AS counts
    FROM ltmemory.uses WHERE user_id = :user_id AND kind = 'passage' GROUP BY row_id
)
SELECT r.id, r.version, r.category, r.metadata ->> 'level' AS level, r.said_at, r.valid_until,
    CAST(least(greatest(r.said_at, c.created_at, :first), :last) AT TIME ZONE :zone AS date) AS touched,
    coalesce(l.n, 0) AS links, coalesce(k.n, 0) AS corrections, u.days, u.counts
FROM ltmemory.passages r
LEFT JOIN ltmemory.change_sets c ON c.user_id = :user_id AND c.id = r.change_set_id AND c.actor IN ('user', 'model')
LEFT JOIN links l ON l.source_id = r.id
LEFT JOIN corrected k ON k.id = CAST(r.id AS text)
LEFT JOIN used u ON u.row_id = r.id
WHERE r.user_id = :user_id AND {where}
"""

_OLDEST = """
SELECT m.id FROM ltmemory.messages m WHERE m.user_id = :user_id
    AND NOT EXISTS (SELECT FROM ltmemory.cold_texts c
        WHERE c.user_id = :user_id AND c.kind = 'message' AND c.row_id = m.id)
    AND NOT EXISTS (SELECT FROM ltmemory.pending_embeddings p
        WHERE p.user_id = :user_id AND p.kind = 'message' AND p.row_id = m.id)
    AND NOT EXISTS (SELECT FROM ltmemory.uses s
        WHERE s.user_id = :user_id AND s.kind = 'message' AND s.row_id = m.id AND s.day > :since)
ORDER BY m.said_at, m.id LIMIT :limit
"""


@dataclass(frozen=True, slots=True)
class PassageFacts:
    """A current passage as merging sees it. ``version`` is what a change has to find again."""

    id: UUID
    version: int
    content: str
    category: str
    origin: str
    tags: tuple[str, ...]
    said_at: dt.datetime
    valid_from: dt.datetime | None
    valid_until: dt.datetime | None
    meta: Mapping[str, Any]
    confidence: float | None


@dataclass(frozen=True, slots=True)
class PassageChange:
    """What becomes of a current passage: these ``tags``, ``note`` in its metadata, an end, a beginning."""

    id: UUID
    version: int
    note: Json
    tags: Sequence[str]
    until: dt.datetime | None = None
    since: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What importance is computed from, of one passage; days are of the user's calendar."""

    id: UUID
    version: int
    category: str
    touched: dt.date
    said_at: dt.datetime
    valid_until: dt.datetime | None
    links: int
    corrections: int
    uses: tuple[tuple[dt.date, int], ...]
    level: str | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a step has come: rows up to (``through``, ``row_id``) are done. ``at`` is when that was noted."""

    through: int = -1
    row_id: UUID = START
    at: dt.datetime | None = None


class ConsolidationRows(Rows):
    """Consolidation's own questions to the user's rows."""

    def mark(self, step: str) -> Mark:
        """How far a step has come; before every row where it never ran."""
        row = self.execute(
            "SELECT through, row_id, at FROM ltmemory.consolidation_marks WHERE user_id = :user_id AND step = :step",
            step=step,
        ).one_or_none()
        return Mark() if row is None else Mark(row.through, row.row_id, row.at)

    def set_mark(self, step: str, through: int, row_id: UUID, at: dt.datetime) -> None:
        """Note how far a step has come."""
        self.execute(_SET_MARK, step=step, through=through, row_id=row_id, at=at)

    def active_days(self, zone: str) -> list[dt.date]:
        """The days, in an IANA time zone, on which the user said something."""
        rows = self.execute(
            "SELECT DISTINCT CAST(said_at AT TIME ZONE :zone AS date) AS day FROM ltmemory.messages "
            "WHERE user_id = :user_id AND role = 'user' AND said_at >= :first AND said_at < :last",
            zone=zone,
            **_CALENDAR,
        )
        return sorted(row.day for row in rows)

    def next_passages(self, after: Mark, through: int, limit: int) -> list[tuple[int, UUID]]:
        """Change set and id of the current passages after a mark, up to a change set, in order.

        Those that an undo made what they are come not: what a person took back is not done again.
        """
        rows = self.execute(
            "SELECT r.change_set_id, r.id FROM ltmemory.passages r WHERE r.user_id = :user_id "
            "AND r.change_set_id >= :from AND (r.change_set_id, r.id) > (:from, :after) "
            f"AND r.change_set_id <= :through AND {_OPEN} AND {_MERGED} AND NOT EXISTS ("
            "SELECT FROM ltmemory.change_sets c "
            "WHERE c.user_id = :user_id AND c.id = r.change_set_id AND c.undoes IS NOT NULL) "
            "ORDER BY r.change_set_id, r.id LIMIT :limit",
            **{"from": after.through, "after": after.row_id, "through": through, "limit": limit},
        )
        return [(row.change_set_id, row.id) for row in rows]

    def neighbours(
        self, ids: Sequence[UUID], model_id: int, dimension: int, *, nearest: int, least: float
    ) -> list[tuple[UUID, UUID, float]]:
        """For each row its nearest passages by the vector index, at least as similar as ``least``: pairs and cosines.

        A pair comes once, the lesser id first. Few rows are compared with every other. The index is approximate, but a
        row is its own nearest: a walk that does not find it went astray, is repeated more widely, and then done without
        the index.
        """
        statement = _NEIGHBOURS.format(half=f"halfvec({int(dimension)})", model_id=int(model_id))
        exact = _NEIGHBOURS_EXACT.format(half=f"halfvec({int(dimension)})", model_id=int(model_id))
        asked = {"nearest": nearest + 1, "distance": 1 - least}
        pairs: dict[tuple[UUID, UUID], float] = {}
        left = list(ids)
        for effort in (None,) if self._few_vectors(model_id) else (*_EFFORTS, None):
            if effort is not None:
                self.execute("SELECT set_config('hnsw.ef_search', :effort, true)", effort=str(effort))
            same: dict[UUID, int] = dict.fromkeys(left, 0)
            for row in self.execute(exact if effort is None else statement, ids=left, **asked):
                cosine = float(row.cosine)
                if row.id == row.other:
                    same.pop(row.id, None)
                    continue
                pairs[min(row.id, row.other), max(row.id, row.other)] = cosine
                if cosine >= _SAME and row.id in same:
                    same[row.id] += 1
            left = [row_id for row_id, equal in same.items() if equal <= nearest]
            if not left or effort is None:
                break
            left = self._with_vectors(left, model_id)
        return [(one, other, cosine) for (one, other), cosine in pairs.items()]

    def _few_vectors(self, model_id: int) -> bool:
        counted = self.execute(
            "SELECT count(*) FROM (SELECT FROM ltmemory.vectors v WHERE v.user_id = :user_id AND v.kind = 'passage' "
            "AND v.model_id = :model_id LIMIT :most + 1) s",
            model_id=model_id,
            most=_COMPARED,
        )
        return int(counted.scalar_one()) <= _COMPARED

    def _with_vectors(self, ids: Sequence[UUID], model_id: int) -> list[UUID]:
        rows = self.execute(
            "SELECT v.row_id FROM ltmemory.vectors v JOIN ltmemory.passages r ON r.user_id = :user_id "
            "AND r.id = v.row_id AND r.content_hash = v.content_hash WHERE v.user_id = :user_id "
            "AND v.kind = 'passage' AND v.model_id = :model_id AND v.row_id = ANY(CAST(:ids AS uuid[]))",
            ids=list(ids),
            model_id=model_id,
        )
        return [row.row_id for row in rows]

    def passages(self, ids: Sequence[UUID]) -> dict[UUID, PassageFacts]:
        """Current passages by id."""
        rows = self.execute(_FACTS, ids=list(ids))
        return {
            row.id: PassageFacts(
                row.id, row.version, row.content, row.category, row.origin, tuple(row.tags), row.said_at,
                row.valid_from, row.valid_until, row.metadata, row.confidence,
            )
            for row in rows
        }  # fmt: skip

    def change(self, changes: Sequence[PassageChange]) -> set[UUID]:
        """Change current passages, those that are still at the version given; tell which."""
        told = [
            {
                "id": str(each.id), "version": each.version, "note": each.note, "tags": list(each.tags),
                "until": None if each.until is None else each.until.isoformat(),
                "since": None if each.since is None else each.since.isoformat(),
            }
            for each in changes
        ]  # fmt: skip
        return {row.id for row in self.execute(_CHANGE, changes=json.dumps(told))} if told else set()

    def conflicts(self, ids: Sequence[UUID]) -> dict[UUID, tuple[Conflicting, ...]]:
        """The current passages that are marked as contradicting these, by id."""
        found: dict[UUID, tuple[Conflicting, ...]] = {}
        for row in self.execute(_CONFLICTS, ids=list(ids)):
            found[row.id] = (*found.get(row.id, ()), Conflicting(row.other, row.content, row.said_at))
        return found

    def unite_sources(self, merges: Sequence[tuple[UUID, UUID]]) -> int:
        """Let passages come from all that others came from, given as winner and loser; tell how many links that were.

        A winner of several gets the links of all.
        """
        winners, losers = [winner for winner, _ in merges], [loser for _, loser in merges]
        change_set_id = self._unit.change_set_id
        return self.execute(_UNITE, winners=winners, losers=losers, change_set_id=change_set_id).rowcount

    def standings(self, zone: str) -> Iterator[Standing]:
        """What importance needs to know of every passage of the hot tier."""
        for row in self.stream(_STANDINGS.format(where="r.tier = 'hot'"), 5_000, zone=zone, **_CALENDAR):
            yield _standing(row)

    def used_cold(self, zone: str, since: dt.date) -> list[Standing]:
        """The same of passages in cold storage that were shown since a day."""
        where = (
            "r.tier = 'cold' AND EXISTS (SELECT FROM ltmemory.uses s WHERE s.user_id = :user_id "
            "AND s.kind = 'passage' AND s.row_id = r.id AND s.day > :since)"
        )
        found = self.execute(_STANDINGS.format(where=where), zone=zone, since=since, **_CALENDAR)
        return [_standing(row) for row in found]

    def move(self, rows: Sequence[tuple[UUID, int]], tier: str) -> list[UUID]:
        """Put passages into a tier, those that have not changed since the version given; return which."""
        moved = self.execute(
            "UPDATE ltmemory.passages r SET tier = :tier FROM unnest(CAST(:ids AS uuid[]), CAST(:versions AS int[])) "
            "AS w (id, version) WHERE r.user_id = :user_id AND r.id = w.id AND r.version = w.version "
            "AND r.tier <> :tier RETURNING r.id",
            ids=[row_id for row_id, _ in rows],
            versions=[version for _, version in rows],
            tier=tier,
        )
        return [row.id for row in moved]

    def hot_messages(self) -> int:
        """How many messages the indexes hold."""
        counted = self.execute(
            "SELECT (SELECT count(*) FROM ltmemory.messages WHERE user_id = :user_id) - "
            "(SELECT count(*) FROM ltmemory.cold_texts WHERE user_id = :user_id AND kind = 'message')"
        )
        return int(counted.scalar_one())

    def oldest_messages(self, limit: int, unused_since: dt.date) -> list[UUID]:
        """The oldest messages of the indexes that were not shown since a day and wait for no vector."""
        rows = self.execute(_OLDEST, limit=limit, since=unused_since)
        return [row.id for row in rows]

    def used_cold_messages(self, since: dt.date) -> list[UUID]:
        """Messages in cold storage that were shown since a day."""
        rows = self.execute(
            "SELECT c.row_id FROM ltmemory.cold_texts c WHERE c.user_id = :user_id AND c.kind = 'message' "
            "AND EXISTS (SELECT FROM ltmemory.uses s WHERE s.user_id = :user_id AND s.kind = 'message' "
            "AND s.row_id = c.row_id AND s.day > :since) ORDER BY c.row_id",
            since=since,
        )
        return [row.row_id for row in rows]

    def messages_since(self, change_set: int) -> int:
        """How many messages were captured after a change set."""
        counted = self.execute(
            "SELECT count(*) FROM ltmemory.messages WHERE user_id = :user_id AND change_set_id > :after",
            after=change_set,
        )
        return int(counted.scalar_one())


def _standing(row: Any) -> Standing:
    uses = tuple(zip(row.days or (), row.counts or (), strict=True))
    return Standing(
        row.id,
        row.version,
        row.category,
        row.touched,
        row.said_at,
        row.valid_until,
        row.links,
        row.corrections,
        uses,
        row.level,
    )
