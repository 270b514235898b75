"""Rows that say which embedding model a user's searches use, and what a change to another one needs to know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import text

from mira_ltmemory.protocols import EmbeddingModel, Kind
from mira_ltmemory.store.database import Database
from mira_ltmemory.store.rows import Rows
from mira_ltmemory.store.vectors import TABLES, PendingText

OVERLAP_AT = 10
"""Neighbours of a sampled text that are compared."""


class ModelState(StrEnum):
    """What a model is to a user."""

    ACTIVE = "active"
    FILLING = "filling"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class UserModel:
    """A model that a user has or had vectors of. ``stamp`` is the size and time of its file when it was last used."""

    number: int
    model: EmbeddingModel
    path: str | None
    tokenizer: str | None
    stamp: str | None
    state: ModelState
    changed_at: datetime
    overlap: float | None


@dataclass(frozen=True, slots=True)
class Overlap:
    """Mean share of common neighbours under two models, over so many sampled texts; none where there are too few."""

    share: float | None
    sampled: int


_ALL = """
SELECT m.id, m.name, m.sha256, m.dimension, m.max_tokens, m.path, m.tokenizer, m.stamp, u.state, u.changed_at, u.overlap
FROM ltmemory.user_models u JOIN ltmemory.embedding_models m ON m.id = u.model_id
WHERE u.user_id = :user_id ORDER BY u.changed_at, m.id
"""
_SET = """
INSERT INTO ltmemory.user_models (user_id, model_id, state, changed_at, overlap)
VALUES (:user_id, :model_id, :state, :now, :overlap)
ON CONFLICT (user_id, model_id) DO UPDATE SET state = excluded.state, changed_at = excluded.changed_at,
    overlap = coalesce(excluded.overlap, user_models.overlap)
"""
_LACKS = """
FROM ltmemory.{table} r
WHERE r.user_id = :user_id AND r.content ~ '\\S' AND char_length(r.content) <= :max_chars AND NOT EXISTS (
    SELECT FROM ltmemory.vectors v WHERE v.user_id = r.user_id AND v.kind = :kind AND v.row_id = r.id
        AND v.model_id = :model_id AND v.content_hash = r.content_hash)
    AND NOT EXISTS (
    SELECT FROM ltmemory.cold_texts c WHERE c.user_id = r.user_id AND c.kind = :kind AND c.row_id = r.id)
"""
# No cast to the dimension that the index has: every vector is compared.
_NEAREST = """
SELECT row_id FROM ltmemory.vectors x WHERE x.user_id = :user_id AND x.kind = :kind AND x.model_id = :{model}
    AND x.row_id <> s.row_id ORDER BY x.embedding <=> s.{model} LIMIT {limit}
"""
_OVERLAP = f"""
WITH sample AS MATERIALIZED (
    SELECT r.id AS row_id, v.embedding AS old, w.embedding AS new
    FROM ltmemory.{{table}} r
    JOIN ltmemory.vectors v ON v.user_id = :user_id AND v.kind = :kind AND v.row_id = r.id AND v.model_id = :old
        AND v.content_hash = r.content_hash
    JOIN ltmemory.vectors w ON w.user_id = :user_id AND w.kind = :kind AND w.row_id = r.id AND w.model_id = :new
        AND w.content_hash = r.content_hash
    WHERE r.user_id = :user_id AND char_length(r.content) BETWEEN 12 AND 400 AND {{asked}}
    ORDER BY md5(CAST(r.id AS text)) LIMIT :limit
)
SELECT count(*) AS sampled, avg(CAST(c.common AS float8) / c.possible) AS share FROM sample s CROSS JOIN LATERAL (
    SELECT count(b.row_id) AS common, count(*) AS possible
    FROM ({_NEAREST.format(model="old", limit=OVERLAP_AT)}) a
    LEFT JOIN ({_NEAREST.format(model="new", limit=OVERLAP_AT)}) b USING (row_id)
) c WHERE c.possible > 0
"""


class ModelRows(Rows):
    """The models of one user."""

    def all(self) -> list[UserModel]:
        """Every model that the user's memory knows, the longest unchanged first."""
        return [
            UserModel(
                row.id,
                EmbeddingModel(row.name, row.dimension, row.sha256, row.max_tokens),
                row.path,
                row.tokenizer,
                row.stamp,
                ModelState(row.state),
                row.changed_at,
                row.overlap,
            )
            for row in self.execute(_ALL)
        ]

    def counts(self) -> dict[int, int]:
        """Vectors that are stored, by the number of their model; the most first."""
        rows = self.execute(
            "SELECT model_id, count(*) AS vectors FROM ltmemory.vectors WHERE user_id = :user_id "
            "GROUP BY model_id ORDER BY vectors DESC, model_id"
        )
        return {row.model_id: int(row.vectors) for row in rows}

    def set_state(self, number: int, state: ModelState, now: datetime, overlap: float | None = None) -> None:
        """Say what a registered model is to the user from now on."""
        self.execute(_SET, model_id=number, state=state.value, now=now, overlap=overlap)

    def lacking(self, number: int, kind: Kind, max_chars: int, after: UUID, limit: int) -> list[PendingText]:
        """Texts that should have a vector of a model and have none, in the order of their ids, after one of them."""
        statement = (
            f"SELECT r.id, r.content_hash, r.content {_LACKS.format(table=TABLES[kind])} "
            "AND r.id > :after ORDER BY r.id LIMIT :limit"
        )
        rows = self.execute(statement, kind=kind.value, model_id=number, max_chars=max_chars, after=after, limit=limit)
        return [PendingText(kind, row.id, row.content_hash, row.content) for row in rows]

    def lacking_count(self, number: int, max_chars: int) -> int:
        """How many texts should have a vector of a model and have none."""
        return sum(
            int(
                self.execute(
                    f"SELECT count(*) {_LACKS.format(table=table)}",
                    kind=kind.value,
                    model_id=number,
                    max_chars=max_chars,
                ).scalar_one()
            )
            for kind, table in TABLES.items()
        )

    def overlap(self, old: int, new: int, limit: int) -> Overlap:
        """How alike two models answer: the user's own messages stand for queries, else passages."""
        found = Overlap(None, 0)
        for kind, asked in ((Kind.MESSAGE, "r.role = 'user'"), (Kind.PASSAGE, "true")):
            row = self.execute(
                _OVERLAP.format(table=TABLES[kind], asked=asked), kind=kind.value, old=old, new=new, limit=limit
            ).one()
            if row.sampled > found.sampled:
                found = Overlap(float(row.share), int(row.sampled))
        return found

    def drop_vectors(self, number: int) -> int:
        """Remove the user's vectors of a model that is not in use, and forget the model; return how many there were."""
        removed = int(
            self.execute("SELECT ltmemory.drop_model_vectors(CAST(:model AS smallint))", model=number).scalar_one()
        )
        self.execute("DELETE FROM ltmemory.user_models WHERE user_id = :user_id AND model_id = :model", model=number)
        self._unit.embedding_cache.drop_model(number)
        return removed


def note_files(database: Database, number: int, files: Sequence[str]) -> None:
    """Keep where a registered model's file and tokenizer lie, and the stamp of the file. Raises ``StoreError``."""
    path, tokenizer, stamp = files
    values = {"id": number, "path": path, "tokenizer": tokenizer, "stamp": stamp}
    with database.owner() as connection:
        connection.execute(
            text(
                "UPDATE ltmemory.embedding_models SET path = :path, tokenizer = :tokenizer, stamp = :stamp "
                "WHERE id = :id AND (path, tokenizer, stamp) IS DISTINCT FROM (:path, :tokenizer, :stamp)"
            ),
            values,
        )
