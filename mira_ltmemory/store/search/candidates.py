"""What a search asks of the store, and the candidates that it gets, with their features in numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mira_ltmemory.protocols import Filter, Kind
from mira_ltmemory.store.postings import Corpus, counts_in, counts_of
from mira_ltmemory.store.search.centre import Centre
from mira_ltmemory.store.words import Found

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mira_ltmemory.protocols import Vectors

EXCERPT_CHARS = 2_000
"""Characters of a candidate's content that a ranking sees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateQuery:
    """What is looked for. ``terms`` maps words to terms (`analysis.query_terms`); ``vector`` has shape ``(dim,)``.

    ``ranges`` are times (start inclusive, end exclusive) whose rows are candidates too; they filter nothing.
    ``reach`` is how many neighbours on either side come with the ``around`` best messages of each source: the
    first is a candidate itself. ``centre`` is what an earlier search found to be usual. ``quick`` looks at half of the
    candidates in the vector index.
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
    centre: Centre | None = None
    quick: bool = False


class Candidate(NamedTuple):
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
    tags: Sequence[str] = ()
    content_hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Candidates by conversation and position, and their features, in numpy: n rows, t terms of the query.

    ``cosine`` (n,) is nan without a vector; ``counts`` (n, t) tells how often each term occurs and ``lengths`` (n,)
    the words; ``previous`` and ``next`` (n,) are indexes of the neighbours in the conversation, -1 where unknown.
    ``first`` (n,) tells which rows are known to begin their conversation.
    ``total`` is how many rows the filter leaves: counted where they are few, else estimated from a sample.
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
    first: NDArray[np.bool_]
    total: int
    exact: bool
    unread: tuple[str, ...] = ()
    centred: NDArray[np.float64] | None = None
    centre: Centre | None = None

    @property
    def eligible(self) -> NDArray[np.bool_]:
        """Which rows may be shown, shape ``(n,)``."""
        return np.array([row.eligible for row in self.rows], dtype=bool)

    def term_scores(self) -> NDArray[np.float64]:
        """BM25 of each row and term, shape ``(n, t)``; a row's sum is its BM25."""
        return np.asarray(self.idf * self.corpus.saturated(self.counts, self.lengths[:, None]))


class Gathered(NamedTuple):
    """A row of the statement that gathers candidates (`sql.candidates`), column by column.

    The first are those of `Candidate`. ``central`` ones have their neighbours beside them; ``near`` ones are among the
    nearest. ``usual`` is the inner product with the usual vector.
    """

    id: str
    excerpt: str
    said_at: datetime
    origin: str
    eligible: bool
    role: str | None
    speaker: str | None
    conversation_id: str | None
    position: int | None
    tags: Sequence[str]
    content_hash: str
    central: bool
    near: bool
    document: int | None
    length: int | None
    terms: memoryview | None
    cosine: float | None
    usual: float | None


_OF_CANDIDATE = len(Candidate._fields)


def assemble(
    query: CandidateQuery, rows: Sequence[Gathered], found: Found, total: int, centre: Centre | None, *, exact: bool
) -> Candidates:
    """The candidates of a search in the order of their conversations."""
    rows = sorted(rows, key=_place)
    terms = list(query.terms.values())
    previous, following, first = _links(rows, query.reach)
    cosine = np.array([row.cosine for row in rows], dtype=np.float64)
    centred = None
    if centre is not None and query.vector is not None:
        usual = np.array([row.usual for row in rows], dtype=np.float64)
        centred = centre.without(cosine, usual, query.vector)
    return Candidates(
        rows=[Candidate._make(row[:_OF_CANDIDATE]) for row in rows],
        words=list(query.terms),
        corpus=found.corpus,
        idf=found.corpus.idf(terms),
        cosine=cosine,
        counts=_counts(rows, found, terms),
        lengths=np.array([row.length or 0 for row in rows], dtype=np.float64),
        previous=previous,
        next=following,
        first=first,
        total=total,
        exact=exact,
        centred=centred,
        centre=centre,
        unread=tuple(word for word, term in query.terms.items() if term in found.unread),
    )


def _counts(rows: Sequence[Gathered], found: Found, terms: Sequence[int]) -> NDArray[np.float64]:
    if found.unread:
        return counts_of([bytes(row.terms or b"") for row in rows], terms)
    numbers = np.array([-1 if row.document is None else row.document for row in rows], np.int64)
    return counts_in(found.postings, numbers, terms)


def _place(row: Gathered) -> tuple[str, int, str]:
    return row.conversation_id or "", row.position or 0, row.id


def _links(rows: Sequence[Gathered], reach: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Indexes of each row's previous and next message, and which begin theirs, for rows in the order of `_place`.

    Around a central row nothing is missing as far as ``reach`` goes: there, rows that follow each other here do so in
    the conversation. Elsewhere there may be others between them.
    """
    previous, following = np.full(len(rows), -1), np.full(len(rows), -1)
    first = np.zeros(len(rows), dtype=bool)
    conversations = [row.conversation_id for row in rows]
    for index, row in enumerate(rows):
        if not row.central or row.conversation_id is None or not reach:
            continue
        before = preceding(conversations, index, reach)
        if before < reach:
            first[index - before] = True
        for left in range(max(index - reach, 0), min(index + reach, len(rows) - 1)):
            if conversations[left] == conversations[left + 1] == row.conversation_id:
                previous[left + 1], following[left] = left, left + 1
    return previous, following, first


def preceding(conversations: Sequence[object], index: int, reach: int) -> int:
    """How many rows right before one, at most ``reach``, are of its conversation."""
    before = 0
    while before < reach and index > before and conversations[index - before - 1] == conversations[index]:
        before += 1
    return before
