"""The raw vector query that searches are held against."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mira_ltmemory.store.search.exact import nearest_of
from mira_ltmemory.store.vector_text import vector_text

if TYPE_CHECKING:
    from uuid import UUID

    import numpy as np
    from numpy.typing import NDArray

    from mira_ltmemory.protocols import Vectors

NEAREST = 10


class RawQueries:
    """Queries of the passages' vectors by a bare cursor of the owner: no user, no words, nothing but pgvector."""

    def __init__(self, cursor: Any, dimension: int, model_id: int) -> None:
        self._cursor = cursor
        self._of = f"FROM ltmemory.vectors WHERE model_id = {model_id} AND kind = 'passage'"
        self._half = f"(embedding::halfvec({dimension}) <=> %s::halfvec({dimension}))"
        self._full = f"(embedding::vector({dimension}) <=> %s::vector({dimension}))"
        cursor.execute("SET ivfflat.probes = 1; SET hnsw.iterative_scan = off; SET plan_cache_mode = auto")

    def effort(self, ef_search: int) -> None:
        """Look at so many candidates from now on."""
        self._cursor.execute(f"SET hnsw.ef_search = {int(ef_search)}")

    def nearest(self, vector: Vectors) -> list[float]:
        """Distances of the nearest ones by the HNSW index."""
        return self._distances(self._half, vector)

    def guide(self, vector: Vectors) -> list[float]:
        """The same by the guide's IVFFlat."""
        return self._distances(self._full, vector)

    def exact(self, vectors: NDArray[np.float32], user: UUID | None = None) -> list[list[float]]:
        """Distances of the nearest ones to each of the vectors ``(n, dim)``, of all rows or of one user's."""
        own = "" if user is None else f" AND user_id = '{user}'"
        return nearest_of(self._cursor, f"SELECT embedding {self._of}{own}", vectors, NEAREST)

    def _distances(self, distance: str, vector: Vectors) -> list[float]:
        literal = vector_text(vector)
        # The id is what a search would be after; the distance comes along to compare answers by.
        statement = f"SELECT row_id, {distance} {self._of} ORDER BY {distance} LIMIT {NEAREST}"
        self._cursor.execute(statement, (literal, literal))
        return [float(row[1]) for row in self._cursor.fetchall()]
