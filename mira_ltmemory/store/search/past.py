"""Candidates among the rows as they were at the end of a change set: every version visible then is compared.

Which rows there were is decided by the moment; how frequent words are, and the embedding model, are today's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mira_ltmemory.protocols import Filter, Kind
from mira_ltmemory.store.analysis import analyse
from mira_ltmemory.store.codes import cosines
from mira_ltmemory.store.postings import counts_of
from mira_ltmemory.store.rows import Rows
from mira_ltmemory.store.search.candidates import EXCERPT_CHARS, Candidate, CandidateQuery, Candidates, preceding
from mira_ltmemory.store.search.rows import Details
from mira_ltmemory.store.search.sql import condition
from mira_ltmemory.store.vector_text import vector_text
from mira_ltmemory.store.words import KIND_NUMBERS

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TABLES = {Kind.MESSAGE: "messages", Kind.PASSAGE: "passages"}

_COLUMNS = {
    Kind.MESSAGE: "id, content, content_hash, said_at, origin, role, speaker, external_id, conversation_id, position, "
    "CAST(NULL AS text[]) AS tags, CAST(NULL AS text) AS tier, CAST(NULL AS text) AS category, "
    "CAST(NULL AS timestamptz) AS valid_from, CAST(NULL AS timestamptz) AS valid_until, "
    "CAST(NULL AS real) AS confidence",
    Kind.PASSAGE: "id, content, content_hash, said_at, origin, CAST(NULL AS text) AS role, CAST(NULL AS text) "
    "AS speaker, CAST(NULL AS text) AS external_id, CAST(NULL AS uuid) AS conversation_id, "
    "CAST(NULL AS bigint) AS position, tags, tier, category, valid_from, valid_until, confidence",
}

# A row whose text is still the present one has its words packed already.
_THEN = """
WITH past AS (
    SELECT {columns}, true AS live FROM ltmemory.{table} WHERE user_id = :user_id AND change_set_id <= :moment
    UNION ALL
    SELECT {columns}, false FROM ltmemory.{table}_versions
    WHERE user_id = :user_id AND change_set_id <= :moment AND ended_by > :moment
)
SELECT r.*, ({passes}) AS passes, d.terms, d.length, {cosine} AS cosine, {code} AS code, c.external_id AS conversation
FROM past r
LEFT JOIN ltmemory.word_documents d
    ON r.live AND d.user_id = :user_id AND d.kind = :kind_number AND d.row_id = r.id
LEFT JOIN ltmemory.conversations c ON c.user_id = :user_id AND c.id = r.conversation_id
{vectors}
ORDER BY r.conversation_id NULLS FIRST, r.position, r.id
"""


@dataclass(frozen=True, slots=True)
class Past:
    """Candidates of a search in the past, and the details of each by id."""

    candidates: Candidates
    details: dict[str, Details]


class PastRows(Rows):
    """Searches over the user's messages and passages as they were."""

    def search(self, query: CandidateQuery, moment: int) -> Past:
        """Find candidates as a search at that moment would have. Raises ``InvalidArgument``."""
        rows = self._rows(query, moment)
        terms = list(query.terms.values())
        found = self._unit.words.read(query.kind, terms, 0)
        words = [_words(row) for row in rows]
        counts = counts_of([packed for packed, _ in words], terms) if rows else np.zeros((0, len(terms)))
        lengths = np.array([length for _, length in words], dtype=np.float64)
        scores = (found.corpus.idf(terms) * found.corpus.saturated(counts, lengths[:, None])).sum(axis=1)
        passes = np.array([row.passes for row in rows], dtype=bool)
        cosine = _cosines(rows, query)
        by_words = _best(np.where(passes & (scores > 0), scores, np.nan), query.by_words)
        by_vector = _best(np.where(passes, cosine, np.nan), query.by_vector)
        direct, around, first = _reach(rows, by_words, by_vector, query)
        chosen = sorted(direct | around)
        place = {index: number for number, index in enumerate(chosen)}
        candidates = Candidates(
            rows=[_candidate(rows[index], eligible=index in direct and bool(passes[index])) for index in chosen],
            words=list(query.terms),
            corpus=found.corpus,
            idf=found.corpus.idf(terms),
            cosine=cosine[chosen],
            counts=counts[chosen],
            lengths=lengths[chosen],
            previous=np.array([_beside(rows, index, -1, place) for index in chosen], dtype=np.int64),
            next=np.array([_beside(rows, index, 1, place) for index in chosen], dtype=np.int64),
            first=np.array([index in first for index in chosen], dtype=bool),
            total=int(passes.sum()),
            exact=True,
        )
        return Past(candidates, {str(rows[index].id): _details(rows[index]) for index in chosen})

    def newest(self, kind: Kind, wanted: Filter, moment: int, limit: int) -> tuple[list[Details], int]:
        """The newest rows that pass, newest first, and how many pass."""
        query = CandidateQuery(kind=kind, filter=wanted, terms={})
        rows = [row for row in self._rows(query, moment) if row.passes]
        rows.sort(key=lambda row: (-row.said_at.timestamp(), str(row.id)))
        return [_details(row) for row in rows[:limit]], len(rows)

    def _rows(self, query: CandidateQuery, moment: int) -> Sequence[Any]:
        passes = condition(query.kind, query.filter, past=True)
        parameters: dict[str, Any] = {"kind_number": KIND_NUMBERS[query.kind], "moment": moment, **passes.parameters}
        cosine, code, vectors = "NULL::real", "NULL::bytea", ""
        if query.vector is not None:
            dimension = len(query.vector)
            cosine = f"1 - (CAST(v.embedding AS halfvec({dimension})) <=> CAST(:vector AS halfvec({dimension})))"
            vectors = (
                "LEFT JOIN ltmemory.vectors v ON v.user_id = :user_id AND v.kind = :kind AND v.model_id = :model_id "
                "AND v.row_id = r.id AND v.content_hash = r.content_hash"
            )
            code = "q.code"
            vectors += (
                " LEFT JOIN ltmemory.cold_texts q ON q.user_id = :user_id AND q.kind = :kind "
                "AND q.model_id = :model_id AND q.row_id = r.id AND q.content_hash = r.content_hash"
            )
            parameters |= {"vector": vector_text(query.vector), "kind": query.kind.value, "model_id": query.model_id}
        statement = _THEN.format(
            columns=_COLUMNS[query.kind],
            table=_TABLES[query.kind],
            passes=passes.sql,
            cosine=cosine,
            code=code,
            vectors=vectors,
        )
        # Every row is compared anyway: a nested loop, which the planner takes before it has statistics, is quadratic.
        self.execute("SELECT set_config('enable_nestloop', 'off', true)")
        return self.execute(statement, **parameters).all()


def _cosines(rows: Sequence[Any], query: CandidateQuery) -> NDArray[np.float64]:
    """Cosine of each row; from its code where it is in cold storage and has no vector."""
    cosine = np.array([np.nan if row.cosine is None else row.cosine for row in rows], dtype=np.float64)
    if query.vector is None:
        return cosine
    return np.where(np.isnan(cosine), cosines([row.code for row in rows], query.vector), cosine)


def _words(row: Any) -> tuple[bytes, int]:
    if row.terms is not None:
        return bytes(row.terms), int(row.length)
    document = analyse(row.content)
    return document.forward.tobytes(), document.length


def _best(values: Any, limit: int) -> list[int]:
    """Indexes of the greatest values, greatest first, the later row first among equals; nan is none."""
    known = np.flatnonzero(~np.isnan(values))
    return [int(index) for index in known[np.lexsort((-known, -values[known]))][:limit]]


def _reach(
    rows: Sequence[Any], by_words: list[int], by_vector: list[int], query: CandidateQuery
) -> tuple[set[int], set[int], set[int]]:
    """Rows that may be shown, those that stand around the best of them, and which are seen to begin theirs."""
    direct = {*by_words, *by_vector}
    around: set[int] = set()
    first: set[int] = set()
    conversations = [row.conversation_id for row in rows]
    if query.kind is Kind.MESSAGE:
        for index in {*by_words[: query.around], *by_vector[: query.around]}:
            for step in range(-query.reach, query.reach + 1):
                if 0 <= index + step < len(rows) and conversations[index + step] == conversations[index]:
                    around.add(index + step)
                    if abs(step) <= 1:
                        direct.add(index + step)
            before = preceding(conversations, index, query.reach)
            if before < query.reach:
                first.add(index - before)
    return direct, around, first


def _beside(rows: Sequence[Any], index: int, step: int, place: dict[int, int]) -> int:
    if rows[index].conversation_id is None or not 0 <= index + step < len(rows):
        return -1
    same = rows[index + step].conversation_id == rows[index].conversation_id
    return place.get(index + step, -1) if same else -1


def _candidate(row: Any, *, eligible: bool) -> Candidate:
    return Candidate(
        id=str(row.id),
        excerpt=row.content[:EXCERPT_CHARS],
        said_at=row.said_at,
        origin=row.origin,
        eligible=eligible,
        role=row.role,
        speaker=row.speaker,
        conversation_id=None if row.conversation_id is None else str(row.conversation_id),
        position=row.position,
        tags=tuple(row.tags or ()),
        content_hash=str(row.content_hash),
    )


def _details(row: Any) -> Details:
    return Details(
        id=row.id,
        content=row.content,
        said_at=row.said_at,
        origin=row.origin,
        role=row.role,
        speaker=row.speaker,
        conversation=row.conversation,
        external_id=row.external_id,
        tags=tuple(row.tags or ()),
        category=row.category,
        valid_from=row.valid_from,
        valid_until=row.valid_until,
        confidence=row.confidence,
    )
