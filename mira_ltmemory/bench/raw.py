"""The raw vector query that searches are held against."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mira_ltmemory.store.vector_text import vector_text

if TYPE_CHECKING:
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

    def exact(self, vector: Vectors, limit: int) -> list[tuple[float, str]]:
        """Distances of the nearest ones, and whose they are, by comparing every one."""
        # OFFSET 0 keeps the planner from answering with the approximate index.
        every = f"SELECT {self._half} AS distance, user_id {self._of} OFFSET 0"
        statement = f"SELECT distance, user_id::text FROM ({every}) e ORDER BY distance LIMIT {int(limit)}"
        self._cursor.execute(statement, (vector_text(vector),))
        return [(float(distance), of) for distance, of in self._cursor.fetchall()]

    def _distances(self, distance: str, vector: Vectors) -> list[float]:
        literal = vector_text(vector)
        # The id is what a search would be after; the distance comes along to compare answers by.
        statement = f"SELECT row_id, {distance} {self._of} ORDER BY {distance} LIMIT {NEAREST}"
        self._cursor.execute(statement, (literal, literal))
        return [float(row[1]) for row in self._cursor.fetchall()]
