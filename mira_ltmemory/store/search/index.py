"""Registers embedding models and builds the vector indexes that belong to them: definitions, made by the owner."""

from __future__ import annotations

from sqlalchemy import Connection, text

from mira_ltmemory.protocols import EmbeddingModel, Kind
from mira_ltmemory.store.database import Database, foreign_errors

INDEXED_KINDS = (Kind.MESSAGE, Kind.PASSAGE)

_REGISTRATION_LOCK = 0x6C746D656E  # any constant of our own

# pgvector's defaults: at 200,000 rows they reach recall@10 .995 with ef_search 100, and each insert costs as much as
# ef_construction says.
_M, _EF_CONSTRUCTION = 16, 64

_FIND = text(
    "SELECT id FROM ltmemory.embedding_models WHERE name = :name AND sha256 = :sha256 AND dimension = :dimension"
)
_COUNT_INDEXES = text("SELECT count(to_regclass('ltmemory.' || n)) FROM unnest(CAST(:names AS text[])) n")
_INSERT = text(
    "INSERT INTO ltmemory.embedding_models (id, name, sha256, dimension, max_tokens, active) "
    "SELECT coalesce(max(id), 0) + 1, :name, :sha256, :dimension, :max_tokens, true FROM ltmemory.embedding_models "
    "RETURNING id"
)

# Partial, so that models of several dimensions share the table; queries repeat the cast and both constants.
_CREATE = """
CREATE INDEX IF NOT EXISTS {name} ON ltmemory.vectors
USING hnsw ((embedding::halfvec({dimension})) halfvec_cosine_ops) WITH (m = {m}, ef_construction = {ef_construction})
WHERE model_id = {model_id} AND kind = '{kind}'
"""


def index_name(model_id: int, kind: Kind) -> str:
    """Name of the vector index of a model and a kind. ``hnsw_`` is what drift checks leave alone."""
    return f"hnsw_vectors_{model_id}_{kind.value}"


def register_model(database: Database, model: EmbeddingModel) -> int:
    """Make a model known, with its vector indexes, and return its number; cheap where that was done before.

    Raises ``StoreError`` where the database refuses. The indexes are made before the first vector of the model
    is stored, so building them takes no time and locks nobody out for long.
    """
    with foreign_errors(), database.engine.connect() as connection:
        known = _registered(connection, model)
    if known is not None:
        return known
    with database.owner() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _REGISTRATION_LOCK})
        found = connection.execute(_FIND, _identity(model)).scalar()
        if found is None:
            found = connection.execute(_INSERT, {**_identity(model), "max_tokens": model.max_tokens}).scalar_one()
        for kind in INDEXED_KINDS:
            _create_index(connection, int(found), kind, model.dimension)
        return int(found)


def _registered(connection: Connection, model: EmbeddingModel) -> int | None:
    found = connection.execute(_FIND, _identity(model)).scalar()
    if found is None:
        return None
    names = [index_name(int(found), kind) for kind in INDEXED_KINDS]
    there = connection.execute(_COUNT_INDEXES, {"names": names}).scalar_one()
    return int(found) if there == len(names) else None


def _create_index(connection: Connection, model_id: int, kind: Kind, dimension: int) -> None:
    statement = _CREATE.format(
        name=index_name(model_id, kind),
        dimension=int(dimension),
        m=_M,
        ef_construction=_EF_CONSTRUCTION,
        model_id=int(model_id),
        kind=kind.value,
    )
    connection.execute(text(statement))


def _identity(model: EmbeddingModel) -> dict[str, object]:
    return {"name": model.name, "sha256": model.sha256, "dimension": model.dimension}
