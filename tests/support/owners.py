"""A database of a plain owner: no superuser, no BYPASSRLS, and the application role out of reach."""

from __future__ import annotations

import uuid
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from mira_ltmemory.store.embedded import EmbeddedServer


def make_plain_database(data_dir: Path) -> str:
    """Make a role and an empty database of its own on the server of a data directory; return the URL."""
    server = EmbeddedServer.start(data_dir)
    server.stop()  # this handle only: the session's own keeps it running
    name = f"plain_{uuid.uuid4().hex[:12]}"
    run(server.url(), f"CREATE ROLE {name} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE")
    run(
        server.url(),
        f"CREATE DATABASE {name} OWNER {name} TEMPLATE template0 ENCODING 'UTF8' "
        "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C'",
    )
    # Only a superuser may: an administrator does this once for a plain owner.
    run(server.url(database=name), "CREATE EXTENSION vector SCHEMA public")
    return server.url(database=name, user=name)


def superuser_url(data_dir: Path, url: str) -> str:
    """The URL of the same database for the server's superuser."""
    return superuser_of(data_dir, make_url(url).database or "")


def superuser_of(data_dir: Path, database: str) -> str:
    """The superuser's URL of a database on the server of a data directory."""
    server = EmbeddedServer.start(data_dir)
    server.stop()
    return server.url(database=database)


def run(url: str, statement: str) -> None:
    """Run one statement outside a transaction."""
    engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()
