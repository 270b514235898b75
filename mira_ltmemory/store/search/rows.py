"""Gathers the candidates of one search: by words, by meaning, from ranges of time, and what stands beside them.

Statements of a search: of passages, how many are ended; the words' postings; the filter's count, where there is a
filter or the vector plan depends on the size; the candidates with their features; at the end, `details` of the rows
that are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np

from mira_ltmemory.protocols import Filter, Kind
from mira_ltmemory.store.postings import Corpus, best, bm25, counts_in, counts_of
from mira_ltmemory.store.rows import Rows
from mira_ltmemory.store.search.index import index_name
from mira_ltmemory.store.search.sql import ENDED, TABLES, Condition, VectorSide, candidates, condition
from mira_ltmemory.store.search.voices import Speakers, VoiceRows
from mira_ltmemory.store.words import KIND_NUMBERS, Found

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mira_ltmemory.protocols import Vectors

POSTINGS_BUDGET = 60_000
"""Packed postings that one search reads at most: all of them for a user of some 30,000 messages."""

EXACT_ROWS = 3_000
"""Up to so many rows every vector is compared: a few ms, and nothing is missed."""

EXACT_BALANCE, EXACT_BALANCE_FILTERED = 50.0, 30.0
"""Times the square root of the index's rows: up to there, comparing every row costs no more than the index would.

Of an index of m rows, comparing n costs about n * 3.5 us (8.5 us where a filter has them looked up one by one); to
find 100 of them, the index visits 100 * m / n of its own at 80 us each, and may lose its way: with 121,000 rows, a
filter that leaves 10,000 took 82 ms exactly and 121 ms through the index, one that leaves 3,000 took 30 and 208 ms.
"""

EXCERPT_CHARS = 2_000
"""Characters of a candidate's content that a ranking sees."""

_FIRST_CHUNK = 1_000
_FEW_VECTORS = 20.0
_IN_RANGE = 2_000
_COUNTED_ENDED = 10_000

_SCOPE = """
WITH passing AS MATERIALIZED (
    SELECT r.id FROM {table} r WHERE r.user_id = :user_id AND {passes} LIMIT :most + 1
), counted AS (SELECT count(*) AS n FROM passing)
SELECT n, CASE WHEN n <= :most THEN (
    SELECT string_agg(int4send(d.document), ''::bytea) FROM passing p JOIN ltmemory.word_documents d
    ON d.user_id = :user_id AND d.kind = :kind_number AND d.row_id = p.id
) END AS documents FROM counted
"""

_PASSING = """
SELECT d.document FROM ltmemory.word_documents d JOIN {table} r ON r.user_id = :user_id AND r.id = d.row_id
WHERE d.user_id = :user_id AND d.kind = :kind_number AND d.document = ANY(CAST(:documents AS int[])) AND {passes}
"""

_ENDED = f"""
SELECT count(*) FROM (SELECT FROM {{table}} r WHERE r.user_id = :user_id AND {ENDED} LIMIT :most) e
"""

# The planner's own count of the index's rows: close, and free.
_INDEX_ROWS = "SELECT reltuples FROM pg_class WHERE oid = to_regclass(:name)"

_SCAN_SETTINGS = """
SELECT set_config('hnsw.iterative_scan', 'relaxed_order', true), set_config('hnsw.ef_search', :ef_search, true),
    set_config('hnsw.max_scan_tuples', '40000', true), set_config('hnsw.scan_mem_multiplier', '4', true)
"""

_NEWEST = """
SELECT r.id FROM {table} r WHERE r.user_id = :user_id AND {passes} ORDER BY r.said_at DESC, r.id LIMIT :limit
"""

_DETAILS = {
    Kind.MESSAGE: """
        SELECT r.id, r.content, r.said_at, r.origin, r.role, r.speaker, r.external_id,
            c.external_id AS conversation, NULL AS tags, NULL AS category, NULL AS valid_from, NULL AS valid_until,
            NULL AS confidence
        FROM ltmemory.messages r JOIN ltmemory.conversations c ON c.user_id = r.user_id AND c.id = r.conversation_id
        WHERE r.user_id = :user_id AND r.id = ANY(CAST(:ids AS uuid[]))
    """,
    Kind.PASSAGE: """
        SELECT r.id, r.content, r.said_at, r.origin, NULL AS role, NULL AS speaker, NULL AS external_id,
            NULL AS conversation, r.tags, r.category, r.valid_from, r.valid_until, r.confidence
        FROM ltmemory.passages r WHERE r.user_id = :user_id AND r.id = ANY(CAST(:ids AS uuid[]))
    """,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateQuery:
    """What is looked for. ``terms`` maps words to terms (`analysis.query_terms`); ``vector`` has shape ``(dim,)``.

    ``ranges`` are times (start inclusive, end exclusive) whose rows are candidates too; they filter nothing.
    ``reach`` is how many neighbours on either side come with the ``around`` best messages of each source: the
    first is a candidate itself.
    """

    kind: Kind
    filter: Filter
    terms: dict[str, int]
    vector: Vectors | None = None
    model_id: int = 0
    ranges: Sequence[tuple[datetime, datetime]] = ()
    by_words: int = 100
    by_vector: int = 100
    per_range: int = 50
    reach: int = 2
    around: int = 40


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row that a ranking looks at. ``excerpt`` is the beginning of its content; ids are written as text.

    One that is not ``eligible`` stands beside a candidate and may not be shown: it is there for its features.
    """

    id: str
    excerpt: str
    said_at: datetime
    origin: str
    eligible: bool
    role: str | None = None
    speaker: str | None = None
    conversation_id: str | None = None
    position: int | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Candidates by conversation and position, and their features, in numpy: n rows, t terms of the query.

    ``cosine`` (n,) is nan without a vector; ``counts`` (n, t) tells how often each term occurs and ``lengths`` (n,)
    the words; ``previous`` and ``next`` (n,) are indexes of the neighbours in the conversation, -1 where unknown.
    ``total`` counts the rows that the filter leaves;
    a count that goes far beyond what an exact search could take in ends there.
    ``unread`` are frequent words that were scored and not searched for. ``centred`` (n,) is the cosine of what tells
    row and query from the usual row: texts of one user resemble each other, and a bland one resembles every query.
    """

    rows: list[Candidate]
    words: list[str]
    corpus: Corpus
    idf: NDArray[np.float64]
    cosine: NDArray[np.float64]
    counts: NDArray[np.float64]
    lengths: NDArray[np.float64]
    previous: NDArray[np.int64]
    next: NDArray[np.int64]
    total: int
    exact: bool
    unread: tuple[str, ...] = ()
    centred: NDArray[np.float64] | None = None

    @property
    def eligible(self) -> NDArray[np.bool_]:
        """Which rows may be shown, shape ``(n,)``."""
        return np.array([row.eligible for row in self.rows], dtype=bool)

    def term_scores(self) -> NDArray[np.float64]:
        """BM25 of each row and term, shape ``(n, t)``; a row's sum is its BM25."""
        return np.asarray(self.idf * self.corpus.saturated(self.counts, self.lengths[:, None]))


@dataclass(frozen=True, slots=True)
class Details:
    """A row as it is shown. ``conversation`` and ``external_id`` are the host's ids."""

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


@dataclass(frozen=True, slots=True)
class _Scope:
    """What the filter leaves: how many rows, and their documents where they are few enough to be named."""

    total: int
    documents: NDArray[np.int32] | None = field(default=None)


class SearchRows(Rows):
    """Searches over the user's messages and passages."""

    def candidates(self, query: CandidateQuery) -> Candidates:
        """Find candidates and their features. Raises ``InvalidArgument`` for a filter that the kind cannot have."""
        passes = self._condition(query.kind, query.filter)
        found = self._unit.words.read(query.kind, list(query.terms.values()), POSTINGS_BUDGET)
        most = self._exact_limit(query, passes, found.corpus.documents)
        scope = self._scope(query.kind, passes, found, most)
        documents = self._by_words(query, passes, found, scope)
        side = None
        if query.vector is not None:
            side = VectorSide(query.model_id, len(query.vector), exact=scope.total <= most)
            if not side.exact:
                self.execute(_SCAN_SETTINGS, ef_search=str(max(query.by_vector, 40)))
        rows = self._gather(query, passes, documents, side, terms=bool(found.unread))
        return _assemble(query, rows, found, scope.total, exact=side is None or side.exact)

    def speakers(self, known: Speakers) -> Speakers:
        """Who speaks in the user's messages, given what was known before."""
        return VoiceRows(self._unit).read(known)

    def newest(self, kind: Kind, wanted: Filter, limit: int) -> list[str]:
        """Ids of the newest rows that pass, newest first."""
        passes = condition(kind, wanted)
        statement = _NEWEST.format(table=TABLES[kind], passes=passes.sql)
        return [str(row.id) for row in self.execute(statement, limit=limit, **passes.parameters)]

    def count(self, kind: Kind, wanted: Filter) -> int:
        """How many rows pass, as ``Candidates.total`` counts."""
        return self._scope(kind, self._condition(kind, wanted), self._unit.words.read(kind, [], 0), EXACT_ROWS).total

    def details(self, kind: Kind, ids: Sequence[UUID | str]) -> dict[str, Details]:
        """Rows in full, by id as text; rows that are gone are left out."""
        rows = self.execute(_DETAILS[kind], ids=[str(id) for id in ids])
        return {
            str(row.id): Details(
                row.id, row.content, row.said_at, row.origin, row.role, row.speaker, row.conversation,
                row.external_id, tuple(row.tags or ()), row.category, row.valid_from, row.valid_until, row.confidence,
            )
            for row in rows
        }  # fmt: skip

    def _condition(self, kind: Kind, wanted: Filter) -> Condition:
        """Read a filter; one that only leaves out ended rows costs nothing where there are none."""
        passes = condition(kind, wanted)
        if not passes.current_only:
            return passes
        counted = self.execute(_ENDED.format(table=TABLES[kind]), most=_COUNTED_ENDED, **passes.parameters)
        left_out = int(counted.scalar_one())
        return Condition() if left_out == 0 else replace(passes, left_out=left_out)

    def _scope(self, kind: Kind, passes: Condition, found: Found, most: int) -> _Scope:
        if passes.everything:
            return _Scope(found.corpus.documents)
        if 0 < passes.left_out < _COUNTED_ENDED and found.corpus.documents - passes.left_out > most:
            return _Scope(found.corpus.documents - passes.left_out)
        row = self.execute(
            _SCOPE.format(table=TABLES[kind], passes=passes.sql),
            kind_number=KIND_NUMBERS[kind],
            most=most,
            **passes.parameters,
        ).one()
        if row.n > most:
            return _Scope(int(row.n))
        return _Scope(int(row.n), np.frombuffer(row.documents or b"", ">i4").astype(np.int32))

    def _by_words(self, query: CandidateQuery, passes: Condition, found: Found, scope: _Scope) -> list[int]:
        if not found.postings:
            return []
        scores = bm25(found.corpus, found.postings, found.size)
        if passes.everything:
            return list(map(int, best(scores, query.by_words)))
        if scope.documents is not None:
            known = scope.documents[scope.documents < found.size]
            return list(map(int, best(scores, query.by_words, known)))
        return self._passing(query, passes, best(scores, found.size).tolist())

    def _passing(self, query: CandidateQuery, passes: Condition, ranked: list[int]) -> list[int]:
        """The first documents that pass a filter which leaves many rows: looked up best first, in growing chunks."""
        statement = _PASSING.format(table=TABLES[query.kind], passes=passes.sql)
        kept: list[int] = []
        start, size = 0, _FIRST_CHUNK
        while start < len(ranked) and len(kept) < query.by_words:
            chunk = ranked[start : start + size]
            rows = self.execute(statement, kind_number=KIND_NUMBERS[query.kind], documents=chunk, **passes.parameters)
            passing = {row.document for row in rows}
            kept += [document for document in chunk if document in passing]
            start, size = start + size, size * 4
        return kept[: query.by_words]

    def _exact_limit(self, query: CandidateQuery, passes: Condition, documents: int) -> int:
        """Up to how many rows every vector is compared in place of asking the approximate index."""
        if query.vector is None or documents <= EXACT_ROWS:
            return EXACT_ROWS
        name = f"ltmemory.{index_name(query.model_id, query.kind)}"
        rows = max(float(self.execute(_INDEX_ROWS, name=name).scalar() or 0), documents)
        balance = EXACT_BALANCE if passes.everything else EXACT_BALANCE_FILTERED
        return max(EXACT_ROWS, int(balance * rows**0.5))

    def _gather(
        self, query: CandidateQuery, passes: Condition, documents: list[int], side: VectorSide | None, *, terms: bool
    ) -> Sequence[Any]:
        statement = candidates(query.kind, passes.sql, side, ranges=len(query.ranges), reach=query.reach, terms=terms)
        parameters: dict[str, Any] = {
            "kind_number": KIND_NUMBERS[query.kind],
            "documents": documents,
            "excerpt": EXCERPT_CHARS,
            "around": query.around,
            "reach": query.reach,
            **passes.parameters,
        }
        if query.vector is not None:
            parameters |= {"vector": _literal(query.vector), "nearest": query.by_vector}
        for number, (start, end) in enumerate(query.ranges):
            parameters |= {f"from_{number}": start, f"to_{number}": end}
        if query.ranges:
            parameters |= {"in_range": _IN_RANGE, "per_range": query.per_range}
        return self.execute(statement, **parameters).all()


def _literal(vector: Vectors) -> str:
    return "[" + ",".join(f"{number:.6g}" for number in vector.tolist()) + "]"


def _assemble(query: CandidateQuery, rows: Sequence[Any], found: Found, total: int, *, exact: bool) -> Candidates:
    rows = sorted(rows, key=_place)
    terms = list(query.terms.values())
    previous, following = _links(rows, query.reach)
    return Candidates(
        rows=[_candidate(row) for row in rows],
        words=list(query.terms),
        corpus=found.corpus,
        idf=found.corpus.idf(terms),
        cosine=np.array([np.nan if row.cosine is None else row.cosine for row in rows], dtype=np.float64),
        counts=_counts(rows, found, terms),
        lengths=np.array([row.length or 0 for row in rows], dtype=np.float64),
        previous=previous,
        next=following,
        total=total,
        exact=exact,
        centred=_centred(rows),
        unread=tuple(word for word, term in query.terms.items() if term in found.unread),
    )


def _centred(rows: Sequence[Any]) -> NDArray[np.float64]:
    """Cosines less the mean vector, which counts the less the fewer vectors it was made from."""
    table = np.array(
        [(row.cosine, row.row_usual, row.asked_usual, row.usual_usual, row.sample) for row in rows], dtype=np.float64
    ).reshape(len(rows), 5)
    cosine, of_row, of_query, of_mean, sample = table.T
    share = sample / (sample + _FEW_VECTORS)
    of_row, of_query, of_mean = share * of_row, share * of_query, share**2 * of_mean
    norms = np.maximum((1 - 2 * of_row + of_mean) * (1 - 2 * of_query + of_mean), 1e-6)
    return np.asarray((cosine - of_row - of_query + of_mean) / np.sqrt(norms))


def _counts(rows: Sequence[Any], found: Found, terms: Sequence[int]) -> NDArray[np.float64]:
    if found.unread:
        return counts_of([bytes(row.terms or b"") for row in rows], terms)
    numbers = np.array([-1 if row.document is None else row.document for row in rows], np.int64)
    return counts_in(found.postings, numbers, terms)


def _place(row: Any) -> tuple[str, int, str]:
    return row.conversation_id or "", row.position or 0, row.id


def _candidate(row: Any) -> Candidate:
    return Candidate(
        row.id, row.excerpt, row.said_at, row.origin, row.eligible, row.role, row.speaker,
        row.conversation_id, row.position, tuple(row.tags or ()),
    )  # fmt: skip


def _links(rows: Sequence[Any], reach: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indexes of each row's previous and next message, for rows in the order of `_place`.

    Around a central row nothing is missing as far as ``reach`` goes: there, rows that follow each other here do so in
    the conversation. Elsewhere there may be others between them.
    """
    previous, following = np.full(len(rows), -1), np.full(len(rows), -1)
    conversations = [row.conversation_id for row in rows]
    for index, row in enumerate(rows):
        if not row.central or row.conversation_id is None:
            continue
        for left in range(max(index - reach, 0), min(index + reach, len(rows) - 1)):
            if conversations[left] == conversations[left + 1] == row.conversation_id:
                previous[left + 1], following[left] = left, left + 1
    return previous, following
