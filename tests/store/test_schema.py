"""The schema: what migrations make, held against the models and the rules of the house."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from mira_ltmemory.migrations import HEAD, alembic_config
from mira_ltmemory.protocols import Actor, Change, SystemClock
from mira_ltmemory.store.database import APP_ROLE, Database
from mira_ltmemory.store.models import EXEMPT_TABLES, JOURNALED, SCHEMA, metadata
from mira_ltmemory.store.unit_of_work import Store


def tables(database: Database) -> Iterator[tuple[str, bool, bool]]:
    with database.engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT relname, relrowsecurity, relforcerowsecurity FROM pg_class "
                "WHERE relnamespace = CAST(:schema AS regnamespace) AND relkind IN ('r', 'p')"
            ),
            {"schema": SCHEMA},
        ).all()
    yield from rows


def test_migrations_make_what_the_models_say(database: Database) -> None:
    with database.owner() as connection:
        command.check(alembic_config(connection, metadata))


def test_head_is_the_newest_script(database: Database) -> None:
    with database.owner() as connection:
        assert ScriptDirectory.from_config(alembic_config(connection, metadata)).get_current_head() == HEAD


def test_every_table_forces_row_level_security_but_the_exempt_ones(database: Database) -> None:
    found = {name: (enabled, forced) for name, enabled, forced in tables(database)}
    assert {name for name, secured in found.items() if secured != (True, True)} == EXEMPT_TABLES
    assert {"users", "embedding_models", "alembic_version"} == EXEMPT_TABLES


def test_every_users_table_has_a_key_that_begins_with_the_user(database: Database) -> None:
    for table in metadata.sorted_tables:
        if table.name not in EXEMPT_TABLES:
            assert next(iter(table.primary_key.columns)).name == "user_id", table.name
            for constraint in table.constraints:
                columns = list(getattr(constraint, "columns", []))
                if type(constraint).__name__ in ("UniqueConstraint", "ForeignKeyConstraint") and columns:
                    names = {column.name for column in columns}
                    assert "user_id" in names or names == {"model_id"}, constraint


def test_version_tables_have_the_columns_of_their_table_and_who_ended_it(database: Database) -> None:
    with database.engine.connect() as connection:
        for table in JOURNALED:
            name = table.__tablename__
            columns = [
                connection.execute(
                    text(
                        "SELECT column_name, data_type FROM information_schema.columns "
                        "WHERE table_schema = :schema AND table_name = :name ORDER BY ordinal_position"
                    ),
                    {"schema": SCHEMA, "name": each},
                ).all()
                for each in (name, f"{name}_versions")
            ]
            # A column that a later migration adds stands behind ended_by.
            assert sorted(columns[1]) == sorted([*columns[0], ("ended_by", "bigint")])


def test_connections_run_as_a_role_that_sees_no_other_user(database: Database) -> None:
    with database.engine.connect() as connection:
        row = connection.execute(
            text(
                "SELECT rolname, rolsuper, rolbypassrls, current_user = session_user FROM pg_roles "
                "WHERE rolname = current_user"
            )
        ).one()
    assert tuple(row) == (APP_ROLE, False, False, True)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM ltmemory.change_sets",
        "UPDATE ltmemory.change_sets SET actor = 'user'",
        "DELETE FROM ltmemory.blocks_versions",
        "UPDATE ltmemory.blocks_versions SET content = ''",
        "DELETE FROM ltmemory.vectors",
        "TRUNCATE ltmemory.messages",
        "DROP TABLE ltmemory.blocks",
        "ALTER TABLE ltmemory.blocks DISABLE ROW LEVEL SECURITY",
        "INSERT INTO ltmemory.embedding_models VALUES (9, 'x', 'x', 1, 1, true)",
    ],
)
def test_the_application_cannot_rewrite_history(store: Store, statement: str) -> None:
    with store.database.engine.connect() as connection, pytest.raises(DBAPIError, match="permission|must be owner"):
        connection.execute(text(statement))


def test_a_connection_without_a_user_sees_and_writes_nothing(database: Database, store: Store) -> None:
    with store.write(Change(Actor.SYSTEM, "test")):
        pass
    with database.engine.connect() as connection:
        for name, _, _ in tables(database):
            if name not in EXEMPT_TABLES:
                assert connection.execute(text(f"SELECT count(*) FROM {SCHEMA}.{name}")).scalar() == 0, name
        with pytest.raises(DBAPIError, match="row-level security"):
            connection.execute(text(f"INSERT INTO {SCHEMA}.user_states (user_id) VALUES (:id)"), {"id": uuid.uuid4()})


def test_a_change_outside_a_change_set_is_refused_by_the_database(store: Store) -> None:
    other = Store(store.database, store.user_id, SystemClock())
    with store.write(Change(Actor.SYSTEM, "test")) as unit:
        unit.passages.execute(
            "INSERT INTO ltmemory.conversations (user_id, id, version, change_set_id, origin, metadata, external_id) "
            "VALUES (:user_id, :id, 1, :change, 'user', '{}', 'c')",
            id=uuid.uuid4(),
            change=unit.change_set_id,
        )
    with pytest.raises(Exception, match="changes need a change set"), other.upkeep() as unit:
        unit.passages.execute("UPDATE ltmemory.conversations SET title = 'x' WHERE user_id = :user_id")
