"""Undo and memory as it was."""

from __future__ import annotations

from datetime import timedelta

import pytest
from doubles import FixedClock

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.errors import InvalidArgument, UndoConflict
from mira_ltmemory.protocols import Actor, Change, IncomingMessage, Origin, Role
from mira_ltmemory.store.models import Block, Passage

BY_MODEL = Change(Actor.MODEL, "test")
BY_USER = Change(Actor.USER, "undo")


def human(memory: MemoryManager) -> str:
    return memory.blocks.get("human").content


def test_undo_of_an_edit_brings_the_text_back_as_a_new_version(memory: MemoryManager) -> None:
    memory.blocks.append("human", "one", BY_MODEL)
    second = memory.blocks.append("human", "two", BY_MODEL)
    done = memory.history.undo(second.change_set_id, BY_USER)
    assert human(memory) == "one"
    assert memory.blocks.get("human").version == 4
    assert done.rows == {"blocks": 1}
    assert memory.history.log(1)[0].undoes == second.change_set_id


def test_undo_refuses_with_the_list_where_a_later_version_stands(memory: MemoryManager) -> None:
    first = memory.blocks.append("human", "one", BY_MODEL)
    second = memory.blocks.append("human", "two", BY_MODEL)
    with pytest.raises(UndoConflict) as refusal:
        memory.history.undo(first.change_set_id, BY_USER)
    assert refusal.value.blocking == (second.change_set_id,)
    assert human(memory) == "one\ntwo"
    done = memory.history.undo(first.change_set_id, BY_USER, with_dependents=True)
    assert done.undone == (first.change_set_id, second.change_set_id)
    assert human(memory) == ""


def test_edits_can_be_undone_one_after_the_other_newest_first(memory: MemoryManager) -> None:
    edits = [memory.blocks.append("human", text, BY_MODEL).change_set_id for text in ("one", "two", "three")]
    for number, expected in zip(reversed(edits), ("one\ntwo", "one", ""), strict=True):
        memory.history.undo(number, BY_USER)
        assert human(memory) == expected


def test_undo_of_an_undo_is_a_redo(memory: MemoryManager) -> None:
    edit = memory.blocks.append("human", "one", BY_MODEL)
    undo = memory.history.undo(edit.change_set_id, BY_USER)
    with pytest.raises(InvalidArgument, match="undone already"):
        memory.history.undo(edit.change_set_id, BY_USER)
    memory.history.undo(undo.change_set_id, BY_USER)
    assert human(memory) == "one"
    memory.history.undo(edit.change_set_id, BY_USER)
    assert human(memory) == ""


def test_undo_of_an_unknown_set_says_what_there_is(memory: MemoryManager) -> None:
    with pytest.raises(InvalidArgument, match="There is no change set 999"):
        memory.history.undo(999, BY_USER)


def test_a_run_is_undone_whole(memory: MemoryManager) -> None:
    with memory.store.write(Change(Actor.AUTOMATION, "review")) as unit:
        run = unit.change_set_id
    part = Change(Actor.AUTOMATION, "review", parent=run)
    memory.blocks.append("human", "from the run", part)
    memory.archival.insert("a passage of the run", change=part)
    memory.archival.insert("a passage of the user")
    memory.history.undo(run, BY_USER)
    assert human(memory) == ""
    assert [hit.content for hit in memory.archival.search("passage").hits] == ["a passage of the user"]


def test_an_undone_passage_comes_back_with_words_and_vector(memory: MemoryManager) -> None:
    stored = memory.archival.insert("Byte the cat hides under the sofa")
    assert stored.change_set_id is not None
    undo = memory.history.undo(stored.change_set_id, BY_USER)
    assert memory.archival.search("sofa cat").hits == ()
    memory.history.undo(undo.change_set_id, BY_USER)
    memory.process_pending()
    assert memory.archival.search("where does the kitten go").hits[0].id == stored.id


def test_a_conversation_with_later_messages_is_not_pulled_away(memory: MemoryManager, clock: FixedClock) -> None:
    def say(number: int) -> None:
        memory.capture(
            [
                IncomingMessage(
                    conversation_id="c",
                    external_id=str(number),
                    role=Role.USER,
                    content=f"text {number}",
                    said_at=clock.now() + timedelta(minutes=number),
                    origin=Origin.USER,
                )
            ]
        )

    say(1)
    first = memory.history.log(1)[0].id
    say(2)
    second = memory.history.log(1)[0].id
    with pytest.raises(UndoConflict) as refusal:
        memory.history.undo(first, BY_USER)
    assert refusal.value.blocking == (second,)
    memory.history.undo(first, BY_USER, with_dependents=True)
    assert memory.recall.count() == 0


def test_rows_are_known_as_they_were(memory: MemoryManager, clock: FixedClock) -> None:
    memory.blocks.append("human", "early", BY_MODEL)
    memory.archival.insert("early passage")
    moment = clock.now()
    clock.advance(hours=1)
    memory.blocks.rethink("human", "late", BY_MODEL)
    memory.archival.insert("late passage")
    then = memory.history.moment(moment)
    blocks = {row["label"]: row["content"] for row in memory.history.rows_at(Block, then)}
    assert blocks["human"] == "early"
    assert [row["content"] for row in memory.history.rows_at(Passage, then)] == ["early passage"]
    with pytest.raises(InvalidArgument, match="future"):
        memory.history.moment(clock.now() + timedelta(seconds=1))
