"""Answers searches: reads the query, asks the store for candidates, ranks them and tells what limited the search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from mira_ltmemory.errors import InvalidArgument
from mira_ltmemory.protocols import Filter, Hit, Kind, Origin, Role, SearchResult, TokenVectors
from mira_ltmemory.services.search.late import Late, asked_tokens
from mira_ltmemory.services.search.likely import UNLIKELY, Judged, judge, probabilities, strength, way_of
from mira_ltmemory.services.search.periods import MAX_PERIODS
from mira_ltmemory.services.search.query import Query, Voices, analyse
from mira_ltmemory.services.search.rank import Ranking, rank
from mira_ltmemory.services.search.rerank import Reranking
from mira_ltmemory.store.calibrations import Way
from mira_ltmemory.store.search import CandidateQuery, Candidates, Centre, Details, Speakers
from mira_ltmemory.store.unit_of_work import Store

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mira_ltmemory.protocols import Vectors
    from mira_ltmemory.store.unit_of_work import SqlUnitOfWork

MAX_QUERY_CHARS = 4_000
"""Characters of a query that are read; what follows is left out, and a note says so."""

MAX_LIMIT = 1_000
CANDIDATES = 100
MEASURED = 50

WORDS_ONLY = "Searched by words only: there is no embedding model at hand."
NOT_EMBEDDED = "Some rows have no vector and were found by their words only."
NEWEST = "No query was given: these are the newest rows, newest first."
NOTHING_ASKED = "Nothing was asked for: give a query, or a filter to list the newest rows that pass it."
CUT = f"The query is longer than {MAX_QUERY_CHARS:,} characters; only its beginning was searched for."


class EmbeddedQuery(NamedTuple):
    """A query under the model of that number: its unit vector ``(dim,)``, and its words' where the model gives them."""

    model_id: int
    vector: Vectors
    tokens: TokenVectors | None = None


class QueryEmbedder(Protocol):
    """Turns a query into vectors."""

    def embed_query(self, text: str) -> EmbeddedQuery | None:
        """Return the query's vectors, or none where words must do."""
        ...


@dataclass(frozen=True, slots=True)
class Prepared:
    """A query that was read and embedded: what is asked of the store, and what its reader has to know."""

    wanted: CandidateQuery
    read: Query
    notes: tuple[str, ...]
    tokens: NDArray[np.int8] | None = None

    def late(self, unit: SqlUnitOfWork, found: Candidates) -> Late | None:
        """The query's words and those of the candidates; none where the query has none."""
        if self.tokens is None or not len(self.tokens) or not found.rows:
            return None
        keys = [(row.id, row.content_hash) for row in found.rows]
        table = unit.tokens.read(self.wanted.kind, self.wanted.model_id, keys, self.tokens.shape[1])
        return Late(self.tokens, table)

    def notes_on(self, found: Candidates) -> tuple[str, ...]:
        """The notes, and one more where some rows could be found by their words only."""
        partly = self.wanted.vector is not None and np.isnan(found.cosine[found.eligible]).any()
        return (*self.notes, NOT_EMBEDDED) if partly else self.notes


class Searcher:
    """Searches the messages and passages of one user."""

    def __init__(
        self,
        store: Store,
        embeddings: QueryEmbedder | None,
        zone: tzinfo = UTC,
        reranking: Reranking | None = None,
        user_name: str | None = None,
    ) -> None:
        self._store = store
        self._user_name = user_name
        self._reranking = reranking
        self._embeddings = embeddings
        self._zone = zone
        self._speakers = Speakers()  # replaced as a whole: several threads may search
        self._centres: dict[Kind, Centre] = {}

    def search(
        self,
        kind: Kind,
        query: str,
        filter: Filter,
        limit: int,
        *,
        min_cosine: float | None = None,
        width: int | None = None,
        embedded: EmbeddedQuery | None = None,
    ) -> SearchResult:
        """Find rows by words and meaning, best first, at most ``limit`` of those that pass the filter.

        Any string is a query. A blank one lists the newest rows that pass. ``min_cosine`` leaves out rows that are
        known to be less similar. ``width`` asks for a quick search: among so many candidates of each source, with half
        of the work in the vector index, without what stands beside them, and with the query embedded as it is:
        ``embedded``, where `embed` did that already.
        Raises ``InvalidArgument`` for a limit below 1 or above 1,000 and for a filter that rows of this kind cannot
        have, and ``StoreError``.
        """
        asked = self.prepare(kind, query, filter, limit, width, embedded)
        if asked is None:
            return self._newest(kind, filter, limit)
        with self._store.read() as unit:
            found, ranking = self._ranked(unit, asked)
            again = self._reranking if width is None else None
            chosen = in_order(found, ranking, min_cosine)[: limit if again is None else max(limit, again.number)]
            details = unit.search.details(kind, [found.rows[index].id for index in chosen])
            judged = judge(unit, kind, found, ranking, asked.read)
        result = as_result(kind, asked, found, ranking, chosen, details, judged)
        if again is None:
            return result
        self._store.rest()  # another model's work
        hits, notes = again.apply(query, result.hits)
        return replace(result, hits=hits[:limit], notes=(*result.notes, *notes))

    def measure(self, kind: Kind, query: str) -> tuple[Way, float] | None:
        """How strong the find for a query is, and what it went by; none where there is nothing to find."""
        asked = self.prepare(kind, query, Filter(), MEASURED)
        if asked is None:
            return None
        with self._store.read() as unit:
            found, ranking = self._ranked(unit, asked)
        return (way_of(ranking), strength(found, ranking, asked.read)) if found.rows else None

    def people(self) -> list[str]:
        """The speakers of the messages that have a name."""
        with self._store.read() as unit:
            self._speakers = unit.search.speakers(self._speakers)
        return Voices(self._speakers.pairs).people

    def _ranked(self, unit: SqlUnitOfWork, asked: Prepared) -> tuple[Candidates, Ranking]:
        kind = asked.wanted.kind
        found = unit.search.candidates(replace(asked.wanted, centre=self._centres.get(kind)))
        if found.centre is not None:
            self._centres[kind] = found.centre
        return found, rank(found, asked.read, asked.late(unit, found))

    def embed(self, query: str) -> EmbeddedQuery | None:
        """Embed a query as it is, for quick searches; none where words must do."""
        asked = _readable(query)
        return self._embeddings.embed_query(asked) if self._embeddings is not None and asked else None

    def prepare(
        self, kind: Kind, query: str, filter: Filter, limit: int, width: int | None = None,
        embedded: EmbeddedQuery | None = None,
    ) -> Prepared | None:  # fmt: skip
        """Read and embed a query; none for a blank one. Raises ``InvalidArgument`` for the limit."""
        if not 1 <= limit <= MAX_LIMIT:
            raise InvalidArgument(f"limit must be between 1 and {MAX_LIMIT:,}, not {limit}.")
        asked = _readable(query)
        if not asked:
            return None
        notes = [CUT] if len(query) > MAX_QUERY_CHARS else []
        read = self.read(kind, asked)
        # Embedded outside of transactions: no connection is held while the model works.
        if embedded is None and self._embeddings is not None:
            embedded = self._embeddings.embed_query(read.rewritten if width is None else asked)
        if embedded is None:
            notes.append(WORDS_ONLY)
        number = width or max(CANDIDATES, 2 * limit)
        wanted = CandidateQuery(
            kind=kind,
            filter=self._dated(filter),
            terms=read.terms,
            vector=embedded.vector if embedded else None,
            model_id=embedded.model_id if embedded else 0,
            by_words=number,
            by_vector=number,
            around=CANDIDATES,
            reach=1 if width is None else 0,
            quick=width is not None,
            ranges=[
                moments
                for period in read.periods
                if width is None and (moments := period.moments(read.zone)) is not None
            ],
        )
        tokens = asked_tokens(embedded.tokens) if embedded is not None and embedded.tokens is not None else None
        return Prepared(wanted, read, tuple(notes), tokens)

    def forget(self) -> None:
        """Forget who speaks and what is usual; the next search asks again."""
        self._speakers = Speakers()
        self._centres = {}

    def read(self, kind: Kind, text: str) -> Query:
        """What a query asks, given who speaks in the store and what time it is."""
        now = self._store.clock.now()
        voices = Voices(years=(now.year - 1, now.year))
        if kind is Kind.MESSAGE:
            with self._store.read() as unit:
                speakers = self._speakers = unit.search.speakers(self._speakers)
            years = voices.years
            if speakers.oldest is not None and speakers.newest is not None:
                years = tuple(range(speakers.oldest.year, speakers.newest.year + 1))[-MAX_PERIODS:]
            voices = Voices(speakers.pairs, years, self._user_name)
        return analyse(text, voices, now, self._zone, kind)

    def _dated(self, filter: Filter) -> Filter:
        return filter if filter.valid_at is not None else replace(filter, valid_at=self._store.clock.now())

    def _newest(self, kind: Kind, filter: Filter, limit: int) -> SearchResult:
        with self._store.read() as unit:
            wanted = self._dated(filter)
            total = unit.search.count(kind, wanted)
            if filter == Filter():
                return SearchResult(hits=(), total=total, notes=(NOTHING_ASKED,))
            ids = unit.search.newest(kind, wanted, limit)
            details = unit.search.details(kind, ids)
        hits = tuple(as_hit(kind, details[id], -float(place), {}) for place, id in enumerate(ids) if id in details)
        return SearchResult(hits=hits, total=total, notes=(NEWEST,))


def _readable(query: str) -> str:
    """As much of a query as is read, without what cannot be stored."""
    return query[:MAX_QUERY_CHARS].replace("\0", " ").encode("utf-8", "replace").decode("utf-8").strip()


def in_order(found: Candidates, ranking: Ranking, min_cosine: float | None) -> list[int]:
    """Indexes of the rows that may be shown, best first; the newest first among equals, then by id."""
    shown = np.flatnonzero(found.eligible)
    if min_cosine is not None:
        shown = shown[~(found.cosine[shown] < min_cosine)]
    rows = [found.rows[index] for index in shown.tolist()]
    moments = np.array([row.said_at.timestamp() for row in rows], dtype=np.float64)
    order = np.lexsort((np.array([row.id for row in rows], dtype=str), -moments, -np.round(ranking.scores[shown], 9)))
    return [int(index) for index in shown[order]]


def as_result(
    kind: Kind,
    asked: Prepared,
    found: Candidates,
    ranking: Ranking,
    chosen: Sequence[int],
    details: Mapping[str, Details],
    judged: Judged,
) -> SearchResult:
    """The chosen candidates as a result; those that are gone by now are left out.

    Each has how likely it is, where that was measured in this memory.
    """
    chances: Sequence[float | None] = [None] * len(chosen)
    if judged.chance.measured:
        chances = probabilities([float(ranking.scores[index]) for index in chosen], judged.beyond)
    hits = tuple(
        as_hit(kind, details[id], float(ranking.scores[index]), ranking.of(index), chance)
        for index, chance in zip(chosen, chances, strict=True)
        if (id := found.rows[index].id) in details
    )
    notes = asked.notes_on(found)
    if hits and not judged.likely:
        notes = (*notes, UNLIKELY)
    return SearchResult(
        hits=hits,
        total=found.total,
        notes=notes,
        likely=bool(hits) and judged.likely,
        calibrated=judged.chance.measured,
    )


def as_hit(kind: Kind, row: Details, score: float, features: dict[str, float], probability: float | None = None) -> Hit:
    """A row as a hit."""
    return Hit(
        kind=kind,
        id=row.id,
        content=row.content,
        score=score,
        said_at=row.said_at,
        origin=Origin(row.origin),
        role=Role(row.role) if row.role else None,
        speaker=row.speaker,
        conversation_id=row.conversation,
        external_id=row.external_id,
        tags=row.tags,
        features=features,
        probability=probability,
        category=row.category,
        valid_from=row.valid_from,
        valid_until=row.valid_until,
        confidence=row.confidence,
        conflicts=row.conflicts,
    )
