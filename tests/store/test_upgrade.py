"""Upgrades from every earlier schema with data in it: nothing is lost, and the new version works on it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from doubles import FixedClock, WordEmbedder
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from mira_ltmemory.composition import open_memory
from mira_ltmemory.migrations import HEAD, alembic_config
from mira_ltmemory.protocols import Actor, Change
from mira_ltmemory.store.database import Database
from mira_ltmemory.store.embedded import EmbeddedServer
from mira_ltmemory.store.models import metadata

USER = uuid.uuid5(uuid.NAMESPACE_URL, "upgrade")
BLOCK, PASSAGE, CONVERSATION, MESSAGE = (uuid.uuid5(USER, name) for name in ("block", "passage", "talk", "message"))
HASH = uuid.uuid5(USER, "hash")
REVISIONS = [f"{number:04}" for number in range(1, int(HEAD))]

_ROW = "user_id, id, version, change_set_id, origin, metadata"

# Raw SQL of the schema as it was: the models of today know columns that came later.
DATA = f"""
INSERT INTO ltmemory.users (id) VALUES ('{USER}');
INSERT INTO ltmemory.user_states (user_id, last_change_set_id) VALUES ('{USER}', 3);
INSERT INTO ltmemory.change_sets (user_id, id, actor, tool, created_at, metadata) VALUES
    ('{USER}', 1, 'system', 'configure', '2025-01-01Z', '{{}}'),
    ('{USER}', 2, 'model', 'memory_rethink', '2025-01-02Z', '{{}}'),
    ('{USER}', 3, 'user', 'import', '2025-01-03Z', '{{}}');
SELECT set_config('ltmemory.change_set_id', '1', true);
INSERT INTO ltmemory.blocks ({_ROW}, label, description, content, char_limit, read_only, position)
    VALUES ('{USER}', '{BLOCK}', 1, 1, 'user', '{{}}', 'human', '', 'old text', 2048, false, 1);
SELECT set_config('ltmemory.change_set_id', '2', true);
UPDATE ltmemory.blocks SET content = 'new text' WHERE id = '{BLOCK}';
SELECT set_config('ltmemory.change_set_id', '3', true);
INSERT INTO ltmemory.conversations ({_ROW}, external_id)
    VALUES ('{USER}', '{CONVERSATION}', 1, 3, 'import', '{{}}', 'c');
INSERT INTO ltmemory.messages ({_ROW}, conversation_id, external_id, position, role, content, content_hash, said_at)
    VALUES ('{USER}', '{MESSAGE}', 1, 3, 'user', '{{}}', '{CONVERSATION}', 'm', 1, 'user', 'said once',
    '{HASH}', '2025-01-03Z');
INSERT INTO ltmemory.passages ({_ROW}, content, content_hash, tags, tier, said_at)
    VALUES ('{USER}', '{PASSAGE}', 1, 3, 'user', '{{"a": 1}}', 'kept text', '{HASH}', '{{x,y}}', 'hot', '2025-01-03Z');
INSERT INTO ltmemory.jobs (user_id, name, cron, timezone, consecutive_failures)
    VALUES ('{USER}', 'health_check', '0 * * * *', 'UTC', 0);
"""
SNAPSHOT = (
    f"INSERT INTO ltmemory.snapshots (user_id, id, name, moment, created_at) "
    f"VALUES ('{USER}', '{uuid.uuid5(USER, 'snapshot')}', 'then', 1, '2025-01-01Z')"
)


def upgrade(connection: Connection, revision: str) -> None:
    command.upgrade(alembic_config(connection, metadata), revision)


def contents(connection: Connection) -> dict[str, list[Any]]:
    """Every row of every table that was there, with the columns that it had."""
    names = connection.execute(
        text(
            "SELECT relname FROM pg_class WHERE relnamespace = 'ltmemory'::regnamespace AND relkind = 'r' "
            "AND relname <> 'alembic_version' ORDER BY relname"
        )
    ).scalars()
    rows = {name: text(f"SELECT to_jsonb(t)::text FROM ltmemory.{name} t ORDER BY 1") for name in list(names)}
    return {name: [json.loads(row) for row in connection.execute(query).scalars()] for name, query in rows.items()}


@pytest.fixture(params=["superuser", "plain owner"])
def empty_url(request: pytest.FixtureRequest, postgres_dir: Any, database: Database) -> Iterator[str]:
    """A database of its own, without our schema."""
    server = EmbeddedServer.start(postgres_dir)
    name = f"upgrade_{uuid.uuid4().hex[:12]}"
    owner = "postgres" if request.param == "superuser" else name

    def run(base: str, *statements: str) -> None:
        engine = create_engine(server.url(database=base), isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with engine.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    if owner == name:
        run("postgres", f"CREATE ROLE {name} LOGIN NOSUPERUSER NOBYPASSRLS")
    run("postgres", f"CREATE DATABASE {name} OWNER {owner} TEMPLATE template0 ENCODING 'UTF8'")
    run(name, "CREATE EXTENSION vector SCHEMA public")
    yield server.url(database=name, user=owner)
    run("postgres", f"DROP DATABASE {name} WITH (FORCE)")
    server.stop()


def test_every_earlier_revision_is_tried(database: Database) -> None:
    with database.owner() as connection:
        scripts = ScriptDirectory.from_config(alembic_config(connection, metadata)).walk_revisions()
        assert sorted(script.revision for script in scripts) == [*REVISIONS, HEAD]


@pytest.mark.parametrize("revision", REVISIONS)
def test_data_of_an_earlier_schema_is_intact_and_in_use(empty_url: str, revision: str, clock: FixedClock) -> None:
    engine = create_engine(make_url(empty_url), poolclass=NullPool)
    user = text("SELECT set_config('ltmemory.user_id', :user, true)")
    with engine.begin() as connection:
        upgrade(connection, revision)
    with engine.begin() as connection:
        connection.execute(user, {"user": str(USER)})
        connection.exec_driver_sql(DATA)
        if revision >= "0002":
            connection.exec_driver_sql(SNAPSHOT)
        before = contents(connection)
    with engine.begin() as connection:
        upgrade(connection, "head")
    with engine.begin() as connection:
        connection.execute(user, {"user": str(USER)})
        after = contents(connection)
    for table, rows in before.items():
        assert len(after[table]) == len(rows), table
        for old, new in zip(rows, after[table], strict=True):
            assert {name: new[name] for name in old} == old

    memory = open_memory(
        clock=clock, embedder=WordEmbedder(), database_url=empty_url, user_id=USER, core_memory_blocks={"human": 2048}
    )
    try:
        assert memory.blocks.get("human").content == "new text"
        assert memory.as_of(1).block("human").content == "old text"
        assert [hit.content for hit in memory.as_of(3).passages()] == ["kept text"]
        memory.history.undo(2, Change(Actor.USER, "undo"), with_dependents=True)
        assert memory.blocks.get("human").content == "old text"
        memory.history.undo(3, Change(Actor.USER, "undo"))
        assert (memory.archival.count(), memory.recall.count()) == (0, 0)
        if revision >= "0002":
            assert memory.as_of("then").block("human").content == "old text"
    finally:
        memory.close()
