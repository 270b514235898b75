"""Compares what the indexes answer with what is true, on a sample of one user's rows, and looks at the plans."""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mira_ltmemory.protocols import Kind
from mira_ltmemory.store.analysis import FORWARD, MAX_COUNT, analyse
from mira_ltmemory.store.postings import POSTING
from mira_ltmemory.store.rows import Rows
from mira_ltmemory.store.search.exact import nearest_of, share_found
from mira_ltmemory.store.search.sql import TABLES, Plan, VectorSide, candidates
from mira_ltmemory.store.vector_text import parsed_vector, vector_text
from mira_ltmemory.store.words import KIND_NUMBERS

if TYPE_CHECKING:
    from numpy.typing import NDArray

NEIGHBOURS = 10

# The first vector behind a random id: rows are taken evenly, without reading them all.
_SOME_VECTORS = """
SELECT DISTINCT ON (v.row_id) v.row_id, CAST(v.embedding AS text) AS vector
FROM unnest(CAST(:random AS uuid[])) AS u (id) CROSS JOIN LATERAL (
    SELECT v.row_id, v.embedding FROM ltmemory.vectors v WHERE {own} AND v.row_id >= u.id ORDER BY v.row_id LIMIT 1
) v
"""

_WITHOUT_DOCUMENT = """
SELECT count(*) FROM {table} r WHERE r.user_id = :user_id AND NOT EXISTS (
    SELECT FROM ltmemory.word_documents d WHERE d.user_id = :user_id AND d.kind = :number AND d.row_id = r.id)
    AND NOT EXISTS (
    SELECT FROM ltmemory.cold_texts c WHERE c.user_id = :user_id AND c.kind = :kind AND c.row_id = r.id)
"""

_WITHOUT_ROW = """
SELECT count(*) FROM ltmemory.word_documents d WHERE d.user_id = :user_id AND d.kind = :number AND NOT EXISTS (
    SELECT FROM {table} r WHERE r.user_id = :user_id AND r.id = d.row_id)
"""

_TOTALS = """
SELECT t.documents, t.length, t.packed, d.documents AS counted, d.length AS summed FROM ltmemory.word_totals t
CROSS JOIN LATERAL (
    SELECT count(*) AS documents, coalesce(sum(length), 0) AS length FROM ltmemory.word_documents
    WHERE user_id = :user_id AND kind = :number
) d WHERE t.user_id = :user_id AND t.kind = :number
"""

_SOME_DOCUMENTS = """
SELECT d.document, d.length, d.terms, r.content
FROM ltmemory.word_documents d JOIN {table} r ON r.user_id = :user_id AND r.id = d.row_id
WHERE d.user_id = :user_id AND d.kind = :number AND d.document = ANY(CAST(:documents AS int[]))
"""

_POSTINGS = """
SELECT h.term, h.documents, CASE WHEN h.documents <= :most THEN coalesce((
    SELECT string_agg(b.postings, ''::bytea ORDER BY b.first_document) FROM ltmemory.word_blocks b
    WHERE b.user_id = :user_id AND b.kind = :number AND b.term = h.term), ''::bytea) || h.postings END AS postings
FROM ltmemory.word_terms h
WHERE h.user_id = :user_id AND h.kind = :number AND h.term = ANY(CAST(:terms AS bigint[]))
"""

_VECTORLESS = """
SELECT count(*) FILTER (WHERE v.row_id IS NULL AND p.row_id IS NULL) AS lost,
    count(*) FILTER (WHERE p.row_id IS NOT NULL) AS waiting, count(*) AS texts
FROM {table} r
LEFT JOIN ltmemory.vectors v ON v.user_id = :user_id AND v.kind = :kind AND v.row_id = r.id
    AND v.model_id = :model_id AND v.content_hash = r.content_hash
LEFT JOIN ltmemory.pending_embeddings p ON p.user_id = :user_id AND p.kind = :kind AND p.row_id = r.id
WHERE r.user_id = :user_id AND r.content ~ '\\S' AND char_length(r.content) <= :max_chars AND NOT EXISTS (
    SELECT FROM ltmemory.cold_texts c WHERE c.user_id = :user_id AND c.kind = :kind AND c.row_id = r.id)
"""

_TOKENLESS = """
SELECT count(*) FROM ltmemory.vectors v WHERE {own} AND NOT EXISTS (
    SELECT FROM ltmemory.token_vectors t WHERE t.user_id = v.user_id AND t.kind = v.kind AND t.row_id = v.row_id
        AND t.model_id = v.model_id AND t.content_hash = v.content_hash)
"""

_OLDEST_WAITING = """
SELECT min(c.created_at) FROM ltmemory.pending_embeddings p
JOIN ltmemory.change_sets c ON c.user_id = p.user_id AND c.id = p.enqueued_by WHERE p.user_id = :user_id
"""


@dataclass(frozen=True, slots=True)
class VectorSample:
    """Recall@10 of the index with that ``ef_search``, averaged over ``asked`` questions, and its standard error."""

    effort: int
    asked: int
    recall: float
    error: float = 0.0


@dataclass(frozen=True, slots=True)
class WordSample:
    """What is wrong with the word index: none of it should be above 0. ``checked`` documents were looked at closely."""

    checked: int
    without_document: int = 0
    without_row: int = 0
    totals_off: int = 0
    terms_off: int = 0
    postings_off: int = 0

    @property
    def wrong(self) -> int:
        """How much is wrong."""
        return self.without_document + self.without_row + self.totals_off + self.terms_off + self.postings_off


@dataclass(frozen=True, slots=True)
class Coverage:
    """Texts that should have a vector, those that wait for one, and those that have none and do not even wait."""

    texts: int
    waiting: int
    lost: int
    without_tokens: int


_APART = 0.85
"""How far a question lies from the text that it is about, in the directions in which texts differ.

Real questions lie .40 (cosine distance) from the nearest of 4,200 messages on average, these .24. Stored vectors
themselves are found far more easily: of 20,000 sentences with `ef_search` 40, .998 of their neighbours and .956 of
those of real questions.
"""


def _questions(stored: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Vectors as far from stored ones as questions are, ``(n, dim)``: every one moved by what two others differ in."""
    made = []
    for number, vector in enumerate(stored):
        between = stored[number - 1] - stored[(number - 2) % len(stored)]
        length = float(np.linalg.norm(between))
        made.append(vector + (_APART / length) * between if length > 0 else vector)
    return np.array(made, np.float32)


class CanaryRows(Rows):
    """Looks at samples of one user's rows. Random numbers come from ``random``: a test may seed it."""

    def vectors(
        self, kind: Kind, model_id: int, dimension: int, count: int, efforts: Sequence[int], least: float,
        chance: random.Random,
    ) -> list[VectorSample]:  # fmt: skip
        """Ask the index for the neighbours of vectors such as those of questions, and compare every vector too.

        ``efforts`` are values of ``ef_search``, tried in turn until one surely finds the share ``least``: less the
        standard error.
        """
        side = VectorSide(model_id, dimension, Plan.INDEX)
        ids = [uuid.UUID(int=chance.getrandbits(128)) for _ in range(count)]
        rows = self.execute(_SOME_VECTORS.format(own=side.of(kind)), random=ids).all()
        if not rows:
            return []
        asked = _questions([parsed_vector(row.vector) for row in rows])
        true = self._true(side, kind, asked)
        tried: list[VectorSample] = []
        for effort in efforts:
            # Of few rows the planner would compare all: it is the index that is asked.
            self.execute(f"SET LOCAL enable_sort = off; SET LOCAL hnsw.ef_search = {int(effort)}")
            found = [self._found(side, kind, vector) for vector in asked]
            shares = [share_found(near, right) for near, right in zip(found, true, strict=True)]
            error = float(np.std(shares)) / len(shares) ** 0.5
            tried.append(VectorSample(int(effort), len(shares), float(np.mean(shares)), error))
            if tried[-1].recall - error >= least:
                break
        self.execute("SET LOCAL enable_sort = on")
        return tried

    def words(self, kind: Kind, count: int, chance: random.Random, *, whole: bool) -> WordSample:
        """Hold some documents and their postings against their texts; ``whole`` counts all rows and documents too."""
        own = {"number": KIND_NUMBERS[kind], "kind": kind.value}
        read = self._unit.words.read(kind, [], 0)
        if read.size == 0:
            return WordSample(0)
        documents = sorted({chance.randrange(read.size) for _ in range(count)})
        rows = self.execute(_SOME_DOCUMENTS.format(table=TABLES[kind]), documents=documents, **own).all()
        found = WordSample(
            len(rows), terms_off=sum(not _same_terms(row) for row in rows), postings_off=self._postings_off(rows, own)
        )
        if not whole:
            return found
        totals = self.execute(_TOTALS, **own).one()
        return WordSample(
            found.checked,
            int(self.execute(_WITHOUT_DOCUMENT.format(table=TABLES[kind]), **own).scalar_one()),
            int(self.execute(_WITHOUT_ROW.format(table=TABLES[kind]), **own).scalar_one()),
            abs(totals.documents - totals.counted) + abs(totals.length - totals.summed),
            found.terms_off,
            found.postings_off,
        )

    def coverage(self, kind: Kind, model_id: int, max_chars: int, *, tokens: bool) -> Coverage:
        """How many texts have no vector, and how many vectors no ``tokens`` beside them where there should be."""
        row = self.execute(
            _VECTORLESS.format(table=TABLES[kind]), kind=kind.value, model_id=model_id, max_chars=max_chars
        ).one()
        side = VectorSide(model_id, 0, Plan.INDEX)
        bare = self.execute(_TOKENLESS.format(own=side.of(kind))).scalar_one() if tokens else 0
        return Coverage(int(row.texts), int(row.waiting), int(row.lost), int(bare))

    def oldest_waiting(self) -> Any:
        """When the text that has waited longest for its vector was stored; none where none waits."""
        return self.execute(_OLDEST_WAITING).scalar()

    def plan(self, kind: Kind, model_id: int, dimension: int) -> list[str]:
        """The plan of a search through the index, line by line."""
        side = VectorSide(model_id, dimension, Plan.INDEX)
        vector = vector_text(np.full(dimension, 0.05))
        rows = self.execute(
            "EXPLAIN " + candidates(kind, "true", side, reach=1, terms=False).split(";", 1)[-1],
            kind_number=KIND_NUMBERS[kind], documents=[1, 2], excerpt=100, around=10, vector=vector, mean=vector,
            nearest=100, nearest_ids=[],
        )  # fmt: skip
        return [row[0] for row in rows]

    def _found(self, side: VectorSide, kind: Kind, vector: NDArray[np.float32]) -> list[float]:
        """Distances of the nearest, by the index."""
        return self._distances(f"{_near(side, kind)} ORDER BY {side.distance} LIMIT {NEIGHBOURS}", vector)

    def _true(self, side: VectorSide, kind: Kind, asked: NDArray[np.float32]) -> list[list[float]]:
        """Distances of the nearest of all, for each question; of a few questions by Postgres, which sends no vector."""
        if len(asked) <= _FEW:
            # OFFSET 0 keeps the planner from answering with the approximate index.
            every = f"SELECT distance FROM ({_near(side, kind)} OFFSET 0) e ORDER BY distance LIMIT {NEIGHBOURS}"
            return [self._distances(every, vector) for vector in asked]
        own = side.of(kind).replace(":user_id", f"'{self.user_id}'")
        cursor: Any = self.connection.connection.cursor()
        try:
            return nearest_of(cursor, f"SELECT v.embedding FROM ltmemory.vectors v WHERE {own}", asked, NEIGHBOURS)
        finally:
            cursor.close()

    def _distances(self, statement: str, vector: NDArray[np.float32]) -> list[float]:
        return [float(row.distance) for row in self.execute(statement, vector=vector_text(vector))]

    def _postings_off(self, rows: Sequence[Any], own: dict[str, Any]) -> int:
        """How many postings of the documents are missing or wrong, and how many terms count others than they hold."""
        packed = self.execute(
            "SELECT packed FROM ltmemory.word_totals WHERE user_id = :user_id AND kind = :number", **own
        ).scalar_one()
        terms = {int(term) for row in rows for term in np.frombuffer(row.terms, FORWARD)["term"][:_TERMS]}
        heads = {row.term: row for row in self.execute(_POSTINGS, terms=sorted(terms), most=_MOST_POSTINGS, **own)}
        postings = {
            term: np.frombuffer(head.postings, POSTING) for term, head in heads.items() if head.postings is not None
        }
        wrong = sum(len(found) != heads[term].documents for term, found in postings.items())
        for row in rows:
            if row.document > packed:
                continue
            for term, count in np.frombuffer(row.terms, FORWARD)[:_TERMS].tolist():
                if term not in heads:
                    wrong += 1
                elif (found := postings.get(term)) is not None:
                    at = found[found["document"] == row.document]
                    right = at["count"].tolist() == [count] and at["length"].tolist() == [min(row.length, MAX_COUNT)]
                    wrong += int(not right)
        return int(wrong)


_TERMS = 8
_FEW = 20  # questions
_MOST_POSTINGS = 20_000


def _near(side: VectorSide, kind: Kind) -> str:
    return f"SELECT {side.distance} AS distance FROM ltmemory.vectors v WHERE {side.of(kind)}"


def _same_terms(row: Any) -> bool:
    known = analyse(row.content)
    return known.forward.tobytes() == bytes(row.terms) and known.length == row.length
