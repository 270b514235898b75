"""Registers embedding models, and says which vector indexes belong to them: definitions, made by the owner."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from mira_ltmemory.errors import StoreError
from mira_ltmemory.protocols import EmbeddingModel, Kind
from mira_ltmemory.store.database import Database, foreign_errors

INDEXED_KINDS = (Kind.MESSAGE, Kind.PASSAGE)

BUILT_AT_ONCE = 100_000
"""Vectors up to which a missing index is built when the model is next used; building locks writers out."""

MANY = 500_000
"""Rows from which an index gets a better graph: among so many, a search that goes astray is not mended by going on."""

_DEFINITION_LOCK = 0x6C746D656E  # any constant of our own
_LOCK_POLL_S = 0.05
LOCK_WAIT_S = 30.0
"""Seconds that a change of definitions waits for another one."""

_FIND = text(
    "SELECT id FROM ltmemory.embedding_models WHERE name = :name AND sha256 = :sha256 AND dimension = :dimension"
)
_COUNT_INDEXES = text("SELECT count(to_regclass('ltmemory.' || n)) FROM unnest(CAST(:names AS text[])) n")
_VECTORS = text("SELECT reltuples FROM pg_class WHERE oid = 'ltmemory.vectors'::regclass")
_INSERT = text(
    "INSERT INTO ltmemory.embedding_models (id, name, sha256, dimension, max_tokens, active) "
    "SELECT coalesce(max(id), 0) + 1, :name, :sha256, :dimension, :max_tokens, true FROM ltmemory.embedding_models "
    "RETURNING id"
)

# Partial, so that models of several dimensions share the table; queries repeat the cast and both constants.
_CREATE = """
CREATE INDEX {concurrently} IF NOT EXISTS {name} ON ltmemory.vectors
USING hnsw ((embedding::halfvec({dimension})) halfvec_cosine_ops) WITH (m = {m}, ef_construction = {ef_construction})
WHERE model_id = {model_id} AND kind = '{kind}'
"""


@dataclass(frozen=True, slots=True)
class HnswSettings:
    """How an HNSW graph is built: links of a node, and candidates looked at for each."""

    m: int
    ef_construction: int


def settings_for(rows: int) -> HnswSettings:
    """What an index of so many rows is built with: more work where a poorer graph would be felt.

    Every later insert costs as much as ``ef_construction`` and ``m`` say.
    """
    return HnswSettings(16, 64) if rows < MANY else HnswSettings(24, 200)


def outgrown(built: HnswSettings, rows: int) -> bool:
    """Whether an index of so many rows should be built otherwise; a count that sways around a line rebuilds nothing."""
    wanted = settings_for(rows)
    generous = built.ef_construction > wanted.ef_construction and rows > MANY // 2
    return built != wanted and not generous


def index_name(model_id: int, kind: Kind) -> str:
    """Name of the vector index of a model and a kind. ``hnsw_`` is what drift checks leave alone."""
    return f"hnsw_vectors_{model_id}_{kind.value}"


def search_effort(rows: int) -> int:
    """``ef_search`` of an index of so many rows whose recall was not measured yet."""
    return 100 if rows < 100_000 else 200 if rows < MANY else 400


def index_definition(
    model_id: int, kind: Kind, dimension: int, built: HnswSettings, *, concurrently: bool = False
) -> str:
    """The statement that makes the vector index of a model and a kind, where it is not there."""
    return _CREATE.format(
        name=index_name(model_id, kind),
        dimension=int(dimension),
        m=built.m,
        ef_construction=built.ef_construction,
        model_id=int(model_id),
        kind=kind.value,
        concurrently="CONCURRENTLY" if concurrently else "",
    )


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
        take_definition_lock(connection)
        found: Any = connection.execute(_FIND, _identity(model)).scalar()
        new = found is None
        if new:
            found = connection.execute(_INSERT, {**_identity(model), "max_tokens": model.max_tokens}).scalar_one()
        # A known model's index was lost: where there are many vectors, upkeep builds it beside the writers.
        if new or float(connection.execute(_VECTORS).scalar() or 0) <= BUILT_AT_ONCE:
            for kind in INDEXED_KINDS:
                connection.execute(text(index_definition(int(found), kind, model.dimension, settings_for(0))))
        return int(found)


def take_definition_lock(connection: Connection, *, for_session: bool = False, wait_s: float = LOCK_WAIT_S) -> None:
    """Let one process at a time change definitions: until the transaction or, ``for_session``, the connection ends.

    Asked again and again, because building an index concurrently waits for whoever waits in a statement of its own.
    Raises ``StoreError`` where another process keeps it longer than ``wait_s``.
    """
    ask = text(f"SELECT pg_try_advisory_{'' if for_session else 'xact_'}lock(:key)")
    until = time.monotonic() + wait_s
    while not connection.execute(ask, {"key": _DEFINITION_LOCK}).scalar():
        if time.monotonic() > until:
            raise StoreError(
                f"Another process has been changing the database's indexes for {wait_s:g} s. Try again when it is done."
            )
        time.sleep(_LOCK_POLL_S)


def _registered(connection: Connection, model: EmbeddingModel) -> int | None:
    found = connection.execute(_FIND, _identity(model)).scalar()
    if found is None:
        return None
    names = [index_name(int(found), kind) for kind in INDEXED_KINDS]
    there = connection.execute(_COUNT_INDEXES, {"names": names}).scalar_one()
    return int(found) if there == len(names) else None


def _identity(model: EmbeddingModel) -> dict[str, object]:
    return {"name": model.name, "sha256": model.sha256, "dimension": model.dimension}
