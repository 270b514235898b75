"""Builds, mends and rebuilds the vector indexes, as the schema's owner and beside readers and writers.

What was measured of an index is its comment: it goes with the index, and the application may read it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psutil
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from mira_ltmemory.protocols import Kind
from mira_ltmemory.store.database import Database, foreign_errors
from mira_ltmemory.store.search.index import (
    INDEXED_KINDS,
    HnswSettings,
    index_definition,
    index_name,
    outgrown,
    search_effort,
    settings_for,
    take_definition_lock,
)

MAX_EFFORT = 1_000
"""The greatest ``ef_search`` that pgvector allows."""

_MB = 1 << 20
_MEMORY_OF_A_SERVER = 1024 * _MB
_LEAST_MEMORY = 64 * _MB
_BYTES_OF_A_NODE, _BYTES_OF_A_LINK = 190, 32  # of pgvector's graph in memory, without the vector; links for each of m
_DISK_FULL = ("53100", "53200")  # no space for shared memory is told as a full disk

_STATES = text(
    """
    SELECT m.id AS model_id, m.name AS model, m.dimension, k.kind, k.name, c.oid IS NOT NULL AS there,
        coalesce(i.indisvalid, false) AS valid, greatest(coalesce(c.reltuples, 0), 0) AS rows,
        coalesce(pg_relation_size(c.oid), 0) AS size, c.reloptions AS options,
        obj_description(c.oid, 'pg_class') AS noted
    FROM ltmemory.embedding_models m
    CROSS JOIN LATERAL unnest(CAST(:kinds AS text[])) AS n (kind)
    CROSS JOIN LATERAL (SELECT n.kind, format('hnsw_vectors_%s_%s', m.id, n.kind) AS name) k
    LEFT JOIN pg_class c ON c.oid = to_regclass('ltmemory.' || k.name)
    LEFT JOIN pg_index i ON i.indexrelid = c.oid
    ORDER BY m.id, k.kind
    """
)

_INVALID = text(
    """
    SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE c.relnamespace = 'ltmemory'::regnamespace AND NOT i.indisvalid AND NOT EXISTS (
        SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = c.oid) ORDER BY c.relname
    """
)

_TABLES = text(
    "SELECT relname FROM pg_class WHERE relnamespace = 'ltmemory'::regnamespace AND relkind = 'r' ORDER BY 1"
)
_VECTOR_ROWS = text("SELECT count(*) FROM ltmemory.vectors WHERE model_id = :model_id AND kind = :kind")
_UNFINISHED = "rebuilding with other settings"


@dataclass(frozen=True, slots=True)
class Measured:
    """What searches of an index need and give: ``ef_search``, and then recall@10 against exact search, at some rows."""

    ef_search: int
    recall: float
    rows: int
    at: datetime

    def noted(self) -> str:
        """As the comment of an index."""
        values = {"ef_search": self.ef_search, "recall": self.recall, "rows": self.rows, "at": self.at.isoformat()}
        return json.dumps(values)

    @staticmethod
    def read(comment: str | None) -> Measured | None:
        """What a comment says; none where it is missing or none of ours."""
        try:
            found = json.loads(comment or "")
            at = datetime.fromisoformat(found["at"])
            return Measured(int(found["ef_search"]), float(found["recall"]), int(found["rows"]), at)
        except (ValueError, TypeError, KeyError):
            return None


@dataclass(frozen=True, slots=True)
class IndexState:
    """The vector index of a model and a kind: ``rows`` by the planner's count, ``size`` in bytes.

    ``unfinished``: its rebuilding with other settings began and did not end; it bears them, and has the old graph.
    """

    model_id: int
    model: str
    dimension: int
    kind: Kind
    name: str
    there: bool
    valid: bool
    rows: int
    size: int
    built: HnswSettings | None
    measured: Measured | None
    unfinished: bool = False

    @property
    def effort(self) -> int:
        """The ``ef_search`` that searches use: measured, or usual for so many rows."""
        return self.measured.ef_search if self.measured else search_effort(self.rows)

    @property
    def wanted(self) -> HnswSettings:
        """What it would be built with now."""
        return settings_for(self.rows)

    @property
    def to_do(self) -> str | None:
        """What upkeep would do with it, in a word; none where it is as it should be."""
        if not self.there:
            return "build"
        if not self.valid or self.unfinished or (self.built is not None and outgrown(self.built, self.rows)):
            return "reindex"
        return None


class IndexUpkeep:
    """Looks after the vector indexes of a database; one process does at a time. Raises ``StoreError``.

    ``working`` is told what is being done, in a sentence.
    """

    def __init__(self, database: Database, working: Callable[[str], object] = lambda told: None) -> None:
        self._database = database
        self._working = working

    def states(self) -> list[IndexState]:
        """Every index that there should be."""
        with foreign_errors(), self._database.engine.connect() as connection:
            return [_state(row) for row in connection.execute(_STATES, {"kinds": [k.value for k in INDEXED_KINDS]})]

    def invalid(self) -> list[str]:
        """Names of indexes that a failed build left behind: they cost with every write and serve nobody."""
        with foreign_errors(), self._database.engine.connect() as connection:
            return list(connection.scalars(_INVALID))

    def mend(self) -> list[str]:
        """Drop what failed builds left, build what is missing, rebuild what has outgrown its settings; say what."""
        done = []
        with self._alone() as connection:
            for name in connection.scalars(_INVALID).all():
                done.append(f"dropped {name}, which a failed build had left")
                self._run(connection, f"DROP INDEX CONCURRENTLY IF EXISTS ltmemory.{_quoted(name)}", done[-1])
            done += [self._build(connection, state) for state in self.states() if not state.there]
            done += [self._reindex(connection, state) for state in self.states() if state.to_do == "reindex"]
        return done

    def reindex(self) -> list[str]:
        """Rebuild every index with the settings for its rows; say which."""
        with self._alone() as connection:
            return [self._reindex(connection, state) for state in self.states() if state.there]

    def refresh(self) -> None:
        """Vacuum and analyse every table, so that the planner knows what there is."""
        with self._database.maintenance() as connection:
            for name in connection.scalars(_TABLES).all():
                self._run(connection, f"VACUUM (ANALYZE) ltmemory.{_quoted(name)}", f"refreshed {name}")

    def rewrite(self) -> list[str]:
        """Write every table and its indexes anew, without what is dead; each is locked as long as that takes."""
        with self._alone() as connection:
            names = list(connection.scalars(_TABLES).all())
            for name in names:
                self._run(connection, f"VACUUM (FULL, ANALYZE) ltmemory.{_quoted(name)}", f"rewrote {name}")
        return names

    def note(self, state: IndexState, measured: Measured) -> None:
        """Keep what was measured of an index: searches follow it."""
        with self._database.owner() as connection:
            take_definition_lock(connection)
            quoted = measured.noted().replace("'", "''")
            connection.exec_driver_sql(f"COMMENT ON INDEX ltmemory.{state.name} IS '{quoted}'")

    def _build(self, connection: Connection, state: IndexState) -> str:
        # Right after an import nobody has counted yet, and a build with too little memory takes fifty times as long.
        connection.exec_driver_sql("ANALYZE ltmemory.vectors")
        of = {"model_id": state.model_id, "kind": state.kind.value}
        rows = int(connection.execute(_VECTOR_ROWS, of).scalar_one())
        statement = index_definition(state.model_id, state.kind, state.dimension, settings_for(rows), concurrently=True)
        told = f"built {state.name}"
        self._heavy(connection, statement, rows, state, told)
        return told

    def _reindex(self, connection: Connection, state: IndexState) -> str:
        wanted = state.wanted
        told = f"rebuilt {state.name} with m = {wanted.m}, ef_construction = {wanted.ef_construction}"
        changed = state.unfinished or state.built != wanted
        if changed:
            # Whatever ends this, the next upkeep sees it; and what the former graph needed says nothing of this one.
            connection.exec_driver_sql(f"COMMENT ON INDEX ltmemory.{state.name} IS '{_UNFINISHED}'")
            options = f"m = {wanted.m}, ef_construction = {wanted.ef_construction}"
            self._run(connection, f"ALTER INDEX ltmemory.{state.name} SET ({options})", told)
        statement = f"REINDEX INDEX CONCURRENTLY ltmemory.{state.name}"
        self._heavy(connection, statement, state.rows, state, told)
        if changed:
            connection.exec_driver_sql(f"COMMENT ON INDEX ltmemory.{state.name} IS NULL")
        return told

    def _heavy(self, connection: Connection, statement: str, rows: int, state: IndexState, told: str) -> None:
        memory = build_memory(rows, state.dimension, embedded=self._database.embedded)
        connection.exec_driver_sql(f"SET maintenance_work_mem = '{memory // 1024}kB'")
        workers = max(0, min((os.cpu_count() or 1), 8) - 1) if self._database.embedded else 2
        connection.exec_driver_sql(f"SET max_parallel_maintenance_workers = {workers}")
        try:
            self._run(connection, statement, told)
        except DBAPIError as error:
            if workers == 0 or getattr(error.orig, "pgcode", None) not in _DISK_FULL:
                raise
            # Workers share memory that a container may not have: alone, the build needs none of it.
            for name in connection.scalars(_INVALID).all():
                self._run(connection, f"DROP INDEX CONCURRENTLY IF EXISTS ltmemory.{_quoted(name)}", told)
            connection.exec_driver_sql("SET max_parallel_maintenance_workers = 0")
            self._run(connection, statement, told)

    def _run(self, connection: Connection, statement: str, told: str) -> None:
        self._working(told)
        connection.exec_driver_sql(statement)

    @contextmanager
    def _alone(self) -> Iterator[Connection]:
        with self._database.maintenance() as connection:
            take_definition_lock(connection, for_session=True)
            yield connection


def build_memory(rows: int, dimension: int, *, embedded: bool) -> int:
    """Bytes that a build may take: what the graph needs, as far as the machine has it to spare.

    Of a server elsewhere nothing is known but that a GB is not too much to ask.
    """
    node = 2 * dimension + _BYTES_OF_A_NODE + _BYTES_OF_A_LINK * settings_for(rows).m
    needed = int(rows * node * 1.2)
    spare = psutil.virtual_memory().available // 2 if embedded else _MEMORY_OF_A_SERVER
    return max(_LEAST_MEMORY, min(needed, spare))


def _state(row: Any) -> IndexState:
    options = dict(option.split("=", 1) for option in row.options or ())
    built = HnswSettings(int(options["m"]), int(options["ef_construction"])) if len(options) == 2 else None
    kind = Kind(row.kind)
    return IndexState(
        model_id=row.model_id,
        model=row.model,
        dimension=row.dimension,
        kind=kind,
        name=index_name(row.model_id, kind),
        there=row.there,
        valid=row.valid,
        rows=int(row.rows),
        size=int(row.size),
        built=built,
        measured=Measured.read(row.noted),
        unfinished=row.noted == _UNFINISHED,
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
