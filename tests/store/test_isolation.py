"""Isolation, generated from the catalog: no table, index, view or function shows or changes another user's rows.

What a later migration adds is walked without being named here; what cannot be walked fails until it is listed.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from isolation import TwoUsers
from owners import make_plain_database, run, superuser_of
from places import admin_fixture, place_fixture, plain_url_fixture, two_fixture  # noqa: F401
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from mira_ltmemory.errors import IsolationError, StoreError
from mira_ltmemory.protocols import Actor, Change
from mira_ltmemory.store.database import APP_ROLE, EMBEDDED_DATABASE, Database, open_database
from mira_ltmemory.store.erasable import GRAPH_TABLES
from mira_ltmemory.store.models import EXEMPT_TABLES, SCHEMA
from mira_ltmemory.store.unit_of_work import Store

EXEMPT_COLUMNS = {
    "users": {"id", "created_at"},
    "embedding_models": {
        "id",
        "name",
        "sha256",
        "dimension",
        "max_tokens",
        "active",
        "created_at",
        "token_space",
        "path",
        "tokenizer",
        "stamp",
    },
    "alembic_version": {"version_num"},
}
"""Tables without row-level security, and all that they hold: nothing that a user said."""

HARMLESS = {"keep_version()", "keep_tags()", "tag_hash(text)", "number_block()", "erasing_user()"}
"""Functions that run with the caller's rights."""


def _forget(two: TwoUsers, connection: Connection) -> None:
    """Let the thief's transaction be an erasure: the functions then do all that they can."""
    number = two.thief.history.log(1)[0].id + 1_000
    connection.execute(
        text(
            "INSERT INTO ltmemory.change_sets (user_id, id, actor, tool, created_at, metadata) "
            "VALUES (:user, :id, 'user', 'forget', now(), '{}')"
        ),
        {"user": two.thief.store.user_id, "id": number},
    )
    connection.execute(text("SELECT set_config('ltmemory.change_set_id', CAST(:id AS text), true)"), {"id": number})


def _erase_rows(two: TwoUsers, connection: Connection) -> None:
    _forget(two, connection)
    for table in ("messages", "passages", "blocks", "conversations", "sources", *GRAPH_TABLES.values()):
        ids = [row["id"] for row in [*two.victims(table), *two.victims(f"{table}_versions")]]
        gone = connection.execute(
            text("SELECT live, versions FROM ltmemory.erase_rows(:table, CAST(:ids AS uuid[]))"),
            {"table": table, "ids": ids},
        ).one()
        assert tuple(gone) == (0, 0), table


def _erase_vectors(two: TwoUsers, connection: Connection) -> None:
    _forget(two, connection)
    for row in two.victims("vectors", "kind, row_id"):
        statement = text("SELECT ltmemory.erase_vectors(:kind, CAST(:ids AS uuid[]))")
        assert connection.execute(statement, {"kind": row["kind"], "ids": [row["row_id"]]}).scalar() == 0


def _erase_in_place(two: TwoUsers, connection: Connection) -> None:
    _forget(two, connection)
    snapshot = next(row for row in two.victims("snapshots") if two.token in row["name"])
    attempt = {"key": json.dumps({"id": str(snapshot["id"])})}
    statement = "SELECT ltmemory.erase_in_place('snapshots', CAST(:key AS jsonb), 'name', '{}')"
    with pytest.raises(DBAPIError, match="no row"), connection.begin_nested():
        connection.execute(text(statement), attempt)


def _note_erasure(two: TwoUsers, connection: Connection) -> None:
    _forget(two, connection)
    numbers = [row["id"] for row in two.victims("change_sets", "id")]
    connection.execute(text("SELECT ltmemory.note_erasure('{}', CAST(:ids AS bigint[]))"), {"ids": numbers})


def _vacuum_history(two: TwoUsers, connection: Connection) -> None:
    with two.thief.store.read() as unit:
        bound = unit.journal.last_id()
    connection.execute(text("SELECT * FROM ltmemory.vacuum_history(:bound)"), {"bound": bound}).all()


def _drop_frozen_vectors(two: TwoUsers, connection: Connection) -> None:
    assert connection.execute(text("SELECT ltmemory.drop_frozen_vectors()")).scalar() == 0


def _drop_model_vectors(two: TwoUsers, connection: Connection) -> None:
    for row in two.victims("vectors", "DISTINCT model_id"):
        # The thief's own model is in use, so that the function refuses; and what is not, is the victim's.
        connection.execute(text("DELETE FROM ltmemory.user_models WHERE true"))
        before = two.counted("vectors")
        statement = text("SELECT ltmemory.drop_model_vectors(CAST(:model AS smallint))")
        connection.execute(statement, {"model": row["model_id"]})
        assert two.counted("vectors") == before


ATTACKS: dict[str, Callable[[TwoUsers, Connection], None]] = {
    "erase_rows(text, uuid[])": _erase_rows,
    "erase_vectors(text, uuid[])": _erase_vectors,
    "erase_in_place(text, jsonb, text, jsonb)": _erase_in_place,
    "note_erasure(jsonb, bigint[])": _note_erasure,
    "vacuum_history(bigint)": _vacuum_history,
    "drop_frozen_vectors()": _drop_frozen_vectors,
    "drop_model_vectors(smallint)": _drop_model_vectors,
}
"""For each function that runs with its owner's rights: the thief calls it for the victim's rows, in vain."""


def relations(two: TwoUsers, kinds: str) -> list[str]:
    with two.as_superuser() as connection:
        return [
            row[0]
            for row in connection.execute(
                text(
                    "SELECT relname FROM pg_class WHERE relnamespace = CAST(:schema AS regnamespace) "
                    'AND relkind = ANY(CAST(:kinds AS "char"[])) ORDER BY relname'
                ),
                {"schema": SCHEMA, "kinds": list(kinds)},
            )
        ]


def user_tables(two: TwoUsers) -> list[str]:
    return [table for table in relations(two, "rp") if table not in EXEMPT_TABLES]


def test_connections_have_no_way_around(two: TwoUsers) -> None:
    with two.as_thief() as connection:
        role = connection.execute(
            text("SELECT rolname, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user")
        ).one()
        owner = connection.execute(
            text("SELECT tableowner = current_user FROM pg_tables WHERE tablename = 'blocks'")
        ).scalar()
        assert (role.rolsuper, role.rolbypassrls) == (False, False)
        # The plain owner cannot become the application role: forced policies must hold the owner itself.
        assert owner is (role.rolname != APP_ROLE)


def test_the_victim_has_rows_in_every_table(two: TwoUsers) -> None:
    """A table that a migration adds has to be filled by `make_two`, or its walk would prove nothing."""
    assert [table for table in user_tables(two) if not two.counted(table)] == []


def test_no_table_shows_or_loses_the_victims_rows(two: TwoUsers) -> None:
    before = two.victims_rows()
    victim = {"victim": two.victim.store.user_id}
    for table in user_tables(two):
        with two.as_thief() as connection:
            statement = text(f"SELECT count(*) FROM {SCHEMA}.{table} WHERE user_id = :victim")
            assert connection.execute(statement, victim).scalar() == 0, table
            visible = text(f"SELECT count(*) FROM {SCHEMA}.{table} t WHERE user_id IS DISTINCT FROM :thief")
            assert connection.execute(visible, {"thief": two.thief.store.user_id}).scalar() == 0, table
            told = text(f"SELECT count(*) FROM {SCHEMA}.{table} t WHERE t::text LIKE :any")
            assert connection.execute(told, {"any": f"%{two.secret}%"}).scalar() == 0, table
            for change in ("DELETE FROM", "UPDATE"):
                changing = "" if change == "DELETE FROM" else "SET user_id = user_id"
                _attempt(
                    connection, f"{change} {SCHEMA}.{table} {changing} WHERE user_id = :victim", victim, nothing=True
                )
    assert two.victims_rows() == before


def test_no_table_takes_a_row_in_the_victims_name(two: TwoUsers) -> None:
    before = two.victims_rows()
    for table in user_tables(two):
        with two.as_superuser() as connection:
            row = connection.execute(
                text(f"SELECT to_jsonb(t) FROM {SCHEMA}.{table} t WHERE user_id = :id LIMIT 1"),
                {"id": two.victim.store.user_id},
            ).scalar_one()
        # The same row, and one of a key that is free: both would be the victim's.
        for forged in (row, {**row, "id": str(uuid.uuid4())} if isinstance(row.get("id"), str) else row):
            with two.as_thief() as connection:
                _forget(two, connection)
                statement = (
                    f"INSERT INTO {SCHEMA}.{table} "
                    f"SELECT * FROM jsonb_populate_record(NULL::{SCHEMA}.{table}, CAST(:row AS jsonb))"
                )
                _attempt(connection, statement, {"row": json.dumps(forged)})
    assert two.victims_rows() == before


def _attempt(connection: Connection, statement: str, values: dict[str, Any], *, nothing: bool = False) -> None:
    """Run what must be refused; with ``nothing`` it may also find no row to change."""
    try:
        with connection.begin_nested():
            done = connection.execute(text(statement), values).rowcount
    except DBAPIError as error:
        assert "permission denied" in str(error) or "row-level security" in str(error), (statement, error)
    else:
        assert nothing, f"not refused: {statement}"
        assert done == 0, statement


def test_no_index_path_leads_to_the_victims_rows(two: TwoUsers) -> None:
    with two.as_superuser() as connection:
        indexes = connection.execute(
            text(
                "SELECT c.relname AS name, t.relname AS table, a.amname AS method, "
                "pg_get_indexdef(c.oid) AS definition, "
                "0 = ANY(i.indkey) AS expression, (SELECT array_agg(quote_ident(k.attname)) FROM pg_attribute k "
                "WHERE k.attrelid = t.oid AND k.attnum = ANY(i.indkey)) AS columns "
                "FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid "
                "JOIN pg_am a ON a.oid = c.relam WHERE t.relnamespace = CAST(:schema AS regnamespace)"
            ),
            {"schema": SCHEMA},
        ).all()
    walked = 0
    for index in indexes:
        if index.table in EXEMPT_TABLES:
            continue
        walked += 1
        if index.method == "hnsw":
            _walk_vectors(two, index)
            continue
        assert index.method == "btree", f"{index.name}: say here how {index.method} is walked"
        assert not index.expression, f"{index.name}: say here how its expression is walked"
        where = " AND ".join(f"t.{column} IS NOT DISTINCT FROM v.{column}" for column in index.columns)
        rows = two.victims(index.table, f"to_jsonb({index.table}.*) AS row")
        with two.as_thief() as connection:
            connection.execute(text("SET LOCAL enable_seqscan = off"))
            for row in rows:
                found = connection.execute(
                    text(
                        "SELECT t.user_id FROM "
                        f"jsonb_populate_record(NULL::{SCHEMA}.{index.table}, CAST(:row AS jsonb)) v "
                        f"JOIN {SCHEMA}.{index.table} t ON {where}"
                    ),
                    {"row": json.dumps(row["row"])},
                )
                assert {each.user_id for each in found} <= {two.thief.store.user_id}, index.name
    assert walked > 20


def _walk_vectors(two: TwoUsers, index: Any) -> None:
    dimension = int(index.definition.split("halfvec(")[1].split(")")[0])
    where = index.definition.split(" WHERE ")[1]
    for row in two.victims("vectors", "embedding::text AS vector"):
        if row["vector"].count(",") + 1 != dimension:
            continue  # the index of another test's model
        with two.as_thief() as connection:
            connection.execute(text("SET LOCAL enable_seqscan = off"))
            connection.execute(text("SET LOCAL enable_sort = off"))
            found = connection.execute(
                text(
                    f"SELECT user_id FROM {SCHEMA}.vectors WHERE {where} "
                    f"ORDER BY embedding::halfvec({dimension}) <=> CAST(:vector AS halfvec({dimension})) LIMIT 40"
                ),
                {"vector": row["vector"]},
            )
            assert {each.user_id for each in found} <= {two.thief.store.user_id}


def test_views_read_with_the_readers_rights(two: TwoUsers) -> None:
    assert relations(two, "m") == [], "a materialised view knows no row-level security"
    views = relations(two, "v")
    assert {"history", "snapshot_rows"} <= set(views)
    for view in views:
        with two.as_superuser() as connection:
            options = connection.execute(
                text("SELECT reloptions FROM pg_class WHERE oid = CAST(:view AS regclass)"),
                {"view": f"{SCHEMA}.{view}"},
            ).scalar()
            assert options and {"security_invoker=true", "security_invoker=on"} & set(options), view
        assert two.counted(view), f"{view} shows nothing of the victim: fill it in make_two"
        with two.as_thief() as connection:
            rows = connection.execute(text(f"SELECT v.user_id, v::text FROM {SCHEMA}.{view} v")).all()
            assert {row[0] for row in rows} <= {two.thief.store.user_id}, view
            assert not any(two.secret in row[1] for row in rows), view


def functions(two: TwoUsers) -> list[Any]:
    with two.as_superuser() as connection:
        return list(
            connection.execute(
                text(
                    "SELECT proname || '(' || pg_catalog.oidvectortypes(proargtypes) || ')' AS name, "
                    "prosecdef AS definer, coalesce(proconfig, '{}') AS config, "
                    "has_function_privilege('public', oid, 'EXECUTE') AS everyone, "
                    "has_function_privilege(:app, oid, 'EXECUTE') AS app "
                    "FROM pg_proc WHERE pronamespace = CAST(:schema AS regnamespace)"
                ),
                {"schema": SCHEMA, "app": APP_ROLE},
            )
        )


def test_every_function_is_listed_and_the_definers_are_closed(two: TwoUsers) -> None:
    found = functions(two)
    assert {each.name for each in found if each.definer} == set(ATTACKS)
    assert {each.name for each in found if not each.definer} == HARMLESS
    for each in found:
        if each.definer:
            assert any(setting.startswith("search_path=") for setting in each.config), each.name
            assert all(setting.split(",")[-1].strip() == "pg_temp" for setting in each.config), each.name
            assert (each.everyone, each.app) == (False, True), each.name


@pytest.mark.parametrize("name", ATTACKS)
def test_no_function_reaches_the_victims_rows(two: TwoUsers, name: str) -> None:
    before = two.victims_rows()
    with two.database.engine.begin() as connection:
        connection.execute(
            text("SELECT set_config('ltmemory.user_id', CAST(:id AS text), true)"), {"id": two.thief.store.user_id}
        )
        ATTACKS[name](two, connection)
    assert two.victims_rows() == before


def test_no_definer_function_works_without_a_user(two: TwoUsers) -> None:
    arguments = {
        "erase_rows(text, uuid[])": "'messages', '{}'",
        "erase_vectors(text, uuid[])": "'message', '{}'",
        "erase_in_place(text, jsonb, text, jsonb)": "'blocks', '{}', 'content', '{}'",
        "note_erasure(jsonb, bigint[])": "'{}', '{}'",
        "vacuum_history(bigint)": "0",
        "drop_frozen_vectors()": "",
        "drop_model_vectors(smallint)": "CAST(1 AS smallint)",
    }
    for name in ATTACKS:
        call = f"{SCHEMA}.{name.split('(')[0]}({arguments[name]})"
        with two.database.engine.connect() as connection, pytest.raises(DBAPIError, match="needs the user"):
            connection.execute(text(f"SELECT {call}"))


def test_exempt_tables_hold_no_users_text(two: TwoUsers) -> None:
    assert set(EXEMPT_COLUMNS) == EXEMPT_TABLES
    with two.as_superuser() as connection:
        for table, columns in EXEMPT_COLUMNS.items():
            rows = connection.execute(text(f"SELECT t::text FROM {SCHEMA}.{table} t")).scalars()
            assert not any(two.token in row or two.secret in row for row in rows), table
            found = connection.execute(
                text(
                    "SELECT attname FROM pg_attribute WHERE attrelid = CAST(:table AS regclass) "
                    "AND attnum > 0 AND NOT attisdropped"
                ),
                {"table": f"{SCHEMA}.{table}"},
            ).scalars()
            assert set(found) == columns, table


def test_a_pooled_connection_keeps_nothing_of_its_last_user(two: TwoUsers) -> None:
    database = open_database(two.database.engine.url.render_as_string(False), pool_size=1, max_overflow=0)
    stores = [Store(database, memory.store.user_id, memory.clock) for memory in (two.victim, two.thief)]

    def fail_in_python(store: Store) -> None:
        with pytest.raises(ValueError, match="on purpose"), store.write(Change(Actor.SYSTEM, "test")):
            raise ValueError("on purpose")

    def fail_in_sql(store: Store) -> None:
        with pytest.raises(StoreError), store.read() as unit:
            unit.messages.execute("SELECT 1 / 0")

    def succeed(store: Store) -> None:
        with store.write(Change(Actor.SYSTEM, "test")) as unit:
            unit.messages.count()

    for use in (succeed, fail_in_python, fail_in_sql):
        for store in stores:
            use(store)
            with database.engine.connect() as connection:
                left = connection.execute(
                    text(
                        "SELECT coalesce(current_setting('ltmemory.user_id', true), ''), "
                        "coalesce(current_setting('ltmemory.change_set_id', true), '')"
                    )
                ).one()
                assert tuple(left) == ("", "")
                assert connection.execute(text("SELECT count(*) FROM ltmemory.messages")).scalar() == 0
    database.close()


def test_a_role_that_sees_past_users_is_refused(postgres_dir: Path) -> None:
    """One that bypasses row-level security and may not become the application role."""
    server = superuser_of(postgres_dir, "postgres")
    url = make_plain_database(postgres_dir)
    name = url.split("://")[1].split("@")[0]
    run(server, f"ALTER ROLE {name} BYPASSRLS")
    with pytest.raises(IsolationError, match=f"'{name}' bypasses row-level security and cannot become"):
        open_database(url)


def test_a_superuser_becomes_the_application_role(postgres_dir: Path) -> None:
    opened: Database = open_database(superuser_of(postgres_dir, EMBEDDED_DATABASE))
    with opened.engine.connect() as connection:
        assert connection.execute(text("SELECT current_user")).scalar() == APP_ROLE
        assert connection.execute(text("SELECT count(*) FROM ltmemory.messages")).scalar() == 0
    opened.close()
