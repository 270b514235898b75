"""Opens the database: the server, the schema, and connections under a role that cannot see past a user."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg2
from psycopg2.errors import InsufficientPrivilege
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from mira_ltmemory.config import shown_database
from mira_ltmemory.errors import IsolationError, SchemaError, StoreError, StoreUnavailable
from mira_ltmemory.migrations import HEAD
from mira_ltmemory.store.liveness import watch_pool
from mira_ltmemory.store.models import SCHEMA, metadata

if TYPE_CHECKING:
    from mira_ltmemory.store.embedded import EmbeddedServer

APP_ROLE = "ltmemory_app"
"""The role that connections run as: no superuser, no BYPASSRLS, owner of nothing."""

EMBEDDED_DATABASE = "ltmemory"

# An index scan goes on until enough rows pass the filter: relaxed_order costs a little order, which ranking restores.
# Compiling a statement takes longer than any of ours runs.
SCAN_SETTINGS = """
SET hnsw.iterative_scan = relaxed_order; SET hnsw.ef_search = 100; SET hnsw.max_scan_tuples = 40000;
SET hnsw.scan_mem_multiplier = 4; SET jit = off
"""
_MIGRATION_LOCK = 0x6C746D656D  # any constant of our own: 'ltmem'
_CONNECT_TIMEOUT_S = 10


class Database:
    """A migrated Postgres and a pool of connections to it under the application role."""

    def __init__(self, engine: Engine, admin_url: URL, server: EmbeddedServer | None = None) -> None:
        self.engine = engine
        self._admin_url = admin_url
        self._server = server

    @property
    def where(self) -> str:
        """Where the data is, for people: a directory or a URL without its password."""
        if self._server is not None:
            return str(self._server.data_dir)
        return shown_database(self._admin_url.render_as_string(hide_password=False))

    @contextmanager
    def owner(self) -> Iterator[Connection]:
        """A transaction of the schema's owner, for definitions only: indexes, models, upkeep."""
        with _owner_connection(self._admin_url) as connection:
            yield connection

    def maintain(self, statements: Sequence[str]) -> None:
        """Run statements of upkeep as the owner, each outside a transaction: VACUUM knows none."""
        with self.maintenance() as connection:
            for statement in statements:
                connection.execute(text(statement))

    @contextmanager
    def maintenance(self) -> Iterator[Connection]:
        """A connection of the schema's owner outside of transactions: each statement is done at once."""
        engine = _engine(self._admin_url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        try:
            with foreign_errors(), engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()

    @property
    def embedded(self) -> bool:
        """Whether the server runs on this machine, for this memory alone."""
        return self._server is not None

    def users(self) -> list[UUID]:
        """The ids of all users, oldest first: from a table that holds nothing else of them."""
        with foreign_errors(), self.engine.connect() as connection:
            return list(connection.scalars(text("SELECT id FROM ltmemory.users ORDER BY created_at, id")))

    def close(self) -> None:
        """Close all connections and give up the embedded server. May be called twice."""
        self.engine.dispose()
        if self._server is not None:
            self._server.stop()


def open_database(
    url: str | None, *, data_dir: Path | None = None, pool_size: int = 10, max_overflow: int = 20
) -> Database:
    """Connect, migrate and return the database at ``url``; without one, the embedded Postgres in ``data_dir``.

    Raises ``StoreUnavailable`` where it cannot be reached, ``EmbeddedServerError`` where the embedded
    server cannot run, ``SchemaError`` and ``IsolationError`` where it cannot be used safely.
    """
    if url is None:
        # Imported here: with a server configured, none of it is needed, and it knows POSIX only.
        from mira_ltmemory.store.embedded import EmbeddedServer, default_data_dir

        server = EmbeddedServer.start(data_dir or default_data_dir())
        try:
            return _open_embedded(server, pool_size, max_overflow)
        except BaseException:
            server.stop()
            raise
    admin_url = make_url(url)
    migrate(admin_url)
    return Database(_app_engine(admin_url, pool_size, max_overflow), admin_url)


def _open_embedded(server: EmbeddedServer, pool_size: int, max_overflow: int) -> Database:
    admin_url = make_url(server.url(database=EMBEDDED_DATABASE))
    try:
        migrated = migrate(admin_url)
    except StoreUnavailable:
        _create_database(make_url(server.url()))
        migrated = migrate(admin_url)
    if migrated:
        with _owner_connection(admin_url) as connection:
            connection.execute(text(f"ALTER ROLE {APP_ROLE} LOGIN"))
    # Logging in as the application role leaves no superuser to fall back to.
    app_url = make_url(server.url(database=EMBEDDED_DATABASE, user=APP_ROLE))
    return Database(_app_engine(app_url, pool_size, max_overflow), admin_url, server)


def _create_database(maintenance_url: URL) -> None:
    engine = _engine(maintenance_url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    try:
        with foreign_errors(), engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _MIGRATION_LOCK})
            there = text("SELECT 1 FROM pg_database WHERE datname = :name")
            if connection.scalar(there, {"name": EMBEDDED_DATABASE}) is None:
                # A server started with LANG=C would leave umlauts unlowered.
                connection.execute(
                    text(
                        f"CREATE DATABASE {EMBEDDED_DATABASE} TEMPLATE template0 ENCODING 'UTF8' "
                        "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C'"
                    )
                )
    finally:
        engine.dispose()


@contextmanager
def _owner_connection(url: URL) -> Iterator[Connection]:
    engine = _engine(url, poolclass=NullPool)
    try:
        with foreign_errors(), engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def migrate(url: URL) -> bool:
    """Bring the schema to this version, one process at a time; tell whether anything was to be done."""
    with _owner_connection(url) as connection:
        if _revision(connection) == HEAD:
            return False
        # One transaction: a migration that is killed leaves nothing behind, the lock included.
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        _upgrade(connection)
        return True


def _revision(connection: Connection) -> str | None:
    if connection.scalar(text("SELECT to_regclass(:name)"), {"name": f"{SCHEMA}.alembic_version"}) is None:
        return None
    revision: str | None = connection.scalar(text(f"SELECT version_num FROM {SCHEMA}.alembic_version"))
    return revision


def _upgrade(connection: Connection) -> None:
    # Imported here: Alembic costs a fifth of a second, and the schema is nearly always there already.
    from alembic import command
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    from mira_ltmemory.migrations import alembic_config

    config = alembic_config(connection, metadata)
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        known = ScriptDirectory.from_config(config).get_current_head()
        raise SchemaError(
            f"The database's schema is not one that this version knows (it knows up to {known}): {error} "
            "It was probably made by a newer mira-ltmemory: upgrade the package; no data was touched."
        ) from error


def _engine(url: URL, **options: Any) -> Engine:
    connect_args = {"connect_timeout": _CONNECT_TIMEOUT_S, "application_name": "mira-ltmemory"}
    # The parameters are what people said: an error that is logged must not tell them.
    return create_engine(url, connect_args=connect_args, hide_parameters=True, **options)


def _app_engine(url: URL, pool_size: int, max_overflow: int) -> Engine:
    engine = _engine(url, pool_size=pool_size, max_overflow=max_overflow)
    watch_pool(engine)
    event.listen(engine, "connect", _prepare_connection)
    try:
        with foreign_errors(), engine.connect() as connection:
            role, superuser, bypass = connection.execute(
                text("SELECT rolname, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user")
            ).one()
        if superuser or bypass:
            raise IsolationError(
                f"The database role {role!r} bypasses row-level security and cannot become {APP_ROLE!r}. "
                f"Configure a plain role, or let it create or join {APP_ROLE!r}."
            )
    except BaseException:
        engine.dispose()
        raise
    return engine


def _prepare_connection(connection: Any, _record: object) -> None:
    """Set up vector scans, and give up the login role's rights where the application role can be taken.

    Where it cannot, the connection stays what it is: `_app_engine` refuses a role that sees past users.
    """
    with connection.cursor() as cursor:
        # In another zone, a moment at the edge of the calendar would come back as none that Python has.
        cursor.execute(f"SET TIME ZONE 'UTC'; {SCAN_SETTINGS}")
        connection.commit()  # what is refused below takes back only itself
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s AND rolname <> current_user", (APP_ROLE,))
        if cursor.fetchone() is not None:
            try:
                cursor.execute(f"SET ROLE {APP_ROLE}")
            except InsufficientPrivilege:
                connection.rollback()
    connection.commit()


@contextmanager
def foreign_errors() -> Iterator[None]:
    """Turn SQLAlchemy's and psycopg2's errors into ours. This is the one place that does."""
    try:
        yield
    except OperationalError as error:
        raise StoreUnavailable(f"The database cannot be reached or stopped answering: {_first_line(error)}") from error
    except DBAPIError as error:
        kind = StoreUnavailable if error.connection_invalidated else StoreError
        raise kind(f"The database refused the operation: {_first_line(error)}") from error
    except SQLAlchemyError as error:
        raise StoreError(f"The database cannot be used: {error}") from error
    except psycopg2.Error as error:  # of a bare cursor, which copying needs
        gone = isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError)
        raise (StoreUnavailable if gone else StoreError)(f"The database gave up: {_first_line(error)}") from error


def _first_line(error: DBAPIError | psycopg2.Error) -> str:
    orig = error.orig if isinstance(error, DBAPIError) else error
    return str(orig).strip().split("\n")[0] or type(orig).__name__
