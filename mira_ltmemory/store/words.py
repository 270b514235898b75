"""Rows of the word index: exact BM25 statistics of one user, kept with every insert and removal.

New documents are only appended to ``word_documents``, one row each; readers score those together with the packed
ones. When many have gathered, or when a job asks, `WordRows.pack` moves their postings to ``word_terms`` and,
full block by full block, to ``word_blocks``. Document frequencies are those of the packed terms plus what the
fresh documents hold, so nothing is counted twice and an insert touches no shared counter but the user's totals.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
from sqlalchemy import text

from mira_ltmemory.protocols import Kind
from mira_ltmemory.store.analysis import FORWARD, analyse
from mira_ltmemory.store.postings import BLOCK, POSTING, Corpus, invert, without
from mira_ltmemory.store.rows import Rows, sliced

if TYPE_CHECKING:
    from numpy.typing import NDArray

KIND_NUMBERS = {Kind.MESSAGE: 1, Kind.PASSAGE: 2}
"""The kinds that have words, and how the index's tables name them."""

COLD_NUMBERS = {Kind.MESSAGE: 3, Kind.PASSAGE: 4}
"""The same of texts in cold storage: an index of their own, which no search of current memory reads."""

PACK_AFTER = 1024
"""Fresh documents that every search reads at most, and a few of the batch that brings them over."""

PACK_EARLY = 768
"""With more, whoever has time to do it packs, so that no one who stores a message has to."""

_KEY = "user_id = :user_id AND kind = :kind"
_BLOCK_BYTES = BLOCK * POSTING.itemsize

# The update locks the totals until the commit: writers of one user's words follow each other.
_TAKE_NUMBERS = text(
    """
    INSERT INTO ltmemory.word_totals AS t (user_id, kind, documents, length, next_document, packed)
    VALUES (:user_id, :kind, :documents, :length, :documents, -1)
    ON CONFLICT (user_id, kind) DO UPDATE SET documents = t.documents + EXCLUDED.documents,
        length = t.length + EXCLUDED.length, next_document = t.next_document + EXCLUDED.documents
    RETURNING next_document - :documents AS first, next_document - 1 - packed AS fresh
    """
)

_ADD_DOCUMENTS = text(
    """
    INSERT INTO ltmemory.word_documents (user_id, kind, document, length, row_id, terms)
    SELECT :user_id, :kind, :first + u.i - 1, u.length, u.row_id, substring(CAST(:packed AS bytea) FROM u.at FOR u.size)
    FROM unnest(CAST(:row_ids AS uuid[]), CAST(:lengths AS int[]), CAST(:starts AS int[]), CAST(:sizes AS int[]))
        WITH ORDINALITY AS u (row_id, length, at, size, i)
    """
)

_PUT_TERMS = text(
    """
    INSERT INTO ltmemory.word_terms (user_id, kind, term, documents, postings)
    SELECT :user_id, :kind, u.term, u.documents, substring(CAST(:packed AS bytea) FROM u.at FOR u.size)
    FROM unnest(CAST(:terms AS bigint[]), CAST(:numbers AS int[]), CAST(:starts AS int[]), CAST(:sizes AS int[]))
        AS u (term, documents, at, size)
    ON CONFLICT (user_id, term, kind) DO UPDATE SET documents = EXCLUDED.documents, postings = EXCLUDED.postings
    """
)

_PUT_BLOCKS = text(
    """
    INSERT INTO ltmemory.word_blocks (user_id, kind, term, first_document, postings)
    SELECT :user_id, :kind, u.term, u.first_document, substring(CAST(:packed AS bytea) FROM u.at FOR u.size)
    FROM unnest(CAST(:terms AS bigint[]), CAST(:numbers AS int[]), CAST(:starts AS int[]), CAST(:sizes AS int[]))
        AS u (term, first_document, at, size)
    ON CONFLICT (user_id, term, kind, first_document) DO UPDATE SET postings = EXCLUDED.postings
    """
)

_BLOCKS_WITH = text(
    f"""
    SELECT DISTINCT b.term, b.first_document, b.postings
    FROM unnest(CAST(:terms AS bigint[]), CAST(:documents AS int[])) AS u (term, document)
    CROSS JOIN LATERAL (
        SELECT * FROM ltmemory.word_blocks WHERE {_KEY} AND term = u.term AND first_document <= u.document
        ORDER BY first_document DESC LIMIT 1
    ) b
    """
)

_REBUILT_AT_ONCE = 5_000

_INDEXED_ROWS = """
SELECT r.id FROM {table} r WHERE r.user_id = :user_id AND :cold = EXISTS (
    SELECT FROM ltmemory.cold_texts c WHERE c.user_id = :user_id AND c.kind = :kind AND c.row_id = r.id)
ORDER BY r.said_at, r.id
"""

_MANY = 10_000
"""Postings to take out at once from which on it is cheaper to read every block of their terms."""

_BLOCKS_OF = text(
    f"SELECT term, first_document, postings FROM ltmemory.word_blocks WHERE {_KEY} "
    "AND term = ANY(CAST(:terms AS bigint[]))"
)

# Rarest terms first, until the budget of postings is spent; the rarest is always read. The first row holds the
# totals and the fresh documents. One statement, so that a packing between two reads can neither hide nor double.
_READ = f"""
    WITH totals AS (
        SELECT documents, length, next_document, packed FROM ltmemory.word_totals WHERE {_KEY}
    ), heads AS (
        SELECT term, documents, postings, sum(documents) OVER (ORDER BY documents, term) AS running
        FROM ltmemory.word_terms WHERE {_KEY} AND term = ANY(CAST(:terms AS bigint[]))
    )
    SELECT NULL AS term, t.documents, t.length, t.next_document, f.packed_terms AS postings, f.heads {{beside}}
    FROM totals t LEFT JOIN LATERAL (
        SELECT string_agg(terms, ''::bytea ORDER BY document) AS packed_terms,
            string_agg(int4send(document) || int4send(length) || int4send(octet_length(terms)), ''::bytea
                       ORDER BY document) AS heads
        FROM ltmemory.word_documents WHERE {_KEY} AND document > t.packed
    ) f ON true
    UNION ALL
    SELECT h.term, h.documents, 0, 0, CASE WHEN h.running <= :budget OR h.running = h.documents THEN
        coalesce((SELECT string_agg(b.postings, ''::bytea ORDER BY b.first_document) FROM ltmemory.word_blocks b
                  WHERE {_KEY} AND b.term = h.term), '') || h.postings END, NULL {{none}}
    FROM heads h
    """


_READ_COLUMNS = 6


@dataclass(frozen=True, slots=True)
class Found:
    """What the index knows of some terms: ``postings`` by term, fresh documents included.

    ``unread`` are terms too frequent to be read: they have a frequency in ``corpus`` and no postings.
    Documents are numbered below ``size``. ``beside`` is what else was read in the same statement, by name.
    """

    corpus: Corpus
    size: int
    postings: Mapping[int, NDArray[np.void]]
    unread: frozenset[int] = frozenset()
    beside: Mapping[str, Any] = field(default_factory=dict)


class WordRows(Rows):
    """The words of the user's messages and passages, of current memory or, where ``cold`` says so, of cold storage."""

    def add(self, kind: Kind, texts: Iterable[tuple[UUID, str]], *, cold: bool = False) -> None:
        """Index rows by their texts. A row that is indexed already has to be removed first (``StoreError``)."""
        rows = [(row_id, analyse(content)) for row_id, content in texts]
        if not rows:
            return
        number = _number(kind, cold)
        lengths = [document.length for _, document in rows]
        taken = self.execute(_TAKE_NUMBERS, kind=number, documents=len(rows), length=sum(lengths)).one()
        self.execute(
            _ADD_DOCUMENTS,
            kind=number,
            first=taken.first,
            row_ids=[row_id for row_id, _ in rows],
            lengths=lengths,
            **sliced([document.forward.tobytes() for _, document in rows]),
        )
        if taken.fresh > PACK_AFTER:
            self.pack(kind, cold=cold)

    def remove(self, kind: Kind, row_ids: Sequence[UUID], *, cold: bool = False) -> int:
        """Take rows out of the index, at once and wholly; tell how many were in it."""
        if not row_ids:
            return 0
        number = _number(kind, cold)
        packed = self._lock(number)
        gone = self.execute(
            f"DELETE FROM ltmemory.word_documents WHERE {_KEY} AND row_id = ANY(CAST(:row_ids AS uuid[])) "
            "RETURNING document, length, terms",
            kind=number,
            row_ids=list(row_ids),
        ).all()
        self.execute(
            f"UPDATE ltmemory.word_totals SET documents = documents - :n, length = length - :length WHERE {_KEY}",
            kind=number,
            n=len(gone),
            length=sum(row.length for row in gone),
        )
        self._unpack(number, sorted((row for row in gone if row.document <= packed), key=lambda row: row.document))
        return len(gone)

    def replace(self, kind: Kind, texts: Sequence[tuple[UUID, str]]) -> None:
        """Index rows whose texts changed, or that came back, by their present texts."""
        self.remove(kind, [row_id for row_id, _ in texts])
        self.add(kind, texts)

    def pack(self, kind: Kind, *, cold: bool = False) -> int:
        """Move the fresh documents' postings to where they are small and quick to read; tell how many documents.

        Changes no result. May run in any transaction: it waits for a writer of the same user's words.
        """
        number = _number(kind, cold)
        packed = self._lock(number)
        fresh = self.execute(
            f"SELECT document, length, terms FROM ltmemory.word_documents WHERE {_KEY} AND document > :packed "
            "ORDER BY document",
            kind=number,
            packed=packed,
        ).all()
        if fresh:
            self._append(number, _inverted(fresh))
        self.execute(f"UPDATE ltmemory.word_totals SET packed = next_document - 1 WHERE {_KEY}", kind=number)
        return len(fresh)

    def pack_early(self, kind: Kind) -> int:
        """`pack`, where a writer would have to soon."""
        return self.pack(kind) if self.fresh_count(kind) > PACK_EARLY else 0

    def rebuild(self, kind: Kind) -> int:
        """Make the indexes of all rows of a kind anew from their texts; tell how many."""
        return sum(self._rebuild(kind, cold) for cold in (False, True))

    def _rebuild(self, kind: Kind, cold: bool) -> int:
        own = {"number": _number(kind, cold), "kind": kind.value, "cold": cold}
        self._lock(_number(kind, cold))
        for table in ("word_blocks", "word_terms", "word_documents", "word_totals"):
            self.execute(f"DELETE FROM ltmemory.{table} WHERE user_id = :user_id AND kind = :number", **own)
        ids = [row.id for row in self.execute(_INDEXED_ROWS.format(table=f"ltmemory.{kind.value}s"), **own)]
        for start in range(0, len(ids), _REBUILT_AT_ONCE):
            texts = self.execute(
                f"SELECT id, content FROM ltmemory.{kind.value}s WHERE user_id = :user_id "
                "AND id = ANY(CAST(:ids AS uuid[])) ORDER BY said_at, id",
                ids=ids[start : start + _REBUILT_AT_ONCE],
            )
            self.add(kind, [(row.id, row.content) for row in texts], cold=cold)
        return len(ids)

    def fresh_count(self, kind: Kind) -> int:
        """How many documents wait to be packed."""
        counted = self.execute(
            "SELECT count(*) FROM ltmemory.word_documents d JOIN ltmemory.word_totals t USING (user_id, kind) "
            "WHERE user_id = :user_id AND kind = :kind AND d.document > t.packed",
            kind=KIND_NUMBERS[kind],
        )
        return int(counted.scalar_one())

    def read(
        self, kind: Kind, terms: Sequence[int], budget: int, beside: Sequence[str] = (), *, cold: bool = False,
        **parameters: Any,
    ) -> Found:  # fmt: skip
        """Postings and statistics of terms; at most about ``budget`` packed postings are read, rarest terms first.

        ``beside`` are named expressions that the same statement reads, with their ``parameters``; none of them is
        read where the index holds nothing.
        """
        statement = _READ.format(beside="".join(f", {each}" for each in beside), none=", NULL" * len(beside))
        rows = self.execute(statement, kind=_number(kind, cold), terms=list(terms), budget=budget, **parameters).all()
        totals = next((row for row in rows if row.term is None), None)
        if totals is None:
            return Found(Corpus(0, 0, {}), 0, {})
        postings = _fresh_postings(totals.heads, totals.postings, terms)
        frequencies = {term: len(found) for term, found in postings.items()}
        unread = set()
        for row in rows:
            if row.term is None:
                continue
            frequencies[row.term] = frequencies.get(row.term, 0) + row.documents
            if row.postings is None:
                unread.add(row.term)
                postings.pop(row.term, None)
            else:
                older = np.frombuffer(row.postings, POSTING)
                postings[row.term] = np.concatenate([older, postings[row.term]]) if row.term in postings else older
        corpus = Corpus(int(totals.documents), int(totals.length), frequencies)
        in_order = {term: postings[term] for term in terms if term in postings}
        also = dict(list(totals._asdict().items())[_READ_COLUMNS:])
        return Found(corpus, int(totals.next_document), in_order, frozenset(unread), also)

    def _lock(self, kind: int) -> int:
        locked = self.execute(f"SELECT packed FROM ltmemory.word_totals WHERE {_KEY} FOR UPDATE", kind=kind).scalar()
        return -1 if locked is None else int(locked)

    def _heads(self, kind: int, terms: Iterable[int]) -> dict[int, tuple[int, bytes]]:
        heads = self.execute(
            f"SELECT term, documents, postings FROM ltmemory.word_terms WHERE {_KEY} "
            "AND term = ANY(CAST(:terms AS bigint[]))",
            kind=kind,
            terms=list(terms),
        )
        return {row.term: (row.documents, bytes(row.postings)) for row in heads}

    def _append(self, kind: int, postings: Mapping[int, NDArray[np.void]]) -> None:
        heads = self._heads(kind, postings)
        blocks: list[tuple[int, int, bytes]] = []
        for term, found in postings.items():
            documents, rest = heads.get(term, (0, b""))
            rest += found.tobytes()
            while len(rest) >= _BLOCK_BYTES:
                block, rest = rest[:_BLOCK_BYTES], rest[_BLOCK_BYTES:]
                blocks.append((term, _first_document(block), block))
            heads[term] = documents + len(found), rest
        self._put(kind, _PUT_TERMS, [(term, *head) for term, head in heads.items()])
        self._put(kind, _PUT_BLOCKS, blocks)

    def _unpack(self, kind: int, gone: Sequence[Any]) -> None:
        if not gone:
            return
        removed = {term: found["document"].tolist() for term, found in _inverted(gone).items()}
        heads = self._heads(kind, removed)
        in_blocks: list[tuple[int, int]] = []
        for term, documents in removed.items():
            number, rest = heads[term]
            heads[term] = number - len(documents), without(rest, documents)
            start = _first_document(rest) if rest else None
            in_blocks += [(term, document) for document in documents if start is None or document < start]
        self._put(kind, _PUT_TERMS, [(term, *head) for term, head in heads.items() if head[0]])
        self._drop(kind, "word_terms", [(term, 0) for term, head in heads.items() if not head[0]])
        self._rewrite_blocks(kind, in_blocks)

    def _rewrite_blocks(self, kind: int, gone: Sequence[tuple[int, int]]) -> None:
        if not gone:
            return
        removed: dict[int, list[int]] = defaultdict(list)
        for term, document in gone:
            removed[term].append(document)
        terms, documents = zip(*gone, strict=True)
        if len(gone) > _MANY:
            rows = self.execute(_BLOCKS_OF, kind=kind, terms=list(removed)).all()
        else:
            rows = self.execute(_BLOCKS_WITH, kind=kind, terms=list(terms), documents=list(documents)).all()
        left = [(row.term, row.first_document, without(row.postings, removed[row.term])) for row in rows]
        self._put(kind, _PUT_BLOCKS, [block for block in left if block[2]])
        self._drop(kind, "word_blocks", [block[:2] for block in left if not block[2]])

    def _put(self, kind: int, statement: Any, rows: Sequence[tuple[int, int, bytes]]) -> None:
        if not rows:
            return
        terms, numbers, blobs = zip(*sorted(rows), strict=True)
        self.execute(statement, kind=kind, terms=list(terms), numbers=list(numbers), **sliced(blobs))

    def _drop(self, kind: int, table: str, keys: Sequence[tuple[int, int]]) -> None:
        if not keys:
            return
        exact = " AND t.first_document = u.number" if table == "word_blocks" else ""
        terms, numbers = zip(*keys, strict=True)
        self.execute(
            f"DELETE FROM ltmemory.{table} t USING unnest(CAST(:terms AS bigint[]), CAST(:numbers AS int[])) "
            f"AS u (term, number) WHERE {_KEY} AND t.term = u.term{exact}",
            kind=kind,
            terms=list(terms),
            numbers=list(numbers),
        )


def _number(kind: Kind, cold: bool) -> int:
    return (COLD_NUMBERS if cold else KIND_NUMBERS)[kind]


def _first_document(postings: bytes) -> int:
    return int(np.frombuffer(postings, POSTING, 1)["document"][0])


def _inverted(documents: Sequence[Any]) -> dict[int, NDArray[np.void]]:
    numbers = np.array([row.document for row in documents], np.int32)
    lengths = np.array([row.length for row in documents], np.int32)
    return invert(numbers, lengths, [bytes(row.terms) for row in documents])


def _fresh_postings(
    heads: memoryview | None, packed_terms: memoryview | None, terms: Sequence[int]
) -> dict[int, NDArray[np.void]]:
    """Postings of the fresh documents; ``heads`` tell number, words and bytes of each, big-endian int4."""
    if heads is None or packed_terms is None:
        return {}
    documents = np.frombuffer(heads, ">i4").reshape(-1, 3)
    entries = np.frombuffer(packed_terms, FORWARD)
    rows = np.repeat(np.arange(len(documents)), documents[:, 2] // FORWARD.itemsize)
    held = np.ascontiguousarray(entries["term"])
    found = {}
    for term in terms:
        at = np.flatnonzero(held == term)
        if len(at):
            postings = np.empty(len(at), POSTING)
            postings["document"], postings["length"] = documents[rows[at], 0], documents[rows[at], 1]
            postings["count"] = entries["count"][at]
            found[term] = postings
    return found
