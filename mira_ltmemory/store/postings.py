"""Packed postings, and BM25 over them. Pure numpy: nothing here speaks SQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mira_ltmemory.store.analysis import FORWARD

if TYPE_CHECKING:
    from numpy.typing import NDArray

POSTING = np.dtype([("document", "<i4"), ("count", "<u2"), ("length", "<u2")])
"""A document that holds a term, how often, and the document's words: 8 bytes."""

BLOCK = 240
"""Postings of a full block: 1,920 bytes, just small enough to stay beside its key in the row."""

K1, B = 1.2, 0.6


@dataclass(frozen=True, slots=True)
class Corpus:
    """Statistics of all documents of one kind of one user: what BM25 has to know.

    ``frequencies`` tells for each term of a query how many documents hold it.
    """

    documents: int
    length: int
    frequencies: Mapping[int, int]

    @property
    def average_length(self) -> float:
        """Words of a document on average; 1 where there is none."""
        return self.length / self.documents if self.documents and self.length else 1.0

    def idf(self, terms: Iterable[int]) -> NDArray[np.float64]:
        """Weight of each term, shape ``(len(terms),)``, always positive."""
        found = np.array([self.frequencies.get(term, 0) for term in terms], dtype=np.float64)
        return np.asarray(np.log1p((self.documents - found + 0.5) / (found + 0.5)))

    def saturated(self, counts: NDArray[np.float64], lengths: NDArray[np.float64]) -> NDArray[np.float64]:
        """BM25's share of each count before its term's weight; shapes broadcast; from 0 up to ``K1 + 1``."""
        return np.asarray(counts * (K1 + 1) / (counts + K1 * (1 - B + B * lengths / self.average_length)))


@dataclass(frozen=True, slots=True)
class Scores:
    """Documents that hold a term, ascending, and their scores: what a user has beside them costs nothing."""

    documents: NDArray[np.int32]
    values: NDArray[np.float64]

    def best(self, limit: int, allowed: NDArray[np.int32] | None = None) -> NDArray[np.int64]:
        """Numbers of the documents that score best, best first, newest first among equals; ``allowed`` ones only."""
        documents, values = self.documents.astype(np.int64), self.values
        if allowed is not None:
            kept = np.isin(documents, allowed)
            documents, values = documents[kept], values[kept]
        if len(documents) > limit:
            least = np.partition(values, -limit)[-limit]
            kept = values >= least
            documents, values = documents[kept], values[kept]
        return documents[np.lexsort((-documents, -values))][:limit]


def bm25(corpus: Corpus, postings: Mapping[int, NDArray[np.void]]) -> Scores:
    """Score the documents that hold any of the terms."""
    if not postings:
        return Scores(np.zeros(0, np.int32), np.zeros(0))
    held = [np.ascontiguousarray(found["document"]) for found in postings.values()]
    shares = [
        weight * corpus.saturated(found["count"].astype(np.float64), found["length"].astype(np.float64))
        for weight, found in zip(corpus.idf(postings), postings.values(), strict=True)
    ]
    together = np.concatenate(held)
    order = np.argsort(together, kind="stable")  # merges: each term's documents are in order
    together = together[order]
    starts = np.flatnonzero(np.concatenate([[True], together[1:] != together[:-1]]))
    return Scores(together[starts], np.add.reduceat(np.concatenate(shares)[order], starts))


def counts_of(packed: Iterable[bytes], terms: Iterable[int]) -> NDArray[np.float64]:
    """How often each document (``packed`` as in `FORWARD`) holds each term: shape ``(documents, terms)``."""
    blobs = list(packed)
    rows = np.repeat(np.arange(len(blobs)), [len(blob) // FORWARD.itemsize for blob in blobs])
    entries = np.frombuffer(b"".join(blobs), FORWARD)
    wanted = list(terms)
    table = np.zeros((len(blobs), len(wanted)))
    held = np.ascontiguousarray(entries["term"])
    for column, term in enumerate(wanted):
        at = np.flatnonzero(held == term)
        table[rows[at], column] = entries["count"][at]
    return table


def counts_in(
    postings: Mapping[int, NDArray[np.void]], documents: NDArray[np.int64], terms: Iterable[int]
) -> NDArray[np.float64]:
    """The same from postings, by the documents' numbers."""
    wanted = list(terms)
    table = np.zeros((len(documents), len(wanted)))
    for column, term in enumerate(wanted):
        if (held := postings.get(term)) is not None:
            at = np.minimum(np.searchsorted(held["document"], documents), len(held) - 1)
            table[:, column] = np.where(held["document"][at] == documents, held["count"][at], 0)
    return table


def invert(
    documents: NDArray[np.int32], lengths: NDArray[np.int32], packed: Iterable[bytes]
) -> dict[int, NDArray[np.void]]:
    """Postings by term, of documents in ascending order with their packed terms."""
    blobs = list(packed)
    rows = np.repeat(np.arange(len(blobs)), [len(blob) // FORWARD.itemsize for blob in blobs])
    entries = np.frombuffer(b"".join(blobs), FORWARD)
    order = np.argsort(entries["term"], kind="stable")
    found = np.empty(len(entries), POSTING)
    found["document"], found["length"] = documents[rows[order]], lengths[rows[order]]
    found["count"] = entries["count"][order]
    terms, starts = np.unique(entries["term"][order], return_index=True)
    return dict(zip(terms.tolist(), np.split(found, starts[1:]), strict=True)) if len(terms) else {}


def without(packed: bytes, documents: Iterable[int]) -> bytes:
    """Packed postings less those of some documents."""
    postings = np.frombuffer(packed, POSTING)
    held, gone = np.ascontiguousarray(postings["document"]), np.fromiter(documents, np.int32)
    at = np.searchsorted(held, gone)  # documents are in order
    there = at < len(held)
    at, gone = at[there], gone[there]
    return np.delete(postings, at[held[at] == gone]).tobytes()
