"""Rows of cold storage: texts out of the indexes of current memory, found when they are asked for.

The row itself stays in its table, with its journal: history, erasure and memory as it was work as ever. What goes is
what its place in the indexes costs: the vector with its graph node and token vectors. A code of one byte a dimension
takes their place, with three bits a dimension to search by, and the words move to an index of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np

from mira_ltmemory.protocols import Kind
from mira_ltmemory.store.codes import bits, code_bits, cosines, packed_floats, packed_vector
from mira_ltmemory.store.postings import bm25, counts_of
from mira_ltmemory.store.rows import Rows, sliced
from mira_ltmemory.store.search.candidates import EXCERPT_CHARS, Candidate, CandidateQuery, Candidates
from mira_ltmemory.store.search.rows import POSTINGS_BUDGET
from mira_ltmemory.store.search.sql import TABLES, Condition, condition
from mira_ltmemory.store.words import COLD_NUMBERS, Found

if TYPE_CHECKING:
    from mira_ltmemory.protocols import Vectors

_RANKED = 500
"""Rows nearest by the bits of their codes, of which the bytes are compared."""

_SAMPLED = 2_000
"""Rows of which is counted how many pass a filter."""

_SELECTIVE = 0.05
"""Share of the rows that pass up to which those that pass are looked at, in place of those that are near."""

_TEXTS = """
SELECT DISTINCT ON (r.id) r.id, r.content, r.content_hash, v.model_id, halfvec_send(v.embedding) AS vector
FROM {table} r LEFT JOIN ltmemory.vectors v
    ON v.user_id = :user_id AND v.kind = :kind AND v.row_id = r.id AND v.content_hash = r.content_hash
WHERE r.user_id = :user_id AND r.id = ANY(CAST(:ids AS uuid[])) ORDER BY r.id, v.model_id DESC NULLS LAST
"""

_CODES = """
unnest(CAST(:row_ids AS uuid[]), CAST(:hashes AS uuid[]), CAST(:models AS int[]), CAST(:bits AS text[]),
    CAST(:starts AS int[]), CAST(:sizes AS int[])) AS u (row_id, content_hash, model_id, bits, at, size)
"""

_PUT = f"""
INSERT INTO ltmemory.cold_texts (user_id, kind, row_id, content_hash, model_id, code, bits)
SELECT :user_id, :kind, u.row_id, u.content_hash, u.model_id,
    CASE WHEN u.size > 0 THEN substring(CAST(:packed AS bytea) FROM u.at FOR u.size) END, CAST(u.bits AS varbit)
FROM {_CODES}
ON CONFLICT (user_id, kind, row_id) DO UPDATE SET content_hash = EXCLUDED.content_hash, model_id = EXCLUDED.model_id,
    code = EXCLUDED.code, bits = EXCLUDED.bits
"""

_SET_CODES = f"""
UPDATE ltmemory.cold_texts c SET model_id = u.model_id, bits = CAST(u.bits AS varbit),
    code = substring(CAST(:packed AS bytea) FROM u.at FOR u.size)
FROM {_CODES} WHERE c.user_id = :user_id AND c.kind = :kind AND c.row_id = u.row_id
    AND c.content_hash = u.content_hash
"""

_QUEUE = """
INSERT INTO ltmemory.pending_embeddings (user_id, kind, row_id, enqueued_by)
SELECT :user_id, :kind, r.id, r.change_set_id FROM {table} r WHERE r.user_id = :user_id
    AND r.id = ANY(CAST(:ids AS uuid[])) AND r.content ~ '\\S' AND char_length(r.content) <= :max_chars
ON CONFLICT DO NOTHING
"""

_ROW_OF = "r.user_id = :user_id AND r.id = c.row_id AND r.content_hash = c.content_hash"
_OWN = "c.user_id = :user_id AND c.kind = :kind"
_NEAR = "c.bits <~> CAST(:bits AS varbit)"

_SHARE = f"""
SELECT count(*) AS looked_at, count(*) FILTER (WHERE r.id IS NOT NULL AND {{passes}}) AS passing FROM (
    SELECT c.row_id, c.content_hash FROM ltmemory.cold_texts c WHERE {_OWN} ORDER BY c.row_id LIMIT :sampled
) c LEFT JOIN {{table}} r ON {_ROW_OF}
"""

_COUNT = f"SELECT count(*) FROM {{table}} r JOIN ltmemory.cold_texts c ON {_ROW_OF} WHERE {_OWN} AND {{passes}}"

_BY_WORDS = f"""
SELECT d.document, d.row_id FROM ltmemory.word_documents d
JOIN ltmemory.cold_texts c ON {_OWN} AND c.row_id = d.row_id JOIN {{table}} r ON {_ROW_OF}
WHERE d.user_id = :user_id AND d.kind = :number AND d.document = ANY(CAST(:documents AS int[])) AND {{passes}}
"""

# Through an index that holds the bits beside the key: what is read of a row that is not near is some hundred bytes.
_NEAREST = f"""
SELECT c.row_id, c.code FROM (
    SELECT c.row_id, c.user_id, c.kind FROM ltmemory.cold_texts c WHERE {_OWN} AND c.model_id = :model_id
    ORDER BY {_NEAR} LIMIT :limit
) n JOIN ltmemory.cold_texts c USING (user_id, kind, row_id) JOIN {{table}} r ON {_ROW_OF} WHERE {{passes}}
"""

_NEAREST_PASSING = f"""
SELECT c.row_id, c.code FROM {{table}} r JOIN ltmemory.cold_texts c ON {_ROW_OF}
WHERE {_OWN} AND c.model_id = :model_id AND {{passes}} ORDER BY {_NEAR} LIMIT :limit
"""

_WITHOUT_WORDS = f"""
SELECT r.id, r.content FROM ltmemory.cold_texts c JOIN {{table}} r ON {_ROW_OF} WHERE {_OWN} AND NOT EXISTS (
    SELECT FROM ltmemory.word_documents d WHERE d.user_id = :user_id AND d.kind = :number AND d.row_id = c.row_id)
ORDER BY r.id LIMIT :limit
"""

_WITHOUT_BITS = f"""
SELECT c.row_id, c.content_hash, c.model_id, c.code FROM ltmemory.cold_texts c
WHERE {_OWN} AND c.code IS NOT NULL AND c.bits IS NULL ORDER BY c.row_id LIMIT :limit
"""

_COLUMNS = {
    Kind.MESSAGE: "r.role, r.speaker, CAST(r.conversation_id AS text) AS conversation_id, r.position, NULL AS tags",
    Kind.PASSAGE: "NULL AS role, NULL AS speaker, NULL AS conversation_id, NULL AS position, r.tags",
}

_ROWS = """
SELECT CAST(r.id AS text) AS id, left(r.content, :excerpt) AS excerpt, r.said_at, r.origin, {columns},
    d.length, d.terms, c.model_id, c.code
FROM ltmemory.cold_texts c JOIN {table} r ON r.user_id = :user_id AND r.id = c.row_id
LEFT JOIN ltmemory.word_documents d ON d.user_id = :user_id AND d.kind = :number AND d.row_id = c.row_id
WHERE c.user_id = :user_id AND c.kind = :kind AND c.row_id = ANY(CAST(:ids AS uuid[]))
"""

_UNCODED = """
SELECT c.kind, c.row_id, c.content_hash, r.content FROM ltmemory.cold_texts c
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
    content_hash: UUID
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
        ids = [row.id for row in rows]
        codes = [b"" if row.vector is None else packed_vector(bytes(row.vector)) for row in rows]
        self.execute(_PUT, kind=kind.value, **_codes(ids, rows, [row.model_id for row in rows], codes))
        self._unit.words.remove(kind, ids)
        self._unit.words.remove(kind, ids, cold=True)
        self._unit.words.add(kind, [(row.id, row.content) for row in rows], cold=True)
        self._dequeue(kind, ids)
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
        if not ids:
            return 0
        self._unit.words.remove(kind, ids, cold=True)
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
            Uncoded(kind, row.row_id, row.content_hash, row.content)
            for kind, table in TABLES.items()
            for row in self.execute(
                _UNCODED.format(table=table), kind=kind.value, model_id=model_id, max_chars=max_chars, limit=limit
            )
        ]

    def set_codes(self, texts: Sequence[Uncoded], vectors: Vectors, model_id: int) -> None:
        """Store the codes of texts, row by row."""
        for kind in {text.kind for text in texts}:
            chosen = [(text, vector) for text, vector in zip(texts, vectors, strict=True) if text.kind is kind]
            some, codes = [text for text, _ in chosen], [packed_floats(vector) for _, vector in chosen]
            ids = [text.row_id for text in some]
            self.execute(_SET_CODES, kind=kind.value, **_codes(ids, some, [model_id] * len(some), codes))

    def index(self, kind: Kind, limit: int) -> int:
        """Index cold rows that lack words or bits: frozen by an earlier version. At most ``limit``; tell how many."""
        words = self.execute(
            _WITHOUT_WORDS.format(table=TABLES[kind]), kind=kind.value, number=COLD_NUMBERS[kind], limit=limit
        ).all()
        self._unit.words.add(kind, [(row.id, row.content) for row in words], cold=True)
        rows = self.execute(_WITHOUT_BITS, kind=kind.value, limit=limit).all()
        if rows:
            codes, ids = [bytes(row.code) for row in rows], [row.row_id for row in rows]
            self.execute(_SET_CODES, kind=kind.value, **_codes(ids, rows, [row.model_id for row in rows], codes))
        return max(len(words), len(rows))

    def candidates(self, query: CandidateQuery) -> Candidates:
        """Find candidates and their features, in the index of cold words and by codes. Raises ``InvalidArgument``."""
        passes = condition(query.kind, query.filter)
        terms = list(query.terms.values())
        found = self._unit.words.read(query.kind, terms, POSTINGS_BUDGET, cold=True)
        total, share, exact = self._passing(query, passes)
        chosen = {*self._by_words(query, passes, found), *self._by_vector(query, passes, total, share)} if total else ()
        rows = self.execute(
            _ROWS.format(columns=_COLUMNS[query.kind], table=TABLES[query.kind]),
            kind=query.kind.value,
            number=COLD_NUMBERS[query.kind],
            ids=sorted(chosen),
            excerpt=EXCERPT_CHARS,
        ).all()
        unread = {word: term for word, term in query.terms.items() if term in found.unread}
        return Candidates(
            rows=[_candidate(row) for row in rows],
            words=list(query.terms),
            corpus=found.corpus,
            idf=found.corpus.idf(terms),
            cosine=_cosines(rows, query),
            counts=counts_of([bytes(row.terms or b"") for row in rows], terms),
            lengths=np.array([row.length or 0 for row in rows], dtype=np.float64),
            previous=np.full(len(rows), -1, dtype=np.int64),
            next=np.full(len(rows), -1, dtype=np.int64),
            first=np.zeros(len(rows), dtype=bool),
            total=total,
            exact=exact,
            unread=tuple(unread),
        )

    def _passing(self, query: CandidateQuery, passes: Condition) -> tuple[int, float, bool]:
        """How many cold rows pass, their share of all, and whether they were counted, not told from a sample."""
        own = {"kind": query.kind.value, **passes.parameters}
        table = TABLES[query.kind]
        sample = self.execute(_SHARE.format(table=table, passes=passes.sql), sampled=_SAMPLED, **own).one()
        share = sample.passing / max(1, sample.looked_at)
        if sample.looked_at < _SAMPLED:
            return int(sample.passing), share, True
        if share <= _SELECTIVE:
            return int(self.execute(_COUNT.format(table=table, passes=passes.sql), **own).scalar_one()), share, True
        return round(share * self.count(query.kind)), share, False

    def _by_words(self, query: CandidateQuery, passes: Condition, found: Found) -> list[UUID]:
        """The rows that score best by their words, of those that pass."""
        ranked = bm25(found.corpus, found.postings).best(max(1, found.size))
        statement = _BY_WORDS.format(table=TABLES[query.kind], passes=passes.sql)
        kept: list[UUID] = []
        start, size = 0, 2 * query.by_words
        while start < len(ranked) and len(kept) < query.by_words:
            chunk = ranked[start : start + size].tolist()
            rows = self.execute(
                statement, kind=query.kind.value, number=COLD_NUMBERS[query.kind], documents=chunk, **passes.parameters
            )
            passing = {row.document: row.row_id for row in rows}
            kept += [passing[document] for document in chunk if document in passing]
            start, size = start + len(chunk), size * 4
        return kept[: query.by_words]

    def _by_vector(self, query: CandidateQuery, passes: Condition, total: int, share: float) -> list[UUID]:
        """The rows nearest to the query, of those that pass: by the bits of their codes, then by the bytes."""
        if query.vector is None:
            return []
        own = {"kind": query.kind.value, "model_id": query.model_id, "bits": bits(query.vector), **passes.parameters}
        # Of rows that seldom pass, those that pass are ordered; of others, more than enough of the nearest are tried.
        seldom = share <= _SELECTIVE
        statement = (_NEAREST_PASSING if seldom else _NEAREST).format(table=TABLES[query.kind], passes=passes.sql)
        limit = _RANKED if seldom else int(_RANKED / share)
        while True:
            rows = self.execute(statement, limit=limit, **own).all()
            if seldom or len(rows) >= min(query.by_vector, total) or limit >= self.count(query.kind):
                break
            limit *= 8
        near = cosines([bytes(row.code) for row in rows], query.vector)
        return [rows[index].row_id for index in np.argsort(-near, kind="stable")[: query.by_vector]]

    def _dequeue(self, kind: Kind, ids: Sequence[UUID]) -> None:
        self.execute(
            "DELETE FROM ltmemory.pending_embeddings WHERE user_id = :user_id AND kind = :kind "
            "AND row_id = ANY(CAST(:ids AS uuid[]))",
            kind=kind.value,
            ids=list(ids),
        )


def _codes(
    ids: Sequence[UUID], rows: Sequence[Any], models: Sequence[int | None], codes: list[bytes]
) -> dict[str, Any]:
    return {
        "row_ids": list(ids),
        "hashes": [row.content_hash for row in rows],
        "models": list(models),
        "bits": [code_bits(code) if code else None for code in codes],
        **sliced(codes),
    }


def _cosines(rows: Sequence[Any], query: CandidateQuery) -> Any:
    if query.vector is None:
        return np.full(len(rows), np.nan)
    codes = [bytes(row.code) if row.code is not None and row.model_id == query.model_id else None for row in rows]
    return cosines(codes, query.vector)


def _candidate(row: Any) -> Candidate:
    return Candidate(
        row.id, row.excerpt, row.said_at, row.origin, True, row.role, row.speaker,
        row.conversation_id, row.position, tuple(row.tags or ()),
    )  # fmt: skip
