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
OLD_PASSAGE, OLD_CONVERSATION, OLD_MESSAGE = (uuid.uuid5(USER, name) for name in ("gone", "old talk", "old message"))
REVISIONS = [f"{number:04}" for number in range(1, int(HEAD))]

_ROW = "user_id, id, version, change_set_id, origin, metadata"

# Raw SQL of the schema as it was: the models of today know columns that came later. Hashes, terms and postings are
# written out as that schema's own code wrote them: the first 16 bytes of a text's SHA-256; (term int8, count uint2) for
# each stem; (document int4, count uint2, words uint2) for each document.
KEPT_HASH, SAID_HASH, GONE_HASH = (
    "8310d707-9cb9-3f0e-9aee-ceae6491ef5b", "08cd6c9d-faa7-e6cb-8c26-6b1417378551",
    "dab02036-aecb-3fb8-07bf-bd3cc7d68cff",
)  # fmt: skip
DATA = f"""
INSERT INTO ltmemory.users (id) VALUES ('{USER}');
INSERT INTO ltmemory.user_states (user_id, last_change_set_id) VALUES ('{USER}', 5);
INSERT INTO ltmemory.change_sets (user_id, id, actor, tool, created_at, metadata) VALUES
    ('{USER}', 1, 'system', 'configure', '2025-01-01Z', '{{}}'),
    ('{USER}', 2, 'model', 'memory_rethink', '2025-01-02Z', '{{}}'),
    ('{USER}', 3, 'user', 'import', '2025-01-03Z', '{{}}'),
    ('{USER}', 4, 'user', 'import', '2025-01-04Z', '{{}}'),
    ('{USER}', 5, 'user', 'edit', '2025-01-05Z', '{{}}');

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
    '{SAID_HASH}', '2025-01-03Z');
INSERT INTO ltmemory.passages ({_ROW}, content, content_hash, tags, tier, said_at)
    VALUES ('{USER}', '{PASSAGE}', 1, 3, 'user', '{{"a": 1}}', 'kept text', '{KEPT_HASH}', '{{x,y}}', 'hot',
    '2025-01-03Z');
INSERT INTO ltmemory.sources ({_ROW}, kind, row_id, source_kind, source_id)
    VALUES ('{USER}', '{uuid.uuid5(USER, "source")}', 1, 3, 'import', '{{}}', 'passage', '{PASSAGE}', 'message',
    '{MESSAGE}');

SELECT set_config('ltmemory.change_set_id', '4', true);
INSERT INTO ltmemory.conversations ({_ROW}, external_id, title)
    VALUES ('{USER}', '{OLD_CONVERSATION}', 1, 4, 'import', '{{}}', 'old c', 'old title');
INSERT INTO ltmemory.messages ({_ROW}, conversation_id, external_id, position, role, content, content_hash, said_at)
    VALUES ('{USER}', '{OLD_MESSAGE}', 1, 4, 'user', '{{}}', '{OLD_CONVERSATION}', 'm', 1, 'user', 'gone text',
    '{GONE_HASH}', '2025-01-04Z');
INSERT INTO ltmemory.passages ({_ROW}, content, content_hash, tags, tier, said_at)
    VALUES ('{USER}', '{OLD_PASSAGE}', 1, 4, 'user', '{{}}', 'gone text', '{GONE_HASH}', '{{}}', 'hot', '2025-01-04Z');
INSERT INTO ltmemory.sources ({_ROW}, kind, row_id, source_kind, source_id)
    VALUES ('{USER}', '{uuid.uuid5(USER, "old source")}', 1, 4, 'import', '{{}}', 'passage', '{OLD_PASSAGE}', 'message',
    '{OLD_MESSAGE}');
SELECT set_config('ltmemory.change_set_id', '5', true);
UPDATE ltmemory.conversations SET title = 'new title' WHERE id = '{OLD_CONVERSATION}';
DELETE FROM ltmemory.sources WHERE change_set_id = 4;
DELETE FROM ltmemory.messages WHERE id = '{OLD_MESSAGE}';
DELETE FROM ltmemory.passages WHERE id = '{OLD_PASSAGE}';

INSERT INTO ltmemory.embedding_models (id, name, sha256, dimension, max_tokens, active)
    VALUES (1, 'words', '{"0" * 64}', 384, 10000, true);
CREATE INDEX hnsw_vectors_1_message ON ltmemory.vectors USING hnsw ((embedding::halfvec(384)) halfvec_cosine_ops)
    WHERE model_id = 1 AND kind = 'message';
CREATE INDEX hnsw_vectors_1_passage ON ltmemory.vectors USING hnsw ((embedding::halfvec(384)) halfvec_cosine_ops)
    WHERE model_id = 1 AND kind = 'passage';
INSERT INTO ltmemory.vectors (user_id, kind, row_id, model_id, content_hash, embedding) VALUES
    ('{USER}', 'passage', '{PASSAGE}', 1, '{KEPT_HASH}', array_fill(0.05::real, ARRAY[384])::halfvec),
    ('{USER}', 'passage', '{OLD_PASSAGE}', 1, '{GONE_HASH}', array_fill(0.05::real, ARRAY[384])::halfvec);
INSERT INTO ltmemory.pending_embeddings (user_id, kind, row_id, enqueued_by)
    VALUES ('{USER}', 'message', '{MESSAGE}', 3);

-- The message waits to be packed; the passage is packed; a word that no text of today has fills a block.
INSERT INTO ltmemory.word_totals (user_id, kind, documents, length, next_document, packed) VALUES
    ('{USER}', 1, 1, 2, 241, 239), ('{USER}', 2, 1, 2, 1, 0);
INSERT INTO ltmemory.word_documents (user_id, kind, document, length, row_id, terms) VALUES
    ('{USER}', 1, 240, 2, '{MESSAGE}', '\\x3515600618782acf01005f7e6a78cf15e1d70100'),
    ('{USER}', 2, 0, 2, '{PASSAGE}', '\\x4d8ae31c6130b0880100d7f35fa228381a1c0100');
INSERT INTO ltmemory.word_terms (user_id, term, kind, documents, postings) VALUES
    ('{USER}', -8597318494995641779, 2, 1, '\\x0000000001000200'),
    ('{USER}', 2024992729630503895, 2, 1, '\\x0000000001000200');
INSERT INTO ltmemory.word_blocks (user_id, term, kind, first_document, postings) SELECT '{USER}', 7, 1, 0,
    string_agg(set_byte('\\x0000000001000200', 0, n), '' ORDER BY n) FROM generate_series(0, 239) n;

INSERT INTO ltmemory.jobs (user_id, name, cron, timezone, consecutive_failures)
    VALUES ('{USER}', 'health_check', '0 * * * *', 'UTC', 0);
"""
SINCE_0002 = f"""
INSERT INTO ltmemory.snapshots (user_id, id, name, moment, created_at)
    VALUES ('{USER}', '{uuid.uuid5(USER, "snapshot")}', 'then', 1, '2025-01-01Z');
INSERT INTO ltmemory.tombstones (user_id, kind, row_id, receipt_id, erased_at)
    VALUES ('{USER}', 'message', '{uuid.uuid5(USER, "erased")}', '{uuid.uuid5(USER, "receipt")}', '2025-01-02Z');
"""
_GRAPH = f"""
SELECT set_config('ltmemory.change_set_id', '{{change}}', true);
INSERT INTO ltmemory.entities ({_ROW}, type, name, content, content_hash)
    SELECT '{USER}', uuid_in(md5('{{made}}' || n)::cstring), 1, {{change}}, 'user', '{{{{}}}}', 'person', 'Anna',
    'Anna', '{GONE_HASH}' FROM generate_series(0, 1) n;
INSERT INTO ltmemory.entity_aliases ({_ROW}, entity_id, alias, key)
    SELECT '{USER}', id, 1, {{change}}, 'user', '{{{{}}}}', id, 'Anna', 'anna' FROM ltmemory.entities
    WHERE change_set_id = {{change}};
INSERT INTO ltmemory.mentions ({_ROW}, entity_id, source_kind, source_id, start_at, end_at, said_at, confidence, method)
    SELECT '{USER}', id, 1, {{change}}, 'user', '{{{{}}}}', id, 'message', '{MESSAGE}', 0, 4, '2025-01-03Z', 1, 'rule'
    FROM ltmemory.entities WHERE change_set_id = {{change}};
INSERT INTO ltmemory.relations ({_ROW}, subject_id, predicate, object_id, confidence, inferred)
    SELECT '{USER}', id, 1, {{change}}, 'user', '{{{{}}}}', id, 'knows', id, 1, false
    FROM ltmemory.entities WHERE change_set_id = {{change}};
INSERT INTO ltmemory.entity_merges ({_ROW}, entity_id, into_id, verdict)
    SELECT '{USER}', min(id::text)::uuid, 1, {{change}}, 'user', '{{{{}}}}', min(id::text)::uuid, max(id::text)::uuid,
    'same' FROM ltmemory.entities WHERE change_set_id = {{change}};
"""
# Each kind of row of the graph: those of change set 3 are there, those of 4 are gone since 5.
SINCE_0007 = (
    _GRAPH.format(change=3, made="entity")
    + _GRAPH.format(change=4, made="gone entity")
    + "SELECT set_config('ltmemory.change_set_id', '5', true);"
    + "".join(
        f"DELETE FROM ltmemory.{table} WHERE change_set_id = 4;"
        for table in ("entity_merges", "relations", "mentions", "entity_aliases", "entities")
    )
)
SINCE_0006 = f"""
INSERT INTO ltmemory.uses (user_id, kind, row_id, day, count)
    VALUES ('{USER}', 'passage', '{PASSAGE}', '2025-01-03', 2);
INSERT INTO ltmemory.consolidation_marks (user_id, step, through, row_id, at)
    VALUES ('{USER}', 'duplicates', 3, '{PASSAGE}', '2025-01-04Z');
"""
SINCE_0008 = f"""
INSERT INTO ltmemory.cold_texts (user_id, kind, row_id, content_hash, length, terms)
    VALUES ('{USER}', 'message', '{uuid.uuid5(USER, "erased")}', '{GONE_HASH}', 2, '');
"""
SINCE_0017 = f"""
INSERT INTO ltmemory.cold_texts (user_id, kind, row_id, content_hash)
    VALUES ('{USER}', 'message', '{uuid.uuid5(USER, "erased")}', '{GONE_HASH}');
"""
SINCE_0010 = f"""
INSERT INTO ltmemory.token_vectors (user_id, kind, row_id, model_id, content_hash, tokens)
    VALUES ('{USER}', 'passage', '{OLD_PASSAGE}', 1, '{GONE_HASH}', '');
"""
SINCE_0013 = f"""
INSERT INTO ltmemory.search_calibrations (user_id, kind, way, mean, spread, questions, documents, measured_at)
    VALUES ('{USER}', 'message', 'tokens', 0.5, 0.1, 30, 1, '2025-01-03Z');
"""
SINCE_0014 = f"""
INSERT INTO ltmemory.user_models (user_id, model_id, state, changed_at)
    VALUES ('{USER}', 1, 'active', '2025-01-03Z');
"""
SINCE_0015 = f"""
INSERT INTO ltmemory.embedding_caches (user_id, secret, hits, misses, since)
    VALUES ('{USER}', 'x', 1, 2, '2025-01-03Z');
INSERT INTO ltmemory.cached_embeddings (user_id, model_id, text_key, vector, used_at)
    VALUES ('{USER}', 1, '{GONE_HASH}', decode(repeat('0000803f', 384), 'hex'), '2025-01-03Z');
"""
SINCE_0016 = f"""
INSERT INTO ltmemory.held_edits (user_id, operation, label, arguments, before, after, sources, held_at)
    VALUES ('{USER}', 'append', 'human', '{{}}', '', 'x', '[]', '2025-01-03Z');
"""
SINCE_0011 = f"""
INSERT INTO ltmemory.batch_states (user_id, through) VALUES ('{USER}', 3);
INSERT INTO ltmemory.batch_conversations (user_id, conversation_id) VALUES ('{USER}', '{CONVERSATION}');
INSERT INTO ltmemory.batch_messages (user_id, message_id, conversation_id, position, state, attempts)
    VALUES ('{USER}', '{MESSAGE}', '{CONVERSATION}', 1, 'done', 0);
"""
RENAMED = {"valid_to": "valid_until"}
"""Columns that have another name since."""

GONE = {"cold_texts": {"length", "terms"}}
"""Derived columns that are no more."""

EMPTY: frozenset[str] = frozenset()
"""Tables of an earlier schema that the rows above leave empty."""


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
            connection.exec_driver_sql(SINCE_0002)
        if revision >= "0006":
            connection.exec_driver_sql(SINCE_0006)
        if revision >= "0007":
            connection.exec_driver_sql(SINCE_0007)
        if revision >= "0008":
            connection.exec_driver_sql(SINCE_0008 if revision < "0017" else SINCE_0017)
        if revision >= "0010":
            connection.exec_driver_sql(SINCE_0010)
        if revision >= "0011":
            connection.exec_driver_sql(SINCE_0011)
        if revision >= "0013":
            connection.exec_driver_sql(SINCE_0013)
        if revision >= "0014":
            connection.exec_driver_sql(SINCE_0014)
        if revision >= "0015":
            connection.exec_driver_sql(SINCE_0015)
        if revision >= "0016":
            connection.exec_driver_sql(SINCE_0016)
        before = contents(connection)
    assert {table for table, rows in before.items() if not rows} == EMPTY
    with engine.begin() as connection:
        upgrade(connection, "head")
    with engine.begin() as connection:
        connection.execute(user, {"user": str(USER)})
        after = contents(connection)
    for table, rows in before.items():
        columns = (rows[0] if rows else {}).keys() - GONE.get(table, set())
        kept = [{name: row[RENAMED.get(name, name)] for name in sorted(columns)} for row in after[table]]
        were = [{name: row[name] for name in sorted(columns)} for row in rows]
        assert sorted(map(repr, kept)) == sorted(map(repr, were)), table

    memory = open_memory(
        clock=clock, embedder=WordEmbedder(), database_url=empty_url, user_id=USER, core_memory_blocks={"human": 2048}
    )
    try:
        assert memory.blocks.get("human").content == "new text"
        assert memory.as_of(1).block("human").content == "old text"
        assert [hit.content for hit in memory.as_of(3).passages()] == ["kept text"]
        assert {hit.content for hit in memory.as_of(4).passages()} == {"kept text", "gone text"}
        assert [hit.content for hit in memory.archival.search("kept").hits] == ["kept text"]
        assert [hit.content for hit in memory.recall.search("said").hits] == ["said once"]
        memory.process_pending()
        with memory.store.read() as unit:
            assert (unit.vectors.pending_count(), unit.vectors.count()) == (0, 3)
        memory.history.undo(2, Change(Actor.USER, "undo"), with_dependents=True)
        assert memory.blocks.get("human").content == "old text"
        memory.history.undo(3, Change(Actor.USER, "undo"))
        assert (memory.archival.count(), memory.recall.count()) == (0, 0)
        memory.history.undo(5, Change(Actor.USER, "undo"))
        assert (memory.archival.count(), memory.recall.count()) == (1, 1)
        assert [hit.content for hit in memory.archival.search("gone").hits] == ["gone text"]
        if revision >= "0002":
            assert memory.as_of("then").block("human").content == "old text"
    finally:
        memory.close()
