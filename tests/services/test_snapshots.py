"""Named moments: made, compared, restored, and kept apart by user."""

from __future__ import annotations

import pytest
from doubles import FixedClock
from journal_state import journal_state
from sqlalchemy import text

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.errors import InvalidArgument, ReadOnly, RefusedEdit, UnknownSnapshot
from mira_ltmemory.protocols import Actor, Change, IncomingMessage, Origin, Role

BY_MODEL = Change(Actor.MODEL, "test")


def contents(memory: MemoryManager) -> set[str]:
    return {hit.content for hit in memory.as_of(memory.history.log(1)[0].id).passages(100)}


def test_a_snapshot_names_the_present_moment(memory: MemoryManager, clock: FixedClock) -> None:
    edit = memory.blocks.append("human", "one", BY_MODEL)
    first = memory.snapshots.create("first", "before the move")
    assert (first.moment, first.note, first.created_at) == (edit.change_set_id, "before the move", clock.now())
    clock.advance(hours=1)
    memory.blocks.append("human", "two", BY_MODEL)
    memory.snapshots.create("second")
    assert [each.name for each in memory.snapshots.list()] == ["second", "first"]
    assert memory.as_of("first").block("human").content == "one"
    memory.snapshots.delete("first")
    assert [each.name for each in memory.snapshots.list()] == ["second"]


def test_a_snapshot_changes_no_memory(memory: MemoryManager) -> None:
    before = journal_state(memory.store)
    memory.snapshots.create("first")
    after = journal_state(memory.store)
    assert {name for name in after if before[name] != after[name]} == {"snapshots"}


def test_a_taken_or_malformed_name_is_refused(memory: MemoryManager) -> None:
    memory.snapshots.create("first")
    before = journal_state(memory.store)
    for name in ("first", " first ", "", " ", "a\0b", "x" * 201, None):
        with pytest.raises(RefusedEdit, match="already|name"):
            memory.snapshots.create(name)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="note"):
        memory.snapshots.create("second", "a\0b")
    assert journal_state(memory.store) == before


def test_an_unknown_snapshot_is_told_with_those_there_are(memory: MemoryManager) -> None:
    memory.snapshots.create("first")
    for attempt in (
        lambda: memory.snapshots.restore("other"),
        lambda: memory.snapshots.diff("other"),
        lambda: memory.snapshots.diff("first", "other"),
        lambda: memory.snapshots.delete("other"),
        lambda: memory.snapshots.get("other"),
    ):
        before = journal_state(memory.store)
        with pytest.raises(UnknownSnapshot, match="no snapshot 'other'. The snapshots are: 'first'"):
            attempt()
        assert journal_state(memory.store) == before


def test_a_restore_is_one_change_set_that_can_be_undone(memory: MemoryManager) -> None:
    memory.blocks.rethink("human", "then", BY_MODEL)
    kept = memory.archival.insert("kept", ["a"])
    lost = memory.archival.insert("lost and found")
    memory.snapshots.create("then")
    memory.blocks.rethink("human", "now", BY_MODEL)
    memory.archival.insert("kept", ["b"])
    memory.archival.insert("new one")
    assert lost.change_set_id is not None
    memory.history.undo(lost.change_set_id, BY_MODEL)
    last = memory.history.log(1)[0].id
    done = memory.snapshots.restore("then")
    assert done.change_set_id == last + 1
    assert done.rows == {"passages": 3, "blocks": 1}
    assert memory.blocks.get("human").content == "then"
    assert contents(memory) == {"kept", "lost and found"}
    assert [hit.id for hit in memory.archival.search("lost").hits][:1] == [lost.id]
    assert next(hit for hit in memory.archival.search("kept").hits if hit.id == kept.id).tags == ("a",)
    assert memory.snapshots.diff("then").empty is False  # the versions are new ones, the texts are not
    assert memory.snapshots.diff("then").blocks == {}
    memory.history.undo(done.change_set_id, BY_MODEL)
    assert memory.blocks.get("human").content == "now"
    assert contents(memory) == {"kept", "new one"}
    assert memory.archival.search("lost").hits[0].id != lost.id


def test_a_restore_of_the_present_changes_no_row(memory: MemoryManager) -> None:
    memory.archival.insert("kept")
    memory.snapshots.create("now")
    assert memory.snapshots.restore("now").rows == {}


def test_messages_stay_when_a_snapshot_is_restored(memory: MemoryManager, clock: FixedClock) -> None:
    memory.snapshots.create("then")
    said = IncomingMessage(
        conversation_id="c",
        external_id="1",
        role=Role.USER,
        content="said",
        said_at=clock.now(),
        origin=Origin.USER,
    )
    memory.capture([said])
    memory.snapshots.restore("then")
    assert memory.recall.count() == 1


def test_a_restore_that_would_change_a_read_only_block_changes_nothing(memory: MemoryManager) -> None:
    memory.snapshots.create("then")
    memory.blocks.rethink("human", "now", BY_MODEL)
    memory.archival.insert("new")
    with memory.store.write(BY_MODEL) as unit:
        unit.blocks.execute("UPDATE ltmemory.blocks SET read_only = true WHERE user_id = :user_id AND label = 'human'")
    before = journal_state(memory.store)
    with pytest.raises(ReadOnly):
        memory.snapshots.restore("then")
    assert journal_state(memory.store) == before


def test_a_diff_tells_blocks_line_by_line_and_rows_by_id(memory: MemoryManager) -> None:
    memory.blocks.rethink("human", "tea\nLisbon", BY_MODEL)
    kept = memory.archival.insert("kept", ["a"])
    gone = memory.archival.insert("gone")
    memory.snapshots.create("then")
    memory.blocks.rethink("human", "coffee\nLisbon", BY_MODEL)
    memory.archival.insert("kept", ["b"])
    new = memory.archival.insert("new")
    assert gone.change_set_id is not None
    memory.history.undo(gone.change_set_id, BY_MODEL)
    diff = memory.snapshots.diff("then")
    assert diff.blocks == {"human": "--- then\n+++ now\n@@ -1,2 +1,2 @@\n-tea\n+coffee\n Lisbon"}
    rows = diff.rows["passages"]
    assert (rows.added, rows.removed, rows.changed) == ((new.id,), (gone.id,), (kept.id,))
    memory.snapshots.create("later")
    assert memory.snapshots.diff("then", "later").rows == diff.rows
    back = memory.snapshots.diff("later", "then").rows["passages"]
    assert (back.added, back.removed) == ((gone.id,), (new.id,))
    assert memory.snapshots.diff("later").empty


def test_another_users_snapshot_is_unknown_and_shows_nothing(memory: MemoryManager) -> None:
    memory.blocks.rethink("human", "secret of mine", BY_MODEL)
    memory.archival.insert("another secret of mine")
    memory.snapshots.create("mine")
    other = memory.as_user("somebody else")
    with pytest.raises(UnknownSnapshot):
        other.snapshots.restore("mine")
    with pytest.raises(UnknownSnapshot):
        other.as_of("mine")
    assert other.snapshots.create("mine").name == "mine"
    for view in ("history", "snapshot_rows"):
        with memory.store.read() as unit:
            assert "secret" in str(unit.session.connection().execute(text(f"SELECT * FROM ltmemory.{view}")).all())
        with other.store.read() as unit:
            rows = unit.session.connection().execute(text(f"SELECT * FROM ltmemory.{view}")).all()
        assert {row.user_id for row in rows} == {other.store.user_id}
        assert "secret" not in str(rows)
    with memory.database.engine.connect() as connection:
        for view in ("history", "snapshot_rows"):
            assert connection.execute(text(f"SELECT count(*) FROM ltmemory.{view}")).scalar() == 0


def test_the_views_tell_who_changed_what(memory: MemoryManager) -> None:
    memory.blocks.rethink("human", "one", Change(Actor.MODEL, "memory_rethink", "because"))
    memory.snapshots.create("then")
    memory.blocks.rethink("human", "two", BY_MODEL)
    with memory.store.read() as unit:
        row = unit.blocks.execute(
            "SELECT * FROM ltmemory.history WHERE user_id = :user_id AND kind = 'block' AND content = 'one'"
        ).one()
        named = unit.blocks.execute(
            "SELECT content, version FROM ltmemory.snapshot_rows "
            "WHERE user_id = :user_id AND name = 'then' AND label = 'human'"
        ).one()
    assert (row.label, row.version, row.actor, row.tool, row.reason) == (
        "human",
        2,
        "model",
        "memory_rethink",
        "because",
    )
    assert row.ended_by == row.change_set_id + 1
    assert tuple(named) == ("one", 2)
