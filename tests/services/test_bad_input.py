"""What callers get wrong is refused in a sentence, before Python or Postgres stumbles over it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from journal_state import journal_state

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.errors import InvalidArgument, UnknownSnapshot
from mira_ltmemory.protocols import Actor, Change

BY_USER = Change(Actor.USER, "test")


@pytest.mark.parametrize("number", ["x", None, True, 1.5, "1"])
def test_undo_wants_the_number_of_a_change_set(memory: MemoryManager, number: object) -> None:
    with pytest.raises(InvalidArgument, match="change_set_id must be the number of a change set, not "):
        memory.history.undo(number, BY_USER)  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [99_999, 0, -1, 2**63, pytest.param(10**5000, id="huge")])
def test_what_is_no_change_set_is_told(memory: MemoryManager, number: int) -> None:
    for wrong in (
        lambda: memory.history.undo(number, BY_USER),
        lambda: memory.blocks.append("human", "x", replace(BY_USER, parent=number)),
        lambda: memory.archival.insert("x", change=replace(BY_USER, parent=number)),
    ):
        before = journal_state(memory.store)
        with pytest.raises(InvalidArgument, match="There is no change set"):
            wrong()
        assert journal_state(memory.store) == before


@pytest.mark.parametrize("parent", ["1", True, 1.0])
def test_a_parent_is_a_number(memory: MemoryManager, parent: object) -> None:
    with pytest.raises(InvalidArgument, match="parent must be the number of a change set"):
        memory.blocks.append("human", "x", replace(BY_USER, parent=parent))  # type: ignore[arg-type]


def test_another_users_change_set_is_no_parent(memory: MemoryManager) -> None:
    last = memory.archival.insert("a", change=BY_USER).change_set_id
    with pytest.raises(InvalidArgument, match=f"There is no change set {last}"):
        memory.as_user("somebody else " + memory.settings.user_name).blocks.append(
            "human", "x", replace(BY_USER, parent=last)
        )


def test_a_reason_is_made_storable(memory: MemoryManager) -> None:
    edit = memory.blocks.append("human", "x", Change(Actor.USER, "to\0ol", "be\ud800cause\0"))
    entry = memory.history.log(1)[0]
    assert (entry.tool, entry.reason) == ("to\\u0000ol", "be\\ud800cause\\u0000")
    memory.history.undo(edit.change_set_id, Change(Actor.USER, "\udfff", "\0"))
    assert memory.history.log(1)[0].tool == "\\udfff"
    with pytest.raises(InvalidArgument, match="reason must be text, not int"):
        memory.blocks.append("human", "y", Change(Actor.USER, "test", 5))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["\ud800", "a\0b", "no such"])
def test_a_name_that_cannot_be_a_snapshots_is_unknown(memory: MemoryManager, name: str) -> None:
    memory.snapshots.create("one")
    asked: list[Callable[[], object]] = [
        lambda: memory.snapshots.get(name),
        lambda: memory.snapshots.delete(name),
        lambda: memory.snapshots.diff(name),
        lambda: memory.snapshots.diff("one", name),
        lambda: memory.snapshots.restore(name),
        lambda: memory.as_of(name),
    ]
    for ask in asked:
        with pytest.raises(UnknownSnapshot, match="There is no snapshot") as told:
            ask()
        str(told.value).encode("utf-8")


@pytest.mark.parametrize("name", ["a\x1b[31mb", "two\nlines", "a\tb", "\u202eabc", "a\x7f"])
def test_a_snapshots_name_is_printable(memory: MemoryManager, name: str) -> None:
    with pytest.raises(InvalidArgument, match="name must be one line of printable text"):
        memory.snapshots.create(name)
