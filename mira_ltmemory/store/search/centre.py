"""The usual vector of a user's rows: texts of one user resemble each other, and what is usual tells nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mira_ltmemory.protocols import Kind
from mira_ltmemory.store.rows import Rows
from mira_ltmemory.store.search.sql import VectorSide
from mira_ltmemory.store.vector_text import parsed_vector, vector_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mira_ltmemory.protocols import Vectors

SAMPLED = 500
"""Vectors whose mean is what is usual: the first by id, which is as good as by chance."""

_FEW_VECTORS = 20.0
_GROWN = 0.05

_MEAN = """
SELECT count(*) AS sample, CAST(avg(embedding) AS text) AS mean FROM (
    SELECT {embedding} AS embedding FROM ltmemory.vectors v WHERE {own}
    ORDER BY v.row_id, v.content_hash LIMIT {sampled}
) s
"""


@dataclass(frozen=True, slots=True)
class Centre:
    """The mean of ``sample`` vectors ``(dim,)`` of a kind under a model, among so many documents; also as ``text``."""

    kind: Kind
    model_id: int
    documents: int
    sample: int
    mean: Vectors
    text: str

    def still_holds(self, kind: Kind, model_id: int, documents: int) -> bool:
        """Whether it may stand for the mean of today: it is of a whole sample, and few rows came or went since."""
        same = (self.kind, self.model_id) == (kind, model_id)
        return same and self.sample == SAMPLED and abs(documents - self.documents) <= _GROWN * self.documents

    def without(self, cosine: NDArray[np.float64], usual: NDArray[np.float64], query: Vectors) -> NDArray[np.float64]:
        """Cosines ``(n,)`` of rows less the mean, given their inner products with it: ``usual``, also ``(n,)``.

        The mean counts the less the fewer vectors it was made from.
        """
        share = self.sample / (self.sample + _FEW_VECTORS)
        of_row = share * usual
        of_query = share * float(self.mean @ query)
        of_mean = share**2 * float(self.mean @ self.mean)
        norms = np.maximum((1 - 2 * of_row + of_mean) * (1 - 2 * of_query + of_mean), 1e-6)
        return np.asarray((cosine - of_row - of_query + of_mean) / np.sqrt(norms))


class CentreRows(Rows):
    """Reads the usual vector."""

    def read(self, kind: Kind, side: VectorSide, documents: int) -> Centre:
        """The mean of a sample of the user's vectors; zero where there are none."""
        statement = _MEAN.format(embedding=side.cast("v.embedding"), own=side.of(kind), sampled=SAMPLED)
        row = self.execute(statement).one()
        mean = np.zeros(side.dimension, np.float32)
        if row.mean is not None:
            mean = parsed_vector(row.mean)
        return Centre(kind, side.model_id, documents, int(row.sample), mean, vector_text(mean))
