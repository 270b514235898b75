"""Vacuum: what goes for good, what snapshots keep, and what is refused afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from doubles import FixedClock, WordEmbedder
from journal_state import journal_state
from sqlalchemy import text

from mira_ltmemory.composition import MemoryManager, open_memory
from mira_ltmemory.errors import InvalidArgument, NotKept, StoreError
from mira_ltmemory.protocols import Actor, Change, JobRun
from mira_ltmemory.store.database import APP_ROLE, open_database

BY_MODEL = Change(Actor.MODEL, "test")
BY_USER = Change(Actor.USER, "test")


@pytest.fixture(params=["superuser", "plain owner"])
def any_memory(
    request: pytest.FixtureRequest, make_memory: Callable[..., MemoryManager], clock: FixedClock
) -> Iterator[MemoryManager]:
    """A memory on a database that a superuser owns, and on one whose owner is nobody special."""
    if request.param == "superuser":
        yield make_memory()
    else:
        url = request.getfixturevalue("plain_owner_url")
        name = f"user-{request.node.name}"
        memory = open_memory(clock=clock, embedder=WordEmbedder(), database_url=url, user_name=name)
        yield memory
        memory.close()


def write(memory: MemoryManager, clock: FixedClock, content: str) -> int:
    clock.advance(days=1)
    return memory.blocks.rethink("human", content, BY_MODEL).change_set_id


def test_versions_before_the_bound_go_and_later_ones_stay(any_memory: MemoryManager, clock: FixedClock) -> None:
    memory = any_memory
    sets = [write(memory, clock, content) for content in ("one", "two", "three", "four")]
    bound = clock.now() - timedelta(days=1)
    report = memory.retention.vacuum(bound)
    assert report.versions == {"blocks": 3}
    assert report.kept_from == sets[2]
    assert memory.as_of(bound).block("human").content == "three"
    assert memory.as_of(sets[3]).block("human").content == "four"
    assert memory.blocks.get("human").content == "four"
    for moment in (bound - timedelta(days=1), sets[1], 0 + sets[0]):
        with pytest.raises(NotKept, match=f"It is known from change set {sets[2]}"):
            memory.as_of(moment)


def test_a_view_that_was_opened_before_the_vacuum_refuses_too(memory: MemoryManager, clock: FixedClock) -> None:
    first = write(memory, clock, "one")
    write(memory, clock, "two")
    memory.archival.insert("a passage")
    view = memory.as_of(first)
    memory.retention.vacuum(clock.now())
    for read in (view.blocks, view.render, view.passages, lambda: view.search("passage")):
        with pytest.raises(NotKept):
            read()


def test_what_snapshots_name_stays(any_memory: MemoryManager, clock: FixedClock) -> None:
    memory = any_memory
    write(memory, clock, "one")
    named = write(memory, clock, "two")
    cat = memory.archival.insert("Byte the cat", ["pets"])
    dog = memory.archival.insert("Rex the dog")
    memory.snapshots.create("then")
    write(memory, clock, "three")
    assert dog.change_set_id is not None
    memory.history.undo(dog.change_set_id, BY_USER)
    write(memory, clock, "four")
    report = memory.retention.vacuum(clock.now())
    assert report.vectors == 0
    view = memory.as_of("then")
    assert view.block("human").content == "two"
    assert view.search("dog").hits[0].id == dog.id
    assert "cosine" in view.search("dog").hits[0].features
    with pytest.raises(NotKept):
        memory.as_of(named)
    memory.snapshots.restore("then")
    assert memory.blocks.get("human").content == "two"
    assert {hit.id for hit in memory.as_of(memory.history.log(1)[0].id).passages()} == {cat.id, dog.id}


def test_when_the_snapshot_goes_its_versions_and_vectors_go_with_the_next_vacuum(
    any_memory: MemoryManager, clock: FixedClock
) -> None:
    memory = any_memory
    dog = memory.archival.insert("Rex the dog")
    memory.archival.insert("Byte the cat")
    memory.snapshots.create("then")
    assert dog.change_set_id is not None
    memory.history.undo(dog.change_set_id, BY_USER)
    memory.retention.vacuum(clock.now())
    with memory.store.read() as unit:
        assert unit.vectors.count() == 2
    memory.snapshots.delete("then")
    report = memory.retention.vacuum(clock.now())
    assert (report.versions, report.vectors) == ({"passages": 1}, 1)
    with memory.store.read() as unit:
        assert unit.vectors.count() == 1
        left = unit.blocks.execute("SELECT content FROM ltmemory.history WHERE user_id = :user_id").scalars().all()
    assert "Rex the dog" not in left


def test_an_undo_of_what_was_vacuumed_is_refused(any_memory: MemoryManager, clock: FixedClock) -> None:
    memory = any_memory
    first, second = write(memory, clock, "one"), write(memory, clock, "two")
    memory.retention.vacuum(clock.now() - timedelta(days=1))
    before = journal_state(memory.store)
    with pytest.raises(NotKept, match=f"Change set {first} cannot be undone"):
        memory.history.undo(first, BY_USER, with_dependents=True)
    assert journal_state(memory.store) == before
    memory.history.undo(second, BY_USER)
    assert memory.blocks.get("human").content == "one"


def test_a_vacuum_is_in_the_journal_and_cannot_be_undone(memory: MemoryManager, clock: FixedClock) -> None:
    write(memory, clock, "one")
    memory.retention.vacuum(clock.now())
    entry = memory.history.log(1)[0]
    assert (entry.tool, entry.actor) == ("vacuum", "user")
    with pytest.raises(InvalidArgument, match="changed no row"):
        memory.history.undo(entry.id, BY_USER)


def test_a_vacuum_of_the_future_is_refused(memory: MemoryManager, clock: FixedClock) -> None:
    for before in (clock.now() + timedelta(seconds=1), clock.now().replace(tzinfo=None)):
        with pytest.raises(InvalidArgument, match="must have a time zone and must not lie in the future"):
            memory.retention.vacuum(before)


def test_other_users_keep_everything(any_memory: MemoryManager, clock: FixedClock) -> None:
    other = any_memory.as_user("another")
    for memory in (any_memory, other):
        write(memory, clock, "one")
        write(memory, clock, "two")
    before = journal_state(other.store)
    any_memory.retention.vacuum(clock.now())
    assert journal_state(other.store) == before


def test_the_function_is_the_only_way_and_asks_for_a_user(memory: MemoryManager, clock: FixedClock) -> None:
    write(memory, clock, "one")
    with memory.database.engine.begin() as connection, pytest.raises(Exception, match="needs the user"):
        connection.execute(text("SELECT * FROM ltmemory.vacuum_history(1)")).all()
    for bound in (-1, 10**6):
        with pytest.raises(StoreError, match="outside the journal"), memory.store.upkeep() as unit:
            unit.history.vacuum(bound)
    with memory.database.owner() as connection:
        config, definer = connection.execute(
            text("SELECT proconfig, prosecdef FROM pg_proc WHERE proname = 'vacuum_history'")
        ).one()
        rights = connection.execute(
            text("SELECT has_function_privilege('public', 'ltmemory.vacuum_history(bigint)', 'execute')")
        ).scalar()
    assert definer and config == ["search_path=pg_catalog, pg_temp"]
    assert rights is False


def test_the_job_removes_what_the_settings_do_not_keep(
    make_memory: Callable[..., MemoryManager], clock: FixedClock
) -> None:
    everything, short = make_memory(), make_memory(retention_days=2)
    run = JobRun(name="retention", scheduled_for=clock.now(), change=Change(Actor.AUTOMATION, "retention"))
    for content in ("one", "two", "three", "four"):
        write(everything, clock, content)
    assert "Every version is kept" in everything.retention.run(run).summary
    assert dict(short.retention.run(run).counts) == {"versions": 2, "vectors": 0}
    assert [job.name for job in everything.jobs() if job.name == "retention"] == []
    assert [job.name for job in short.jobs() if job.name == "retention"] == ["retention"]


def test_a_plain_owner_is_no_superuser_and_the_schema_is_its_own(plain_owner_url: str) -> None:
    database = open_database(plain_owner_url)
    with database.engine.connect() as connection:
        role, superuser = connection.execute(
            text("SELECT rolname, rolsuper FROM pg_roles WHERE rolname = current_user")
        ).one()
        owner = connection.execute(
            text("SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 'ltmemory'")
        ).scalar()
    database.close()
    assert (superuser, owner) == (False, role)
    assert role != APP_ROLE
