"""Rows of the embedding cache: vectors of queries by a keyed hash of their text, and how often one was known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from mira_ltmemory.store.rows import Rows

_OPEN = """
INSERT INTO ltmemory.embedding_caches (user_id, secret, hits, misses, since)
VALUES (:user_id, :secret, 0, 0, :now) ON CONFLICT (user_id) DO NOTHING
"""

# The lock holds off an erasure until this transaction ends; where one was faster, nothing is found here.
_COUNT = """
UPDATE ltmemory.embedding_caches SET hits = hits + :hits, misses = misses + :misses
WHERE user_id = :user_id AND secret = :secret
"""

_PUT = text("""
INSERT INTO ltmemory.cached_embeddings AS c (user_id, model_id, text_key, vector, tokens, places, used_at)
VALUES (:user_id, :model_id, :text_key, :vector, :tokens, :places, :used_at)
ON CONFLICT (user_id, model_id, text_key) DO UPDATE SET used_at = greatest(c.used_at, EXCLUDED.used_at)
""")

_PRUNE = """
DELETE FROM ltmemory.cached_embeddings c USING (
    SELECT model_id, text_key FROM ltmemory.cached_embeddings WHERE user_id = :user_id
    ORDER BY used_at DESC, text_key OFFSET :limit
) old
WHERE c.user_id = :user_id AND c.model_id = old.model_id AND c.text_key = old.text_key
"""


@dataclass(frozen=True, slots=True)
class CachedRow:
    """One text: its key, its vector (float16), the vectors of its words (int8) and which words they are (uint16)."""

    model_id: int
    key: UUID
    vector: bytes
    tokens: bytes | None
    places: bytes | None
    used_at: datetime


@dataclass(frozen=True, slots=True)
class CacheState:
    """How large the stored cache is, and how often a text was known since a point in time."""

    entries: int = 0
    bytes: int = 0
    hits: int = 0
    misses: int = 0
    since: datetime | None = None
    oldest_use: datetime | None = None


class EmbeddingCacheRows(Rows):
    """The user's cached embeddings."""

    def open(self, secret: bytes, now: datetime) -> bytes:
        """The secret that the keys are made with: that which is there, else the one given, which is kept."""
        self.execute(_OPEN, secret=secret, now=now)
        known = self.execute("SELECT secret FROM ltmemory.embedding_caches WHERE user_id = :user_id").scalar_one()
        return bytes(known)

    def newest(self, model_id: int, limit: int) -> list[CachedRow]:
        """The texts used last, the latest first."""
        rows = self.execute(
            "SELECT text_key, vector, tokens, places, used_at FROM ltmemory.cached_embeddings "
            "WHERE user_id = :user_id AND model_id = :model_id ORDER BY used_at DESC, text_key LIMIT :limit",
            model_id=model_id,
            limit=limit,
        )
        return [
            CachedRow(model_id, row.text_key, bytes(row.vector), _bytes(row.tokens), _bytes(row.places), row.used_at)
            for row in rows
        ]

    def keep(self, secret: bytes, rows: Sequence[CachedRow], hits: int, misses: int, limit: int) -> bool:
        """Store texts with what was counted, and drop those used longest ago beyond ``limit``.

        False, and nothing is stored, where the cache was cleared since: the keys are worth nothing by then.
        """
        if not self.execute(_COUNT, secret=secret, hits=hits, misses=misses).rowcount:
            return False
        values = [
            {
                "user_id": self.user_id, "model_id": row.model_id, "text_key": row.key, "vector": row.vector,
                "tokens": row.tokens, "places": row.places, "used_at": row.used_at,
            }
            for row in rows
        ]  # fmt: skip
        if values:
            self.connection.execute(_PUT, values)
        self.execute(_PRUNE, limit=limit)
        return True

    def clear(self) -> int:
        """Drop all of it, the secret first, so that no other process adds to it; return how many texts there were."""
        self.execute("DELETE FROM ltmemory.embedding_caches WHERE user_id = :user_id")
        return self.execute("DELETE FROM ltmemory.cached_embeddings WHERE user_id = :user_id").rowcount

    def drop_model(self, model_id: int) -> None:
        """Drop the texts of a model whose vectors are dropped."""
        self.execute(
            "DELETE FROM ltmemory.cached_embeddings WHERE user_id = :user_id AND model_id = :model_id",
            model_id=model_id,
        )

    def state(self) -> CacheState:
        """How large it is, and how often a text was known."""
        row = self.execute(
            "SELECT count(*) AS entries, coalesce(sum(pg_column_size(c.*)), 0) AS bytes, min(used_at) AS oldest "
            "FROM ltmemory.cached_embeddings c WHERE user_id = :user_id"
        ).one()
        counted = self.execute(
            "SELECT hits, misses, since FROM ltmemory.embedding_caches WHERE user_id = :user_id"
        ).one_or_none()
        state = CacheState(row.entries, int(row.bytes), oldest_use=row.oldest)
        if counted is None:
            return state
        return replace(state, hits=counted.hits, misses=counted.misses, since=counted.since)


def _bytes(value: memoryview | None) -> bytes | None:
    return None if value is None else bytes(value)
