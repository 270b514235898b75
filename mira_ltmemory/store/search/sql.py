"""The SQL of a search: filters, and the one statement that gathers candidates.

Every row of memory is ``r``. Only our own names, numbers and kinds are put into the text; values are parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from mira_ltmemory.errors import InvalidArgument
from mira_ltmemory.protocols import Filter, Kind
from mira_ltmemory.store.models import content_hash

_OWN = "r.user_id = :user_id"

TABLES = {Kind.MESSAGE: "ltmemory.messages", Kind.PASSAGE: "ltmemory.passages"}

_COLUMNS = {
    Kind.MESSAGE: "r.role, r.speaker, CAST(r.conversation_id AS text) AS conversation_id, r.position, "
    "'{}'::text[] AS tags",
    Kind.PASSAGE: "NULL AS role, NULL AS speaker, NULL AS conversation_id, NULL AS position, r.tags",
}

_MOMENT = "coalesce(CAST(:valid_at AS timestamptz), now())"
CURRENT = f"(r.valid_until IS NULL OR r.valid_until > {_MOMENT})"
"""Whether ``r`` is not ended at ``:valid_at``; none asks for the present."""

ENDED = f"r.valid_until IS NOT NULL AND r.valid_until <= {_MOMENT}"

# From the index: arrays are compared by functions that row-level security does not trust before it has judged the row.
_TAGGED = (
    "EXISTS (SELECT FROM ltmemory.passage_tags t WHERE t.user_id = :user_id AND t.passage_id = r.id "
    "AND t.tag_hash = {hash})"
)


@dataclass(frozen=True, slots=True)
class Condition:
    """What a filter asks of ``r``, as SQL with its parameters. ``sql`` is never empty.

    ``current_only`` says that it asks for nothing but rows that are not ended; ``left_out`` is how many are, where
    that was counted.
    """

    sql: str = "true"
    parameters: dict[str, Any] = field(default_factory=dict)
    current_only: bool = False
    left_out: int = 0

    @property
    def everything(self) -> bool:
        """Whether every row passes."""
        return self.sql == "true"


def condition(kind: Kind, wanted: Filter, *, past: bool = False) -> Condition:
    """Read a filter for rows of a kind; those of the ``past`` bear tags that no index knows.

    Raises ``InvalidArgument`` where it asks for what such rows do not have.
    """
    parts: list[tuple[str, dict[str, Any]]] = [
        _one_of("origin", "origins", wanted.origins),
        ("r.said_at >= :start", {"start": wanted.start}),
        ("r.said_at < :end", {"end": wanted.end}),
    ]
    held = {"origins", "start", "end"}
    if kind is Kind.MESSAGE:
        held |= {"roles", "conversation_id"}
        parts.append(_one_of("role", "roles", wanted.roles))
        parts.append(("r.conversation_id = :conversation_id", {"conversation_id": wanted.conversation_id}))
    else:
        held |= {"tags", "tiers", "categories"}
        parts += [_held_tags(wanted)] if past else _tagged(wanted)
        parts.append(_one_of("tier", "tiers", wanted.tiers))
        parts.append(_one_of("category", "categories", wanted.categories))
    for name in ("roles", "conversation_id", "tags", "tiers", "categories"):
        if getattr(wanted, name) and name not in held:
            raise InvalidArgument(f"{name} cannot filter {kind.value}s: they have none.")
    used = [(sql, values) for sql, values in parts if all(value not in (None, []) for value in values.values())]
    current_only = False
    if kind is Kind.PASSAGE and not wanted.include_ended:
        current_only = not used
        used.append((CURRENT, {"valid_at": wanted.valid_at}))
    if not used:
        return Condition()
    parameters = {name: value for _, values in used for name, value in values.items()}
    return Condition(" AND ".join(sql for sql, _ in used), parameters, current_only)


def _one_of(column: str, name: str, values: Sequence[str]) -> tuple[str, dict[str, Any]]:
    return f"r.{column} = ANY(CAST(:{name} AS text[]))", {name: list(map(str, values))}


def _held_tags(wanted: Filter) -> tuple[str, dict[str, Any]]:
    overlap = "&&" if wanted.tag_match_mode == "any" else "@>"
    return f"r.tags {overlap} CAST(:tags AS text[])", {"tags": list(wanted.tags)}


def _tagged(wanted: Filter) -> list[tuple[str, dict[str, Any]]]:
    hashes = [content_hash(tag) for tag in dict.fromkeys(wanted.tags)]
    if wanted.tag_match_mode == "any":
        return [(_TAGGED.format(hash="ANY(CAST(:tags AS uuid[]))"), {"tags": hashes})]
    return [(_TAGGED.format(hash=f":tag_{number}"), {f"tag_{number}": each}) for number, each in enumerate(hashes)]


class Plan(StrEnum):
    """How the nearest rows are found: by comparing all that pass, through the index, or they are known already."""

    EXACT = "exact"
    INDEX = "index"
    GIVEN = "given"


@dataclass(frozen=True, slots=True)
class VectorSide:
    """The query's vector is parameter ``vector``; with the plan ``GIVEN``, ``nearest_ids`` are the rows near it.

    ``effort`` is the index's ``ef_search``: the candidates that it looks at.
    """

    model_id: int
    dimension: int
    plan: Plan
    effort: int = 100

    @property
    def distance(self) -> str:
        """Cosine distance of ``v``, written as the index has it."""
        return f"({self.cast('v.embedding')} <=> {self.cast(':vector')})"

    def cast(self, vector: str) -> str:
        """A vector of this side's dimension."""
        return f"CAST({vector} AS halfvec({self.dimension}))"

    def of(self, kind: Kind) -> str:
        """Which ``v`` belong to this side: constants, because a partial index wants them."""
        return f"v.user_id = :user_id AND v.kind = '{kind.value}' AND v.model_id = {self.model_id}"

    @property
    def usual(self) -> str:
        """The inner product of ``v`` and the usual vector."""
        return f"-({self.cast('v.embedding')} <#> {self.cast(':mean')})"

    def nearest(self, kind: Kind, passes: str, *, usual: bool = False) -> str:
        """Select the ids nearest to the query with their place, at most ``:nearest``.

        ``distance`` and, where asked for, ``usual`` come along where they are known by then; else they are null.
        """
        if self.plan is Plan.GIVEN:
            return (
                "SELECT u.id, u.place, NULL::float8 AS distance, NULL::float8 AS usual "
                "FROM unnest(CAST(:nearest_ids AS uuid[])) WITH ORDINALITY AS u (id, place)"
            )
        match = "r.user_id = :user_id AND r.id = v.row_id AND r.content_hash = v.content_hash"
        if self.plan is Plan.INDEX:
            # A scalar sub-select: of a join on two columns the planner expects one row, and gives up the index.
            current = f"(SELECT true FROM {TABLES[kind]} r WHERE {match} AND {passes})"
            found = (
                f"SELECT v.row_id AS id, {self.distance} AS distance, "
                f"{self.usual if usual else 'NULL::float8'} AS usual FROM ltmemory.vectors v "
                f"WHERE {self.of(kind)} AND {current} ORDER BY {self.distance} LIMIT :nearest"
            )
        else:
            rows = f"SELECT r.id, r.content_hash FROM {TABLES[kind]} r WHERE {_OWN} AND {passes}"
            found = f"SELECT a.id, a.distance, NULL::float8 AS usual FROM ({self.among(kind, rows)}) a"
        return f"SELECT id, row_number() OVER () AS place, distance, usual FROM ({found}) f"

    def among(self, kind: Kind, rows: str) -> str:
        """Select the ids of ``rows`` (of ``id`` and ``content_hash``) nearest to the query, comparing every one.

        Each comes with its ``distance``.
        """
        same = "v.row_id = r.id AND v.content_hash = r.content_hash"
        # OFFSET 0 keeps the planner from answering the outer order with the approximate index.
        every = (
            f"SELECT v.row_id AS id, {self.distance} AS distance FROM ({rows}) r "
            f"JOIN ltmemory.vectors v ON {same} WHERE {self.of(kind)} OFFSET 0"
        )
        return f"SELECT id, distance FROM ({every}) e ORDER BY distance LIMIT :nearest"


def candidates(
    kind: Kind, passes: str, vectors: VectorSide | None, *, ranges: int = 0, reach: int = 0, terms: bool = True
) -> str:
    """One statement for all candidates with their features: the columns of `candidates.Gathered`.

    Parameters: ``kind_number``, ``documents`` (found by words, best first), ``excerpt`` (characters), those of
    ``passes``; with ``vectors`` also ``vector``, ``nearest`` and ``mean`` (the usual vector); with ``ranges`` of time
    ``from_N``, ``to_N``, ``in_range`` and ``per_range``; with ``reach``, neighbours on either side of a message,
    ``around``: how many of the best of each source have them. ``terms`` says whether the packed terms come along.
    """
    # What a source knows comes along, so that it is not looked up again.
    counted = "NULL::int AS document, NULL::int AS length" if terms else "d.document, d.length"
    parts = [
        f"SELECT d.row_id AS id, f.place, false AS near, {counted}, NULL::float8 AS distance, NULL::float8 AS usual "
        "FROM unnest(CAST(:documents AS int[])) WITH ORDINALITY AS f (document, place) "
        "JOIN ltmemory.word_documents d ON d.user_id = :user_id AND d.kind = :kind_number AND d.document = f.document"
    ]
    if vectors is not None:
        parts.append(
            f"SELECT id, place, true, NULL, NULL, distance, usual FROM ({vectors.nearest(kind, passes, usual=True)}) n"
        )
    unknown = "NULL, NULL, NULL, NULL"
    parts += [
        f"SELECT id, place, false, {unknown} FROM ({_in_range(kind, passes, vectors, n)}) t" for n in range(ranges)
    ]
    near = _neighbours(reach) if kind is Kind.MESSAGE and reach else ""
    beside = f"UNION ALL SELECT id, false, step = 1, false, {unknown} FROM near" if near else ""
    known = "max(document) AS document, max(length) AS length, max(distance) AS distance, max(usual) AS usual"
    # One round trip for both: the setting holds for the transaction.
    effort = f"SET LOCAL hnsw.ef_search = {int(vectors.effort)};" if vectors and vectors.plan is Plan.INDEX else ""
    return f"""{effort}
    WITH base AS MATERIALIZED (
        SELECT id, min(place) AS place, bool_or(near) AS near, {known} FROM ({
        " UNION ALL ".join(f"({part})" for part in parts)
    }) p GROUP BY id
    ){near}, chosen AS (
        SELECT id, bool_or(central) AS central, bool_or(direct) AS direct, bool_or(near) AS near, {known}
        FROM (
            SELECT id, {"place <= :around" if near else "false"} AS central, true AS direct, near,
                document, length, distance, usual
            FROM base {beside}
        ) c GROUP BY id
    )
    SELECT CAST(r.id AS text) AS id, left(r.content, :excerpt) AS excerpt, r.said_at, r.origin,
        c.direct AND ({passes}) AS eligible, {_COLUMNS[kind]}, CAST(r.content_hash AS text) AS content_hash,
        c.central, c.near, coalesce(c.document, d.document) AS document, coalesce(c.length, d.length) AS length,
        {"d.terms" if terms else "NULL::bytea AS terms"}, {_MEANING if vectors else _NONE}
    FROM chosen c JOIN {TABLES[kind]} r ON r.user_id = :user_id AND r.id = c.id
    LEFT JOIN LATERAL (
        SELECT * FROM ltmemory.word_documents WHERE c.document IS NULL AND user_id = :user_id AND kind = :kind_number
            AND row_id = c.id OFFSET 0
    ) d ON true
    {_vector_of(kind, vectors) if vectors else ""}
    """


_MEANING = "1 - coalesce(c.distance, v.distance) AS cosine, coalesce(c.usual, v.usual) AS usual"
_NONE = "NULL::real AS cosine, NULL::real AS usual"


def _vector_of(kind: Kind, vectors: VectorSide) -> str:
    return f"""LEFT JOIN LATERAL (
        SELECT {vectors.distance} AS distance, {vectors.usual} AS usual FROM ltmemory.vectors v
        WHERE c.usual IS NULL AND {vectors.of(kind)} AND v.row_id = r.id AND v.content_hash = r.content_hash OFFSET 0
    ) v ON true"""


def _in_range(kind: Kind, passes: str, vectors: VectorSide | None, number: int) -> str:
    rows = (
        f"SELECT r.id, r.content_hash, r.said_at FROM {TABLES[kind]} r WHERE r.user_id = :user_id AND {passes} "
        f"AND r.said_at >= :from_{number} AND r.said_at < :to_{number} ORDER BY r.said_at DESC LIMIT :in_range"
    )
    if vectors is None:
        return f"SELECT r.id, row_number() OVER () AS place FROM ({rows}) r LIMIT :per_range"
    same = "v.row_id = r.id AND v.content_hash = r.content_hash"
    join = f"LEFT JOIN ltmemory.vectors v ON {vectors.of(kind)} AND {same}"
    order = f"ORDER BY {vectors.distance} NULLS LAST, r.said_at DESC"
    return f"SELECT r.id, row_number() OVER ({order}) AS place FROM ({rows}) r {join} {order} LIMIT :per_range"


def _neighbours(reach: int) -> str:
    side = (
        "(SELECT n.id, row_number() OVER (ORDER BY n.position {order}) AS step FROM ltmemory.messages n "
        "WHERE n.user_id = :user_id AND n.conversation_id = r.conversation_id AND n.position {than} r.position "
        f"ORDER BY n.position {{order}} LIMIT {int(reach)})"
    )
    before, after = side.format(order="DESC", than="<"), side.format(order="ASC", than=">")
    return f""", near AS MATERIALIZED (
        SELECT n.id, n.step FROM base b
        JOIN ltmemory.messages r ON r.user_id = :user_id AND r.id = b.id
        CROSS JOIN LATERAL ({before} UNION ALL {after}) n WHERE b.place <= :around
    )"""
