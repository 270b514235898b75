"""The state of the database as a whole: how large it is, and whether vacuum keeps up. No user's rows are read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from mira_ltmemory.store.database import Database, foreign_errors

_TABLES = text(
    """
    SELECT s.relname AS name, pg_total_relation_size(s.relid) AS size, pg_indexes_size(s.relid) AS indexes,
        s.n_live_tup AS live, s.n_dead_tup AS dead, greatest(s.last_vacuum, s.last_autovacuum) AS vacuumed,
        greatest(s.last_analyze, s.last_autoanalyze) AS analysed, s.n_mod_since_analyze AS changed
    FROM pg_stat_user_tables s WHERE s.schemaname = 'ltmemory' ORDER BY size DESC, name
    """
)

_WHOLE = text(
    "SELECT pg_database_size(current_database()) AS size, "
    "(SELECT age(datfrozenxid) FROM pg_database WHERE datname = current_database()) AS age, "
    "pg_size_bytes(current_setting('shared_buffers')) AS buffers, current_setting('autovacuum') AS autovacuum"
)


@dataclass(frozen=True, slots=True)
class TableState:
    """A table: ``size`` in bytes with its indexes, rows that are there and rows that are dead, by Postgres' count."""

    name: str
    size: int
    indexes: int
    live: int
    dead: int
    changed: int
    vacuumed: datetime | None
    analysed: datetime | None


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """The database: ``size`` in bytes, ``age`` in transactions since rows were frozen, its tables largest first."""

    size: int
    age: int
    buffers: int
    autovacuum: bool
    tables: tuple[TableState, ...]


def database_state(database: Database) -> DatabaseState:
    """Ask the catalog. Raises ``StoreError``."""
    with foreign_errors(), database.engine.connect() as connection:
        whole = connection.execute(_WHOLE).one()
        tables = tuple(TableState(**row._mapping) for row in connection.execute(_TABLES))
    return DatabaseState(int(whole.size), int(whole.age), int(whole.buffers), whole.autovacuum == "on", tables)
