"""The SQL of a search: filters, and the one statement that gathers candidates.

Every row of memory is ``r``. Only our own names, numbers and kinds are put into the text; values are parameters.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mira_ltmemory.errors import InvalidArgument
from mira_ltmemory.protocols import Filter, Kind

TABLES = {Kind.MESSAGE: "ltmemory.messages", Kind.PASSAGE: "ltmemory.passages"}

_COLUMNS = {
    Kind.MESSAGE: "r.role, r.speaker, CAST(r.conversation_id AS text) AS conversation_id, r.position, NULL AS tags",
    Kind.PASSAGE: "NULL AS role, NULL AS speaker, NULL AS conversation_id, NULL AS position, r.tags",
}

_MOMENT = "coalesce(CAST(:valid_at AS timestamptz), now())"
CURRENT = f"(r.valid_until IS NULL OR r.valid_until > {_MOMENT})"
"""Whether ``r`` is not ended at ``:valid_at``; none asks for the present."""

ENDED = f"r.valid_until IS NOT NULL AND r.valid_until <= {_MOMENT}"

SAMPLED = 500
"""Vectors of the user whose mean is what is usual: the first by id, which is as good as by chance."""

# Inner products with the mean of a sample of the vectors: what tells a row or a query from the usual one.
_CENTRED = (
    "m.sample, m.asked AS asked_usual, m.usual AS usual_usual, "
    "-(CAST(v.embedding AS halfvec({dimension})) <#> m.mean) AS row_usual"
)
_UNCENTRED = "0 AS sample, 0 AS asked_usual, 0 AS usual_usual, NULL::real AS row_usual"


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


def condition(kind: Kind, wanted: Filter) -> Condition:
    """Read a filter for rows of a kind. Raises ``InvalidArgument`` where it asks for what such rows do not have."""
    values: dict[str, tuple[str, Any]] = {
        "origins": ("r.origin = ANY(CAST(:origins AS text[]))", [origin.value for origin in wanted.origins]),
        "start": ("r.said_at >= :start", wanted.start),
        "end": ("r.said_at < :end", wanted.end),
    }
    if kind is Kind.MESSAGE:
        values["roles"] = ("r.role = ANY(CAST(:roles AS text[]))", [role.value for role in wanted.roles])
        values["conversation_id"] = ("r.conversation_id = :conversation_id", wanted.conversation_id)
    else:
        overlap = "&&" if wanted.tag_match_mode == "any" else "@>"
        values["tags"] = (f"r.tags {overlap} CAST(:tags AS text[])", list(wanted.tags))
        values["tiers"] = ("r.tier = ANY(CAST(:tiers AS text[]))", list(wanted.tiers))
        values["categories"] = ("r.category = ANY(CAST(:categories AS text[]))", list(map(str, wanted.categories)))
    for name in ("roles", "conversation_id", "tags", "tiers", "categories"):
        if getattr(wanted, name) and name not in values:
            raise InvalidArgument(f"{name} cannot filter {kind.value}s: they have none.")
    used = {name: value for name, value in values.items() if value[1] not in (None, [])}
    current_only = False
    if kind is Kind.PASSAGE and not wanted.include_ended:
        current_only = not used
        used["valid_at"] = (CURRENT, wanted.valid_at)
    if not used:
        return Condition()
    parameters = {name: value for name, (_, value) in used.items()}
    return Condition(" AND ".join(sql for sql, _ in used.values()), parameters, current_only)


@dataclass(frozen=True, slots=True)
class VectorSide:
    """The query's vector is parameter ``vector``; ``exact`` compares every row that passes, else the index leads."""

    model_id: int
    dimension: int
    exact: bool

    @property
    def distance(self) -> str:
        """Cosine distance of ``v``, written as the index has it."""
        return f"(CAST(v.embedding AS halfvec({self.dimension})) <=> CAST(:vector AS halfvec({self.dimension})))"

    def of(self, kind: Kind) -> str:
        """Which ``v`` belong to this side: constants, because a partial index wants them."""
        return f"v.user_id = :user_id AND v.kind = '{kind.value}' AND v.model_id = {self.model_id}"

    def nearest(self, kind: Kind, passes: str) -> str:
        """Select the ids nearest to the query with their place, at most ``:nearest``."""
        match = "r.user_id = :user_id AND r.id = v.row_id AND r.content_hash = v.content_hash"
        if not self.exact:
            # A scalar sub-select: of a join on two columns the planner expects one row, and gives up the index.
            current = f"(SELECT true FROM {TABLES[kind]} r WHERE {match} AND {passes})"
            own = f"SELECT v.row_id AS id FROM ltmemory.vectors v WHERE {self.of(kind)} AND {current}"
            found = f"{own} ORDER BY {self.distance} LIMIT :nearest"
        else:
            rows = f"ltmemory.vectors v JOIN {TABLES[kind]} r ON {match} WHERE {self.of(kind)} AND {passes}"
            # OFFSET 0 keeps the planner from answering the outer order with the approximate index.
            every = f"SELECT v.row_id AS id, {self.distance} AS distance FROM {rows} OFFSET 0"
            found = f"SELECT id FROM ({every}) e ORDER BY distance LIMIT :nearest"
        return f"SELECT id, row_number() OVER () AS place FROM ({found}) f"


def candidates(
    kind: Kind, passes: str, vectors: VectorSide | None, *, ranges: int = 0, reach: int = 0, terms: bool = True
) -> str:
    """One statement for all candidates with their features.

    Parameters: ``kind_number``, ``documents`` (found by words, best first), ``excerpt`` (characters), those of
    ``passes``; with ``vectors`` also ``vector`` and ``nearest``; with ``ranges`` of time ``from_N``, ``to_N``,
    ``in_range`` and ``per_range``; with ``reach``, neighbours on either side of a message, ``around``: how many of
    the best of each source have them. ``terms`` says whether the packed terms come along.
    """
    parts = [
        "SELECT d.row_id AS id, f.place FROM unnest(CAST(:documents AS int[])) WITH ORDINALITY AS f (document, place) "
        "JOIN ltmemory.word_documents d ON d.user_id = :user_id AND d.kind = :kind_number AND d.document = f.document"
    ]
    if vectors is not None:
        parts.append(vectors.nearest(kind, passes))
    parts += [_in_range(kind, passes, vectors, number) for number in range(ranges)]
    centre = _centre(kind, vectors) if vectors is not None else ""
    near = _neighbours(reach) if kind is Kind.MESSAGE and reach else ""
    beside = "UNION ALL SELECT id, false, step = 1 FROM near" if near else ""
    return f"""
    WITH base AS MATERIALIZED (
        SELECT id, min(place) AS place FROM ({" UNION ALL ".join(f"({part})" for part in parts)}) p GROUP BY id
    ){near}{centre}, chosen AS (
        SELECT id, bool_or(central) AS central, bool_or(direct) AS direct
        FROM (SELECT id, {"place <= :around" if near else "false"} AS central, true AS direct FROM base {
        beside
    }) c GROUP BY id
    )
    SELECT CAST(r.id AS text) AS id, left(r.content, :excerpt) AS excerpt, r.said_at, r.origin, {_COLUMNS[kind]},
        c.central, c.direct AND ({passes}) AS eligible, d.document, d.length,
        {"d.terms" if terms else "NULL AS terms"}, {"1 - " + vectors.distance if vectors else "NULL::real"} AS cosine,
        {_CENTRED.format(dimension=vectors.dimension) if vectors else _UNCENTRED}
    FROM chosen c JOIN {TABLES[kind]} r ON r.user_id = :user_id AND r.id = c.id
    LEFT JOIN ltmemory.word_documents d ON d.user_id = :user_id AND d.kind = :kind_number AND d.row_id = c.id
    {
        f"LEFT JOIN ltmemory.vectors v ON {vectors.of(kind)} AND v.row_id = r.id AND v.content_hash = r.content_hash "
        "CROSS JOIN centre m"
        if vectors
        else ""
    }
    """


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


def _centre(kind: Kind, vectors: VectorSide) -> str:
    half = f"halfvec({vectors.dimension})"
    return f""", usual AS MATERIALIZED (
        SELECT count(*) AS sample, CAST(avg(embedding) AS {half}) AS mean FROM (
            SELECT CAST(v.embedding AS {half}) AS embedding FROM ltmemory.vectors v WHERE {vectors.of(kind)}
            ORDER BY v.row_id, v.content_hash LIMIT {SAMPLED}
        ) s
    ), centre AS MATERIALIZED (
        SELECT sample, mean, -(mean <#> CAST(:vector AS {half})) AS asked, -(mean <#> mean) AS usual FROM usual
    )"""


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
