"""Rows of cold storage: texts out of the indexes, found by a scan when they are asked for.

The row itself stays in its table, with its journal: history, erasure and memory as it was work as ever. What goes is
what its place in the indexes costs: the vector with its graph node and token vectors, and the words' postings. A code
of one byte a dimension and packed terms take their place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np

from mira_ltmemory.protocols import Kind
from mira_ltmemory.store.analysis import analyse
from mira_ltmemory.store.codes import cosines, packed_floats, packed_terms, packed_vector, term_counts
from mira_ltmemory.store.postings import Corpus
from mira_ltmemory.store.rows import Rows
from mira_ltmemory.store.search.rows import EXCERPT_CHARS, Candidate, CandidateQuery, Candidates
from mira_ltmemory.store.search.sql import TABLES, condition

if TYPE_CHECKING:
    from mira_ltmemory.protocols import Vectors

_FETCHED = 5_000

_TEXTS = """
SELECT DISTINCT ON (r.id) r.id, r.content, r.content_hash, v.model_id, halfvec_send(v.embedding) AS vector
FROM {table} r LEFT JOIN ltmemory.vectors v
    ON v.user_id = :user_id AND v.kind = :kind AND v.row_id = r.id AND v.content_hash = r.content_hash
WHERE r.user_id = :user_id AND r.id = ANY(CAST(:ids AS uuid[])) ORDER BY r.id, v.model_id DESC NULLS LAST
"""

_PUT = """
INSERT INTO ltmemory.cold_texts (user_id, kind, row_id, content_hash, length, terms, model_id, code)
VALUES (:user_id, :kind, :row_id, :content_hash, :length, :terms, :model_id, :code)
ON CONFLICT (user_id, kind, row_id) DO UPDATE SET content_hash = EXCLUDED.content_hash, length = EXCLUDED.length,
    terms = EXCLUDED.terms, model_id = EXCLUDED.model_id, code = EXCLUDED.code
"""

_QUEUE = """
INSERT INTO ltmemory.pending_embeddings (user_id, kind, row_id, enqueued_by)
SELECT :user_id, :kind, r.id, r.change_set_id FROM {table} r WHERE r.user_id = :user_id
    AND r.id = ANY(CAST(:ids AS uuid[])) AND r.content ~ '\\S' AND char_length(r.content) <= :max_chars
ON CONFLICT DO NOTHING
"""

_SCAN = """
SELECT c.row_id, c.length, c.terms, CASE WHEN c.model_id = :model_id THEN c.code END AS code
FROM ltmemory.cold_texts c
JOIN {table} r ON r.user_id = :user_id AND r.id = c.row_id AND r.content_hash = c.content_hash
WHERE c.user_id = :user_id AND c.kind = :kind AND {passes}
"""

_COLUMNS = {
    Kind.MESSAGE: "r.role, r.speaker, CAST(r.conversation_id AS text) AS conversation_id, r.position, NULL AS tags",
    Kind.PASSAGE: "NULL AS role, NULL AS speaker, NULL AS conversation_id, NULL AS position, r.tags",
}

_ROWS = """
SELECT CAST(r.id AS text) AS id, left(r.content, :excerpt) AS excerpt, r.said_at, r.origin, {columns}
FROM {table} r WHERE r.user_id = :user_id AND r.id = ANY(CAST(:ids AS uuid[]))
"""

_UNCODED = """
SELECT c.kind, c.row_id, r.content FROM ltmemory.cold_texts c
JOIN {table} r ON r.user_id = c.user_id AND r.id = c.row_id AND r.content_hash = c.content_hash
WHERE c.user_id = :user_id AND c.kind = :kind AND c.model_id IS DISTINCT FROM :model_id
    AND r.content ~ '\\S' AND char_length(r.content) <= :max_chars
ORDER BY c.row_id LIMIT :limit
"""


@dataclass(frozen=True, slots=True)
class Uncoded:
    """A cold text that has no code under the present model."""

    kind: Kind
    row_id: UUID
    content: str


class ColdRows(Rows):
    """The user's cold texts."""

    def freeze(self, kind: Kind, ids: Sequence[UUID], *, sweep: bool = True) -> int:
        """Take rows out of the indexes; tell how many there were. A row without a vector gets its code later.

        Without ``sweep`` their vectors stay until the next `sweep`, which looks at every cold row.
        """
        rows = self.execute(_TEXTS.format(table=TABLES[kind]), kind=kind.value, ids=list(ids)).all() if ids else []
        if not rows:
            return 0
        for row in rows:
            document = analyse(row.content)
            self.execute(
                _PUT,
                kind=kind.value,
                row_id=row.id,
                content_hash=row.content_hash,
                length=document.length,
                terms=packed_terms(document.forward),
                model_id=row.model_id,
                code=None if row.vector is None else packed_vector(bytes(row.vector)),
            )
        self._unit.words.remove(kind, [row.id for row in rows])
        self._dequeue(kind, [row.id for row in rows])
        if sweep:
            self.sweep()
        return len(rows)

    def thaw(self, kind: Kind, ids: Sequence[UUID], max_chars: int) -> int:
        """Bring rows back into the indexes: by their words at once, by meaning when they were embedded again."""
        held = sorted(self.among(kind, ids))
        if not held:
            return 0
        texts = self.execute(
            f"SELECT id, content FROM {TABLES[kind]} WHERE user_id = :user_id AND id = ANY(CAST(:ids AS uuid[]))",
            ids=held,
        ).all()
        self.drop(kind, held)
        self._unit.words.add(kind, [(row.id, row.content) for row in texts])
        self.execute(_QUEUE.format(table=TABLES[kind]), kind=kind.value, ids=held, max_chars=max_chars)
        return len(held)

    def drop(self, kind: Kind, ids: Sequence[UUID]) -> int:
        """Forget what is kept of rows that are gone or come back; tell how many there were."""
        return self.execute(
            "DELETE FROM ltmemory.cold_texts WHERE user_id = :user_id AND kind = :kind "
            "AND row_id = ANY(CAST(:ids AS uuid[]))",
            kind=kind.value,
            ids=list(ids),
        ).rowcount

    def sweep(self) -> int:
        """Remove vectors of cold rows that have a code, those included that a worker stored meanwhile."""
        return int(self.execute("SELECT ltmemory.drop_frozen_vectors()").scalar_one())

    def count(self, kind: Kind) -> int:
        """How many rows of a kind are cold."""
        counted = self.execute(
            "SELECT count(*) FROM ltmemory.cold_texts WHERE user_id = :user_id AND kind = :kind", kind=kind.value
        )
        return int(counted.scalar_one())

    def any(self, kind: Kind) -> bool:
        """Whether a row of a kind is cold."""
        found = self.execute(
            "SELECT 1 FROM ltmemory.cold_texts WHERE user_id = :user_id AND kind = :kind LIMIT 1", kind=kind.value
        )
        return found.scalar() is not None

    def among(self, kind: Kind, ids: Sequence[UUID]) -> set[UUID]:
        """Which of these rows are cold."""
        rows = self.execute(
            "SELECT row_id FROM ltmemory.cold_texts WHERE user_id = :user_id AND kind = :kind "
            "AND row_id = ANY(CAST(:ids AS uuid[]))",
            kind=kind.value,
            ids=list(ids),
        )
        return {row.row_id for row in rows}

    def uncoded(self, model_id: int, max_chars: int, limit: int) -> list[Uncoded]:
        """Cold texts that have no code under a model, at most ``limit`` of each kind."""
        return [
            Uncoded(kind, row.row_id, row.content)
            for kind, table in TABLES.items()
            for row in self.execute(
                _UNCODED.format(table=table), kind=kind.value, model_id=model_id, max_chars=max_chars, limit=limit
            )
        ]

    def set_codes(self, texts: Sequence[Uncoded], vectors: Vectors, model_id: int) -> None:
        """Store the codes of texts, row by row."""
        for text, vector in zip(texts, vectors, strict=True):
            self.execute(
                "UPDATE ltmemory.cold_texts SET model_id = :model_id, code = :code "
                "WHERE user_id = :user_id AND kind = :kind AND row_id = :row_id",
                kind=text.kind.value,
                row_id=text.row_id,
                model_id=model_id,
                code=packed_floats(vector),
            )

    def candidates(self, query: CandidateQuery) -> Candidates:
        """Find candidates and their features by scanning every cold row that passes. Raises ``InvalidArgument``."""
        terms = list(query.terms.values())
        scan = self._scan(query, terms)
        frequencies = dict(zip(terms, (scan.counts > 0).sum(axis=0).tolist(), strict=True))
        corpus = Corpus(len(scan.ids), int(scan.lengths.sum()), frequencies)
        counts = scan.counts.astype(np.float64)
        scores = (corpus.idf(terms) * corpus.saturated(counts, scan.lengths[:, None])).sum(axis=1)
        chosen = {
            *_best(np.where(scores > 0, scores, np.nan), query.by_words),
            *_best(scan.cosine, query.by_vector),
        }
        known = {str(scan.ids[index]): index for index in chosen}
        rows = self.execute(
            _ROWS.format(columns=_COLUMNS[query.kind], table=TABLES[query.kind]),
            ids=list(known),
            excerpt=EXCERPT_CHARS,
        ).all()
        at = [known[row.id] for row in rows]
        return Candidates(
            rows=[_candidate(row) for row in rows],
            words=list(query.terms),
            corpus=corpus,
            idf=corpus.idf(terms),
            cosine=scan.cosine[at],
            counts=counts[at],
            lengths=scan.lengths[at],
            previous=np.full(len(rows), -1, dtype=np.int64),
            next=np.full(len(rows), -1, dtype=np.int64),
            total=len(scan.ids),
            exact=True,
        )

    def _scan(self, query: CandidateQuery, terms: list[int]) -> _Scan:
        passes = condition(query.kind, query.filter)
        statement = _SCAN.format(table=TABLES[query.kind], passes=passes.sql)
        streamed = self.stream(statement, _FETCHED, kind=query.kind.value, model_id=query.model_id, **passes.parameters)
        ids: list[UUID] = []
        lengths, counts, cosine = [np.zeros(0)], [np.zeros((0, len(terms)), np.uint8)], [np.zeros(0)]
        for rows in streamed.partitions():
            ids += [row.row_id for row in rows]
            lengths.append(np.array([row.length for row in rows], dtype=np.float64))
            counts.append(term_counts([row.terms for row in rows], terms))
            codes = [row.code for row in rows] if query.vector is not None else [None] * len(rows)
            cosine.append(cosines(codes, query.vector if query.vector is not None else np.zeros(1, np.float32)))
        return _Scan(ids, np.concatenate(lengths), np.concatenate(counts), np.concatenate(cosine))

    def _dequeue(self, kind: Kind, ids: Sequence[UUID]) -> None:
        self.execute(
            "DELETE FROM ltmemory.pending_embeddings WHERE user_id = :user_id AND kind = :kind "
            "AND row_id = ANY(CAST(:ids AS uuid[]))",
            kind=kind.value,
            ids=list(ids),
        )


@dataclass(frozen=True, slots=True)
class _Scan:
    """Every cold row that passes: ids, words, counts of the query's terms (n, t), cosine (n,)."""

    ids: list[UUID]
    lengths: Any
    counts: Any
    cosine: Any


def _best(values: Any, limit: int) -> list[int]:
    known = np.flatnonzero(~np.isnan(values))
    return [int(index) for index in known[np.argsort(-values[known], kind="stable")][:limit]]


def _candidate(row: Any) -> Candidate:
    return Candidate(
        row.id, row.excerpt, row.said_at, row.origin, True, row.role, row.speaker,
        row.conversation_id, row.position, tuple(row.tags or ()),
    )  # fmt: skip
