"""Rows of vectors, and the queue of texts that wait for one. The only place where vectors become numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

import numpy as np
from sqlalchemy.dialects.postgresql import insert as upsert

from mira_ltmemory.protocols import EmbeddingModel, Kind, TokenVectors
from mira_ltmemory.store.models import PendingEmbedding
from mira_ltmemory.store.rows import Rows
from mira_ltmemory.store.vector_text import vector_text

if TYPE_CHECKING:
    from mira_ltmemory.protocols import Vectors

TABLES = {Kind.MESSAGE: "messages", Kind.PASSAGE: "passages", Kind.ENTITY: "entities"}
"""Tables whose rows have vectors."""

_WAITING = """
SELECT p.row_id, r.content_hash, r.content
FROM ltmemory.pending_embeddings p
JOIN ltmemory.{table} r ON r.user_id = p.user_id AND r.id = p.row_id
WHERE p.user_id = :user_id AND p.kind = :kind ORDER BY p.enqueued_by, p.row_id LIMIT :limit
"""

# Only where the row still holds the text that was embedded: a row that changed meanwhile waits on.
_DEQUEUE = """
DELETE FROM ltmemory.pending_embeddings p
USING unnest(CAST(:row_ids AS uuid[]), CAST(:hashes AS uuid[])) AS done (row_id, content_hash),
    ltmemory.{table} r
WHERE p.user_id = :user_id AND p.kind = :kind AND p.row_id = done.row_id
    AND r.user_id = :user_id AND r.id = done.row_id AND r.content_hash = done.content_hash
"""

_DROP_ORPHANS = """
DELETE FROM ltmemory.pending_embeddings p WHERE p.user_id = :user_id AND p.kind = :kind
    AND NOT EXISTS (SELECT FROM ltmemory.{table} r WHERE r.user_id = p.user_id AND r.id = p.row_id)
"""


_ADD = """
INSERT INTO ltmemory.vectors (user_id, kind, row_id, model_id, content_hash, embedding)
SELECT :user_id, u.kind, u.row_id, :model_id, u.content_hash, CAST(u.vector AS halfvec)
FROM unnest(CAST(:kinds AS text[]), CAST(:row_ids AS uuid[]), CAST(:hashes AS uuid[]), CAST(:vectors AS text[]))
    AS u (kind, row_id, content_hash, vector)
ON CONFLICT DO NOTHING
"""

# The locks hold off an erasure until this transaction ends; rows that one took meanwhile are not among them.
_HOLD = """
SELECT r.id FROM ltmemory.{table} r
WHERE r.user_id = :user_id AND r.id = ANY(CAST(:row_ids AS uuid[])) ORDER BY r.id FOR KEY SHARE
"""


_ENQUEUE_MISSING = """
INSERT INTO ltmemory.pending_embeddings (user_id, kind, row_id, enqueued_by)
SELECT r.user_id, :kind, r.id, r.change_set_id FROM ltmemory.{table} r
WHERE r.user_id = :user_id AND r.content ~ '\\S' AND char_length(r.content) <= :max_chars AND NOT EXISTS (
    SELECT FROM ltmemory.{held} WHERE v.user_id = r.user_id AND v.kind = :kind AND v.row_id = r.id
        AND v.model_id = :model_id AND v.content_hash = r.content_hash)
    AND NOT EXISTS (
    SELECT FROM ltmemory.cold_texts c WHERE c.user_id = r.user_id AND c.kind = :kind AND c.row_id = r.id)
ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class PendingText:
    """A stored text that has no vector yet."""

    kind: Kind
    row_id: UUID
    content_hash: UUID
    content: str


class VectorRows(Rows):
    """The user's vectors."""

    def model_id(self, model: EmbeddingModel) -> int | None:
        """The number of a registered model; none where no vector of it may be stored."""
        found = self.execute(
            "SELECT id FROM ltmemory.embedding_models "
            "WHERE name = :name AND sha256 = :sha256 AND dimension = :dimension",
            name=model.name,
            sha256=model.sha256,
            dimension=model.dimension,
        ).scalar()
        return None if found is None else int(found)

    def enqueue(self, kind: Kind, row_ids: Sequence[UUID]) -> None:
        """Let the next run embed these rows."""
        rows = [
            {"user_id": self.user_id, "kind": kind.value, "row_id": row_id, "enqueued_by": self._unit.change_set_id}
            for row_id in row_ids
        ]
        if rows:
            self.connection.execute(upsert(PendingEmbedding).on_conflict_do_nothing(), rows)

    def enqueue_missing(self, model_id: int, max_chars: int, *, tokens: bool = False) -> int:
        """Enqueue every row that should have a vector under a model and has none; return how many.

        Rows without text or with more than ``max_chars`` characters have none on purpose. With ``tokens``, rows
        whose words have no vectors are enqueued as well.
        """
        held = "vectors v JOIN ltmemory.token_vectors USING (user_id, kind, row_id, model_id, content_hash)"
        return sum(
            self.execute(
                _ENQUEUE_MISSING.format(table=table, held=held if tokens else "vectors v"),
                kind=kind.value,
                model_id=model_id,
                max_chars=max_chars,
            ).rowcount
            for kind, table in TABLES.items()
        )

    def pending(self, limit: int) -> list[PendingText]:
        """Texts that wait for a vector, oldest first, at most ``limit`` of each kind."""
        found: list[PendingText] = []
        for kind, table in TABLES.items():
            rows = self.execute(_WAITING.format(table=table), kind=kind.value, limit=limit)
            found += [PendingText(kind, row.row_id, row.content_hash, row.content) for row in rows]
        return found

    def pending_count(self) -> int:
        """How many texts wait for a vector."""
        count = "SELECT count(*) FROM ltmemory.pending_embeddings WHERE user_id = :user_id"
        return int(self.execute(count).scalar_one())

    def add(
        self,
        texts: Sequence[PendingText],
        vectors: Vectors,
        model_id: int,
        tokens: Sequence[TokenVectors] | None = None,
        *,
        dequeue: bool = True,
    ) -> None:
        """Store the vectors of texts, and of their words, row by row; unless told not to, take the texts off the queue.

        Safe against a second worker that did the same: the first vector of a text stays. Rows that are gone by now
        get none: they may have been erased.
        """
        present = self._present(texts)
        halves = np.asarray(vectors, np.float16)
        rows = [(item, half) for item, half in zip(texts, halves, strict=True) if item.row_id in present]
        if not rows:
            return
        self.execute(
            _ADD,
            model_id=model_id,
            kinds=[item.kind.value for item, _ in rows],
            row_ids=[item.row_id for item, _ in rows],
            hashes=[item.content_hash for item, _ in rows],
            vectors=[vector_text(half) for _, half in rows],
        )
        for kind in {item.kind for item in texts}:
            self._unit.tokens.add(
                kind,
                model_id,
                [
                    (item.row_id, item.content_hash, told.vectors)
                    for item, told in zip(texts, tokens or (), strict=tokens is not None)
                    if item.kind is kind and item.row_id in present
                ],
            )
            if not dequeue:
                continue
            done = [item for item in texts if item.kind is kind]
            self.execute(
                _DEQUEUE.format(table=TABLES[kind]),
                kind=kind.value,
                row_ids=[item.row_id for item in done],
                hashes=[item.content_hash for item in done],
            )

    def _present(self, texts: Sequence[PendingText]) -> set[UUID]:
        found: set[UUID] = set()
        for kind in sorted({item.kind for item in texts}):
            ids = [item.row_id for item in texts if item.kind is kind]
            found.update(row.id for row in self.execute(_HOLD.format(table=TABLES[kind]), row_ids=ids))
        return found

    def drop_orphans(self) -> int:
        """Take rows off the queue that are no longer there; return how many."""
        return sum(
            self.execute(_DROP_ORPHANS.format(table=table), kind=kind.value).rowcount for kind, table in TABLES.items()
        )

    def count(self) -> int:
        """How many vectors are stored."""
        return int(self.execute("SELECT count(*) FROM ltmemory.vectors WHERE user_id = :user_id").scalar_one())
