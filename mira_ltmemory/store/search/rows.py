"""Gathers the candidates of one search: by words, by meaning, from ranges of time, and what stands beside them.

Statements of a search: the words' postings, with what decides on the plan; where there is a filter, what it leaves;
the candidates with their features; at the end, `details` of the rows that are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from mira_ltmemory.protocols import Conflicting, Filter, Kind
from mira_ltmemory.store.postings import Scores, bm25
from mira_ltmemory.store.rows import Rows
from mira_ltmemory.store.search import scope as scope_module
from mira_ltmemory.store.search.candidates import EXCERPT_CHARS, CandidateQuery, Candidates, Gathered, assemble
from mira_ltmemory.store.search.centre import Centre, CentreRows
from mira_ltmemory.store.search.index import index_name, search_effort
from mira_ltmemory.store.search.scope import Scope, ScopeRows
from mira_ltmemory.store.search.sql import ENDED, TABLES, Condition, Plan, VectorSide, candidates, condition
from mira_ltmemory.store.search.upkeep import Measured
from mira_ltmemory.store.search.voices import Speakers, VoiceRows
from mira_ltmemory.store.vector_text import vector_text
from mira_ltmemory.store.words import KIND_NUMBERS, Found

if TYPE_CHECKING:
    pass

POSTINGS_BUDGET = 60_000
"""Packed postings that one search reads at most: all of them for a user of some 30,000 messages."""

_LEAST_CHUNK, _MOST_CHUNK = 200, 20_000
_FOUND_ENOUGH = 25
_LOOKED_THROUGH = 200_000
_IN_RANGE = 2_000
_COUNTED_ENDED = 10_000

_PASSING = """
SELECT d.document FROM ltmemory.word_documents d JOIN {table} r ON r.user_id = :user_id AND r.id = d.row_id
WHERE d.user_id = :user_id AND d.kind = :kind_number AND d.document = ANY(CAST(:documents AS int[])) AND {passes}
"""

# Read beside the words, in the same statement: how many rows are ended, and the planner's count of the index's rows.
_BESIDE = f"""
(SELECT count(*) FROM (SELECT FROM {{table}} r WHERE r.user_id = :user_id AND {ENDED} LIMIT {_COUNTED_ENDED}) e)
    AS ended
"""
_INDEX = (
    "(SELECT reltuples FROM pg_class WHERE oid = to_regclass(:index)) AS indexed",
    "obj_description(to_regclass(:index), 'pg_class') AS noted",
)

_NEWEST = """
SELECT r.id FROM {table} r WHERE r.user_id = :user_id AND {passes} ORDER BY r.said_at DESC, r.id LIMIT :limit
"""

_DETAILS = {
    Kind.MESSAGE: """
        SELECT r.id, r.content, r.said_at, r.origin, r.role, r.speaker, r.external_id,
            c.external_id AS conversation, NULL AS tags, NULL AS category, NULL AS valid_from, NULL AS valid_until,
            NULL AS confidence, false AS disputed
        FROM ltmemory.messages r JOIN ltmemory.conversations c ON c.user_id = r.user_id AND c.id = r.conversation_id
        WHERE r.user_id = :user_id AND r.id = ANY(CAST(:ids AS uuid[]))
    """,
    Kind.PASSAGE: """
        SELECT r.id, r.content, r.said_at, r.origin, NULL AS role, NULL AS speaker, NULL AS external_id,
            NULL AS conversation, r.tags, r.category, r.valid_from, r.valid_until, r.confidence,
            r.metadata ? 'conflicts' AS disputed
        FROM ltmemory.passages r WHERE r.user_id = :user_id AND r.id = ANY(CAST(:ids AS uuid[]))
    """,
}


@dataclass(frozen=True, slots=True)
class Details:
    """A row as it is shown. ``conversation`` and ``external_id`` are the host's ids; ``conflicts`` contradict it."""

    id: UUID
    content: str
    said_at: datetime
    origin: str
    role: str | None
    speaker: str | None
    conversation: str | None
    external_id: str | None
    tags: tuple[str, ...]
    category: str | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    confidence: float | None = None
    conflicts: tuple[Conflicting, ...] = ()


@dataclass(frozen=True, slots=True)
class _Index:
    """About how many rows the vector index holds, and the ``ef_search`` that it needs."""

    rows: int
    effort: int


class SearchRows(Rows):
    """Searches over the user's messages and passages."""

    def candidates(self, query: CandidateQuery) -> Candidates:
        """Find candidates and their features. Raises ``InvalidArgument`` for a filter that the kind cannot have."""
        passes, found, index = self._open(query)
        most = _exact_limit(query, passes, found.corpus.documents, index.rows)
        scope = self._scope(query, passes, found, most)
        documents = self._by_words(query, passes, found, scope)
        side, centre = _side(query, Plan.GIVEN if scope.nearest is not None else _plan(scope, most)), None
        if side is not None:
            centre = self._centre(query, side, found.corpus.documents)
            side = replace(side, effort=_effort(query, index))
        rows = self._gather(query, passes, documents, side, centre, scope.nearest, terms=bool(found.unread))
        if side is not None and side.plan is Plan.INDEX and _too_few(rows, query, scope):
            # The index went through as many rows as it may and found few that pass: they lie far from the query.
            scope = ScopeRows(self._unit).few(query.kind, passes, _LOOKED_THROUGH, side, **_near(query))
            if scope.nearest is not None:
                side = replace(side, plan=Plan.GIVEN)
                rows = self._gather(query, passes, documents, side, centre, scope.nearest, terms=bool(found.unread))
        exact = side is None or side.plan is not Plan.INDEX
        return assemble(query, rows, found, scope.total, centre, exact=exact)

    def speakers(self, known: Speakers) -> Speakers:
        """Who speaks in the user's messages, given what was known before."""
        return VoiceRows(self._unit).read(known)

    def newest(self, kind: Kind, wanted: Filter, limit: int) -> list[str]:
        """Ids of the newest rows that pass, newest first."""
        passes = condition(kind, wanted)
        statement = _NEWEST.format(table=TABLES[kind], passes=passes.sql)
        return [str(row.id) for row in self.execute(statement, limit=limit, **passes.parameters)]

    def count(self, kind: Kind, wanted: Filter) -> int:
        """How many rows pass, as ``Candidates.total`` tells."""
        query = CandidateQuery(kind=kind, filter=wanted, terms={})
        passes, found, _ = self._open(query)
        return self._scope(query, passes, found, scope_module.EXACT_ROWS).total

    def details(self, kind: Kind, ids: Sequence[UUID | str]) -> dict[str, Details]:
        """Rows in full, by id as text; rows that are gone are left out."""
        rows = self.execute(_DETAILS[kind], ids=[str(id) for id in ids]).all()
        disputed = [row.id for row in rows if row.disputed]
        against = self._unit.consolidation.conflicts(disputed) if disputed else {}
        return {
            str(row.id): Details(
                row.id, row.content, row.said_at, row.origin, row.role, row.speaker, row.conversation,
                row.external_id, tuple(row.tags or ()), row.category, row.valid_from, row.valid_until, row.confidence,
                against.get(row.id, ()),
            )
            for row in rows
        }  # fmt: skip

    def _open(self, query: CandidateQuery) -> tuple[Condition, Found, _Index]:
        """The filter, the words' postings and what is known of the vector index, read at once.

        A filter that only leaves out ended rows is none where there are none.
        """
        passes = condition(query.kind, query.filter)
        beside, parameters = [], {}
        if passes.current_only:
            beside.append(_BESIDE.format(table=TABLES[query.kind]))
            parameters = dict(passes.parameters)
        if query.vector is not None:
            beside += _INDEX
            parameters["index"] = f"ltmemory.{index_name(query.model_id, query.kind)}"
        terms = list(query.terms.values())
        found = self._unit.words.read(query.kind, terms, POSTINGS_BUDGET, beside, **parameters)
        if passes.current_only:
            ended = int(found.beside.get("ended") or 0)
            passes = Condition() if ended == 0 else replace(passes, left_out=ended)
        rows = max(int(found.beside.get("indexed") or 0), found.corpus.documents)
        measured = Measured.read(found.beside.get("noted"))
        return passes, found, _Index(rows, measured.ef_search if measured else search_effort(rows))

    def _scope(self, query: CandidateQuery, passes: Condition, found: Found, most: int) -> Scope:
        documents = found.corpus.documents
        if passes.everything:
            return Scope(documents)
        if 0 < passes.left_out < _COUNTED_ENDED and documents - passes.left_out > most:
            left = documents - passes.left_out
            return Scope(left, left / documents)
        side = _side(query, Plan.EXACT)
        return ScopeRows(self._unit).read(query.kind, passes, documents, found.size, most, side, **_near(query))

    def _centre(self, query: CandidateQuery, side: VectorSide, documents: int) -> Centre:
        known = query.centre
        if known is not None and known.still_holds(query.kind, side.model_id, documents):
            return known
        return CentreRows(self._unit).read(query.kind, side, documents)

    def _by_words(self, query: CandidateQuery, passes: Condition, found: Found, scope: Scope) -> list[int]:
        if not found.postings:
            return []
        scores = bm25(found.corpus, found.postings)
        if passes.everything or scope.documents is not None:
            return list(map(int, scores.best(query.by_words, scope.documents)))
        return self._passing(query, passes, scores, scope.share)

    def _passing(self, query: CandidateQuery, passes: Condition, scores: Scores, share: float) -> list[int]:
        """The best documents that pass a filter which leaves many: looked up best first, about as many as it takes."""
        statement = _PASSING.format(table=TABLES[query.kind], passes=passes.sql)
        kept: list[int] = []
        start, size = 0, int(min(max(1.5 * query.by_words / max(share, 1e-3), _LEAST_CHUNK), _MOST_CHUNK))
        ranked: list[int] = scores.best(size * 5).tolist()
        while start < len(scores.documents) and len(kept) < query.by_words:
            if start >= len(ranked):
                ranked = scores.best(len(scores.documents)).tolist()
            chunk = ranked[start : start + size]
            rows = self.execute(statement, kind_number=KIND_NUMBERS[query.kind], documents=chunk, **passes.parameters)
            passing = {row.document for row in rows}
            kept += [document for document in chunk if document in passing]
            start, size = start + len(chunk), size * 4
        return kept[: query.by_words]

    def _gather(
        self, query: CandidateQuery, passes: Condition, documents: list[int], side: VectorSide | None,
        centre: Centre | None, nearest: list[str] | None, *, terms: bool,
    ) -> list[Gathered]:  # fmt: skip
        statement = candidates(query.kind, passes.sql, side, ranges=len(query.ranges), reach=query.reach, terms=terms)
        parameters: dict[str, Any] = {
            "kind_number": KIND_NUMBERS[query.kind],
            "documents": documents,
            "excerpt": EXCERPT_CHARS,
            "around": query.around,
            "reach": query.reach,
            **passes.parameters,
        }
        if side is not None and centre is not None:
            parameters |= {**_near(query), "mean": centre.text, "nearest_ids": nearest or []}
        for number, (start, end) in enumerate(query.ranges):
            parameters |= {f"from_{number}": start, f"to_{number}": end}
        if query.ranges:
            parameters |= {"in_range": _IN_RANGE, "per_range": query.per_range}
        return [Gathered._make(row) for row in self.execute(statement, **parameters)]


def _exact_limit(query: CandidateQuery, passes: Condition, documents: int, indexed: int) -> int:
    """Up to how many rows every vector is compared in place of asking the approximate index."""
    if query.vector is None or documents <= scope_module.EXACT_ROWS:
        return scope_module.EXACT_ROWS
    balance = scope_module.EXACT_BALANCE if passes.everything else scope_module.EXACT_BALANCE_FILTERED
    return max(scope_module.EXACT_ROWS, int(balance * indexed**0.5))


def _effort(query: CandidateQuery, index: _Index) -> int:
    return max(query.by_vector, index.effort // 2) if query.quick else index.effort


def _plan(scope: Scope, most: int) -> Plan:
    return Plan.EXACT if scope.total <= most else Plan.INDEX


def _side(query: CandidateQuery, plan: Plan) -> VectorSide | None:
    return None if query.vector is None else VectorSide(query.model_id, len(query.vector), plan)


def _near(query: CandidateQuery) -> dict[str, Any]:
    return {} if query.vector is None else {"vector": vector_text(query.vector), "nearest": query.by_vector}


def _too_few(rows: Sequence[Gathered], query: CandidateQuery, scope: Scope) -> bool:
    found = sum(bool(row.near) for row in rows)
    return found < min(query.by_vector, _FOUND_ENOUGH) and found < scope.total
