"""What an undo may not pull away, what stands no longer in its way, and how rows come back."""

from __future__ import annotations

import dataclasses
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from doubles import FixedClock
from journal_state import journal_state

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.errors import InvalidArgument, ReadOnly, UndoConflict
from mira_ltmemory.protocols import Actor, Change, IncomingMessage, Origin, Role
from mira_ltmemory.store.models import Block, Passage, content_hash

BY_MODEL = Change(Actor.MODEL, "test")
BY_USER = Change(Actor.USER, "undo")


def human(memory: MemoryManager) -> str:
    return memory.blocks.get("human").content


def write(memory: MemoryManager, text: str, parent: int | None = None) -> int:
    return memory.blocks.rethink("human", text, dataclasses.replace(BY_MODEL, parent=parent)).change_set_id


def begin(memory: MemoryManager, parent: int | None = None) -> int:
    with memory.store.write(Change(Actor.AUTOMATION, "run", parent=parent)) as unit:
        return unit.change_set_id


def sql(memory: MemoryManager, statement: str, **values: object) -> int:
    with memory.store.write(BY_MODEL) as unit:
        unit.journal.execute(statement, **values)
        return unit.change_set_id


def add_block(memory: MemoryManager, label: str, content: str = "") -> int:
    with memory.store.write(BY_MODEL) as unit:
        unit.session.add(
            Block(
                user_id=unit.user_id,
                id=uuid.uuid4(),
                change_set_id=unit.change_set_id,
                origin="user",
                label=label,
                description="",
                content=content,
                char_limit=100,
                read_only=False,
                position=9,
            )
        )
        return unit.change_set_id


def rename(memory: MemoryManager, old: str, new: str) -> int:
    return sql(
        memory, "UPDATE ltmemory.blocks SET label = :new WHERE user_id = :user_id AND label = :old", old=old, new=new
    )


def say(memory: MemoryManager, clock: FixedClock, *numbers: int, parent: int | None = None) -> int:
    messages = [
        IncomingMessage(
            conversation_id="c",
            external_id=str(number),
            role=Role.USER,
            content=f"text {number}",
            said_at=clock.now() + timedelta(minutes=number),
            origin=Origin.USER,
        )
        for number in numbers
    ]
    memory.recall.capture(messages, Change(Actor.SYSTEM, "capture", parent=parent))
    return memory.history.log(1)[0].id


def test_a_part_that_was_undone_alone_does_not_stand_in_the_way_of_its_run(memory: MemoryManager) -> None:
    write(memory, "before")
    run = begin(memory)
    write(memory, "first", run)
    second = write(memory, "second", run)
    memory.history.undo(second, BY_USER)
    memory.history.undo(run, BY_USER)
    assert human(memory) == "before"


def test_a_run_whose_part_was_undone_leaves_what_was_written_after_that(memory: MemoryManager) -> None:
    run = begin(memory)
    part = write(memory, "of the run", run)
    memory.archival.insert("passage of the run", change=dataclasses.replace(BY_MODEL, parent=run))
    memory.history.undo(part, BY_USER)
    write(memory, "by hand")
    memory.history.undo(run, BY_USER)
    assert human(memory) == "by hand"
    assert memory.archival.count() == 0


def test_what_was_undone_with_its_target_is_in_force_again_when_that_undo_is_undone(memory: MemoryManager) -> None:
    first, second = write(memory, "one"), write(memory, "two")
    undo = memory.history.undo(first, BY_USER, with_dependents=True).change_set_id
    assert human(memory) == ""
    memory.history.undo(undo, BY_USER)
    assert human(memory) == "two"
    with pytest.raises(UndoConflict) as refusal:
        memory.history.undo(first, BY_USER)
    assert refusal.value.blocking == (second,)
    memory.history.undo(second, BY_USER)
    assert human(memory) == "one"


def test_an_undo_inside_a_run_is_taken_back_with_the_run(memory: MemoryManager) -> None:
    edit = write(memory, "one")
    run = begin(memory)
    memory.history.undo(edit, Change(Actor.AUTOMATION, "review", parent=run))
    assert human(memory) == ""
    memory.history.undo(run, BY_USER)
    assert human(memory) == "one"
    memory.history.undo(edit, BY_USER)
    assert human(memory) == ""


def test_a_part_of_an_undo_is_not_undone_alone(memory: MemoryManager) -> None:
    first, _ = write(memory, "one"), write(memory, "two")
    undo = memory.history.undo(first, BY_USER, with_dependents=True).change_set_id
    before = journal_state(memory.store)
    with pytest.raises(InvalidArgument, match=f"part of the undo {undo}"):
        memory.history.undo(undo + 1, BY_USER)
    assert journal_state(memory.store) == before


def test_a_run_cannot_undo_itself(memory: MemoryManager) -> None:
    outer = begin(memory)
    inner = begin(memory, outer)
    write(memory, "one", inner)
    for target in (outer, inner):
        with pytest.raises(InvalidArgument, match="belongs to"):
            memory.history.undo(target, Change(Actor.AUTOMATION, "run", parent=inner))
    assert human(memory) == "one"


def test_a_change_set_that_changed_nothing_has_nothing_to_undo(memory: MemoryManager) -> None:
    empty = begin(memory)
    with pytest.raises(InvalidArgument, match="changed no row"):
        memory.history.undo(empty, BY_USER)
    for number in (0, -1, 2**63):
        with pytest.raises(InvalidArgument, match="There is no change set"):
            memory.history.undo(number, BY_USER)


def test_a_refused_undo_changes_nothing(memory: MemoryManager) -> None:
    first = write(memory, "one")
    write(memory, "two")
    before = journal_state(memory.store)
    with pytest.raises(UndoConflict):
        memory.history.undo(first, BY_USER)
    assert journal_state(memory.store) == before


def test_a_refused_undo_says_who_stands_in_the_way_and_why(memory: MemoryManager, clock: FixedClock) -> None:
    first = write(memory, "0")
    later = [write(memory, str(number)) for number in range(1, 23)]
    with pytest.raises(UndoConflict) as refusal:
        memory.history.undo(first, BY_USER)
    why = "(model, test) made a later version of block 'human'"
    assert refusal.value.reasons == dict.fromkeys(later, why)
    assert refusal.value.blocking == tuple(later)
    lines = str(refusal.value).split("\n")
    assert lines[1:21] == [f"  {each} {why}" for each in later[:20]]
    assert lines[21] == "  and 2 more"
    said = say(memory, clock, 1)
    more = say(memory, clock, 2)
    with pytest.raises(
        UndoConflict, match=rf"{more} \(system, capture\) made message .*, which belongs to conversation"
    ):
        memory.history.undo(said, BY_USER)


def test_a_label_that_is_taken_stands_in_the_way(memory: MemoryManager) -> None:
    add_block(memory, "notes", "old notes")
    removal = sql(memory, "DELETE FROM ltmemory.blocks WHERE user_id = :user_id AND label = 'notes'")
    taken = add_block(memory, "notes", "new notes")
    with pytest.raises(UndoConflict) as refusal:
        memory.history.undo(removal, BY_USER)
    assert refusal.value.blocking == (taken,)
    assert "gave block " in refusal.value.reasons[taken]
    assert "the label that block 'notes' needs to come back" in refusal.value.reasons[taken]
    assert memory.blocks.get("notes").content == "new notes"
    memory.history.undo(removal, BY_USER, with_dependents=True)
    assert memory.blocks.get("notes").content == "old notes"


def test_blocks_that_changed_labels_change_back(memory: MemoryManager) -> None:
    add_block(memory, "left", "L")
    add_block(memory, "right", "R")
    memory.snapshots.create("before")
    for old, new in (("left", "between"), ("right", "left"), ("between", "right")):
        rename(memory, old, new)
    assert memory.blocks.get("left").content == "R"
    restored = memory.snapshots.restore("before")
    assert (memory.blocks.get("left").content, memory.blocks.get("right").content) == ("L", "R")
    assert memory.blocks.get("left").version == 4
    memory.history.undo(restored.change_set_id, BY_USER)
    assert (memory.blocks.get("left").content, memory.blocks.get("right").content) == ("R", "L")


def test_a_block_that_is_made_again_under_its_id_goes_on_counting(memory: MemoryManager) -> None:
    write(memory, "one")
    present = memory.blocks.get("human").version
    with memory.store.write(BY_MODEL) as unit:
        block = unit.blocks.get("human")
        assert block is not None
        values = block.model_dump()
        unit.session.delete(block)
    with memory.store.write(BY_MODEL) as unit:
        unit.blocks.add(Block(**{**values, "version": 1}))
    assert memory.blocks.get("human").version == present + 1


def test_a_message_changed_by_a_later_set_goes_with_its_conversation(memory: MemoryManager, clock: FixedClock) -> None:
    first = say(memory, clock, 1)
    second = say(memory, clock, 2)
    changed = sql(memory, "UPDATE ltmemory.messages SET speaker = 'Ann' WHERE user_id = :user_id AND external_id = '2'")
    with pytest.raises(UndoConflict) as refusal:
        memory.history.undo(first, BY_USER)
    assert refusal.value.blocking == (changed,)
    done = memory.history.undo(first, BY_USER, with_dependents=True)
    assert done.undone == (first, second, changed)
    assert memory.recall.count() == 0
    memory.history.undo(done.change_set_id, BY_USER)
    assert memory.recall.count() == 2
    assert [hit.speaker for hit in memory.recall.search("text 2").hits if hit.external_id == "2"] == ["Ann"]


def test_a_block_that_is_read_only_now_is_not_changed_by_an_undo(memory: MemoryManager) -> None:
    edit = write(memory, "one")
    sql(memory, "UPDATE ltmemory.blocks SET read_only = true WHERE user_id = :user_id AND label = 'human'")
    before = journal_state(memory.store)
    with pytest.raises(ReadOnly, match="'human' is read-only"):
        memory.history.undo(edit, BY_USER, with_dependents=True)
    assert journal_state(memory.store) == before


def test_a_block_that_is_read_only_now_stays_so(memory: MemoryManager) -> None:
    switched = sql(memory, "UPDATE ltmemory.blocks SET read_only = true, position = 7 WHERE user_id = :user_id")
    memory.history.undo(switched, BY_USER)
    assert memory.blocks.get("human").read_only


def test_texts_too_long_to_embed_come_back_without_waiting_for_a_vector(memory: MemoryManager) -> None:
    with memory.store.write(BY_MODEL) as unit:
        for content in ("x " * 100_001, " \n", "short"):
            row = Passage(
                user_id=unit.user_id,
                id=uuid.uuid4(),
                change_set_id=unit.change_set_id,
                origin="user",
                content=content,
                content_hash=content_hash(content),
                said_at=datetime(2025, 1, 1, tzinfo=UTC),
            )
            unit.passages.add([row])
        made = unit.change_set_id
    undo = memory.history.undo(made, BY_USER)
    memory.history.undo(undo.change_set_id, BY_USER)
    assert memory.status.read().pending == 1


def test_an_import_of_many_messages_is_undone_and_redone(memory: MemoryManager, clock: FixedClock) -> None:
    run = begin(memory)
    say(memory, clock, *range(3_000), parent=run)
    undo = memory.history.undo(run, BY_USER)
    assert undo.rows == {"conversations": 1, "messages": 3_000}
    assert (memory.recall.count(), memory.recall.search("text 77").hits) == (0, ())
    assert memory.status.read().pending == 0
    memory.history.undo(undo.change_set_id, BY_USER)
    assert memory.recall.count() == 3_000
    assert memory.recall.search("77").hits[0].external_id == "77"


def test_an_import_is_one_run_and_leaves_no_trace_when_nothing_is_new(memory: MemoryManager, clock: FixedClock) -> None:
    messages = [
        IncomingMessage(
            conversation_id=f"c{number % 2}",
            external_id=str(number),
            role=Role.USER,
            content=f"text {number}",
            said_at=clock.now(),
            origin=Origin.IMPORT,
        )
        for number in range(4)
    ]
    memory.import_messages(messages, "a file")
    last = memory.history.log(3)
    assert [entry.parent_id for entry in last] == [last[2].id, last[2].id, None]
    memory.import_messages(messages, "a file")
    assert memory.history.log(1)[0].id == last[0].id
    memory.history.undo(last[2].id, BY_USER)
    assert memory.recall.count() == 0
