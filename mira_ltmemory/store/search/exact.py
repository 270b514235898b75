"""The nearest of all vectors to many questions at once: one pass over the vectors, compared here and not by Postgres.

Postgres compares a question with a million vectors in half a second, so a hundred questions take it a minute. Read
once and multiplied together, they take seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NOISE = 1e-5  # between what Postgres and what numpy makes of the same vectors
_HEADER = 19
_AT_ONCE = 8_192  # vectors; with 400 questions, 13 MB of products


class NearestOf:
    """Takes ``COPY ... TO STDOUT (FORMAT binary)`` of one halfvec column, and keeps the least cosine distances.

    ``questions`` has shape ``(questions, dimension)``.
    """

    def __init__(self, questions: NDArray[np.float32], number: int) -> None:
        halved = questions.astype(np.float16).astype(np.float32)  # as Postgres compares them
        self._asked = np.ascontiguousarray(_unit(halved).T)
        self._number = number
        self._near = np.full((number, len(questions)), -np.inf, np.float32)
        fields: list[Any] = [("fields", ">i2"), ("bytes", ">i4"), ("dimension", ">i2"), ("unused", ">i2")]
        self._row = np.dtype([*fields, ("vector", ">f2", (questions.shape[1],))])
        self._held = bytearray()
        self._begun = False

    def write(self, data: bytes) -> int:
        """Take some more of the stream."""
        self._held += data
        if not self._begun and len(self._held) >= _HEADER:
            del self._held[:_HEADER]
            self._begun = True
        if self._begun and len(self._held) >= _AT_ONCE * self._row.itemsize:
            self._compare()
        return len(data)

    def distances(self) -> list[list[float]]:
        """For each question the least distances, least first; fewer where there were fewer vectors."""
        self._compare()
        near = np.sort(1 - self._near.astype(np.float64), axis=0).T
        return [[distance for distance in row if np.isfinite(distance)] for row in near.tolist()]

    def _compare(self) -> None:
        # Behind the last row stands a mark of two bytes, which is no row.
        whole = len(self._held) // self._row.itemsize
        if not whole:
            return
        size = whole * self._row.itemsize
        rows = np.frombuffer(bytes(self._held[:size]), self._row)
        del self._held[:size]
        products = _unit(rows["vector"].astype(np.float32)) @ self._asked
        if len(products) > self._number:
            products = np.partition(products, len(products) - self._number, axis=0)[-self._number :]
        both = np.concatenate([self._near, products])
        self._near = np.partition(both, len(both) - self._number, axis=0)[-self._number :]


def nearest_of(cursor: Any, selected: str, questions: NDArray[np.float32], number: int) -> list[list[float]]:
    """The least cosine distances of each question, least first, among the vectors that a query selects.

    ``cursor`` is a bare one of psycopg2, ``selected`` a query of one halfvec column without parameters.
    """
    sink = NearestOf(questions, number)
    cursor.copy_expert(f"COPY ({selected}) TO STDOUT (FORMAT binary)", sink)
    return sink.distances()


def share_found(found: Sequence[float], true: Sequence[float]) -> float:
    """The share of the true neighbours that were found, by distance: texts that are said twice are equally near."""
    return sum(distance <= true[-1] + _NOISE for distance in found[: len(true)]) / len(true)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]
    return np.asarray(vectors / np.maximum(lengths, np.float32(1e-12)))
