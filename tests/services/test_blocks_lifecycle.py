"""Blocks that are made, renamed, removed, and blocks that nothing may change."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.errors import Conflict, InvalidArgument, OverLimit, ReadOnly, RefusedEdit, UnknownLabel
from mira_ltmemory.protocols import Actor, Change
from mira_ltmemory.services.blocks import BlockManager
from mira_ltmemory.services.edits import Append
from mira_ltmemory.services.memory_files import COMMANDS, MemoryFiles

BY_MODEL = Change(Actor.MODEL, "test")
BY_USER = Change(Actor.USER, "shell")


def last_id(memory: MemoryManager) -> int:
    with memory.store.read() as unit:
        return unit.journal.last_id()


def test_a_block_is_created_after_the_others(memory: MemoryManager) -> None:
    edit = memory.blocks.create("projects", BY_USER, content="one", description="What is under way.", limit=300)
    assert (edit.block.limit, edit.block.version, edit.block.content) == (300, 1, "one")
    assert [block.label for block in memory.blocks.all()] == ["persona", "human", "system", "projects"]
    memory.history.undo(edit.change_set_id, BY_USER)
    assert [block.label for block in memory.blocks.all()] == ["persona", "human", "system"]


@pytest.mark.parametrize(
    "label", ["", "Projects", "1st", "a b", "a-b", "../x", "a\x00", "ａ", "ä", "a" * 65, "a\n", "a.md", 5, None]
)
def test_a_label_is_checked(memory: MemoryManager, label: str) -> None:
    before = last_id(memory)
    memory.blocks.create("other", BY_USER)
    with pytest.raises(InvalidArgument, match="must be 1 to 64 lower-case letters"):
        memory.blocks.create(label, BY_USER)
    with pytest.raises(InvalidArgument, match="must be 1 to 64 lower-case letters"):
        memory.blocks.rename("other", label, BY_USER)
    assert last_id(memory) == before + 1


def test_a_block_is_not_created_wrongly(make_memory: Callable[..., MemoryManager]) -> None:
    memory = make_memory(core_memory_max_blocks=4)
    with pytest.raises(InvalidArgument, match="There is a block 'human' already"):
        memory.blocks.create("human", BY_USER, content="mine")
    with pytest.raises(OverLimit, match="would hold 11 of 10"):
        memory.blocks.create("fourth", BY_USER, content="x" * 11, limit=10)
    for limit in (0, -1, 1_000_001):
        with pytest.raises(InvalidArgument, match="limit must be between"):
            memory.blocks.create("fourth", BY_USER, limit=limit)
    for description in ("two\nlines", "hidden \u202e", "\x00"):
        with pytest.raises(InvalidArgument, match="description"):
            memory.blocks.create("fourth", BY_USER, description=description)
    memory.blocks.create("fourth", BY_USER)
    with pytest.raises(OverLimit, match="There are 4 blocks, of at most 4"):
        memory.blocks.create("fifth", BY_USER)


def test_a_removed_block_lives_on_in_its_versions(memory: MemoryManager) -> None:
    memory.blocks.create("projects", BY_USER, content="one")
    memory.blocks.append("projects", "two", BY_MODEL)
    removal = memory.blocks.delete("projects", BY_USER, expected_version=2)
    with pytest.raises(UnknownLabel, match=f"removed by change set {removal.change_set_id}: undo"):
        memory.blocks.append("projects", "x", BY_MODEL)
    assert [entry.version for entry in memory.blocks.history("projects")] == [2, 1]
    assert memory.blocks.history("projects")[0].ended_by == removal.change_set_id
    assert memory.blocks.version("projects", 2) == "one\ntwo"
    memory.history.undo(removal.change_set_id, BY_USER)
    assert memory.blocks.get("projects").content == "one\ntwo"
    assert memory.blocks.get("projects").version == 3


def test_a_label_that_is_used_again_goes_on_with_its_history(memory: MemoryManager) -> None:
    memory.blocks.create("projects", BY_USER, content="old")
    memory.blocks.delete("projects", BY_USER)
    edit = memory.blocks.create("projects", BY_USER, content="new")
    assert edit.block.version == 2
    assert memory.blocks.diff("projects", 1, 2).endswith("-old\n+new")
    assert memory.blocks.rollback("projects", 1, BY_USER).block.content == "old"


def test_history_goes_with_a_renamed_block_and_its_old_label_is_free(memory: MemoryManager) -> None:
    memory.blocks.create("projects", BY_USER, content="one")
    edit = memory.blocks.rename("projects", "work", BY_USER, expected_version=1)
    assert (edit.block.label, edit.block.version, edit.block.content) == ("work", 2, "one")
    assert [(entry.version, entry.label) for entry in memory.blocks.history("work")] == [(2, "work"), (1, "projects")]
    fresh = memory.blocks.create("projects", BY_USER, content="another")
    assert fresh.block.version == 1
    assert [entry.version for entry in memory.blocks.history("projects")] == [1]
    assert memory.blocks.get("work").content == "one"
    with pytest.raises(InvalidArgument, match="There is a block 'projects' already"):
        memory.blocks.rename("work", "projects", BY_USER)
    with pytest.raises(RefusedEdit):  # its label is taken
        memory.history.undo(edit.change_set_id, BY_USER)
    memory.blocks.delete("projects", BY_USER)
    memory.history.undo(edit.change_set_id, BY_USER)
    assert memory.blocks.get("projects").content == "one"


def test_create_delete_and_rename_compare_and_swap(memory: MemoryManager) -> None:
    memory.blocks.create("projects", BY_USER, content="one")
    memory.blocks.append("projects", "two", BY_MODEL)
    with pytest.raises(Conflict, match=r"(?s)version 2, not 1.*\+two"):
        memory.blocks.delete("projects", BY_USER, expected_version=1)
    with pytest.raises(Conflict, match="version 2, not 1"):
        memory.blocks.rename("projects", "work", BY_USER, expected_version=1)


def test_a_configured_block_is_neither_deleted_nor_renamed(make_memory: Callable[..., MemoryManager]) -> None:
    memory = make_memory()
    for attempt in (
        lambda: memory.blocks.delete("human", BY_USER),
        lambda: memory.blocks.rename("human", "person", BY_USER),
    ):
        with pytest.raises(InvalidArgument, match="in the setting core_memory_blocks"):
            attempt()
    smaller = make_memory(core_memory_blocks={"human": 100})
    smaller.blocks.delete("system", BY_USER)
    smaller.blocks.rename("persona", "character", BY_USER)
    again = make_memory()
    assert {block.label for block in again.blocks.all()} == {"persona", "human", "system", "character"}
    assert again.blocks.get("system").version > 1
    assert again.blocks.get("persona").version == 1


def test_a_configured_block_that_an_undo_took_away_comes_back_at_the_next_start(
    make_memory: Callable[..., MemoryManager],
) -> None:
    make_memory()
    wider = make_memory(core_memory_blocks={"human": 2048, "persona": 2048, "system": 1024, "projects": 100})
    made = wider.history.log(1)[0].id
    wider.history.undo(made, BY_USER)
    with pytest.raises(UnknownLabel):
        wider.blocks.get("projects")
    again = make_memory(core_memory_blocks={"human": 2048, "persona": 2048, "system": 1024, "projects": 100})
    assert again.blocks.get("projects").version == 2


# Every public method that may change a block, with a call that would change the block 'rules'.
MUTATIONS: dict[str, Callable[[BlockManager], object]] = {
    "append": lambda blocks: blocks.append("rules", "x", BY_USER),
    "replace": lambda blocks: blocks.replace("rules", "kind", "x", BY_USER),
    "insert": lambda blocks: blocks.insert("rules", "x", 0, BY_USER),
    "rethink": lambda blocks: blocks.rethink("rules", "x", BY_USER),
    "patch": lambda blocks: blocks.patch("rules", [Append(new="x")], BY_USER),
    "rollback": lambda blocks: blocks.rollback("rules", 1, BY_USER),
    "delete": lambda blocks: blocks.delete("rules", BY_USER),
    "rename": lambda blocks: blocks.rename("rules", "others", BY_USER),
    "create": lambda blocks: blocks.create("rules", BY_USER, content="x"),
    "confirm": lambda blocks: blocks.confirm(blocks.pending()[0].id, BY_USER),
}
READING = {"all", "get", "history", "version", "diff", "steps", "pending", "dismiss", "ensure", "forget"}
COMMAND_CALLS: dict[str, dict[str, object]] = {
    "create": {"path": "/memories/rules.md", "file_text": "x"},
    "str_replace": {"path": "/memories/rules.md", "old_str": "kind", "new_str": "x"},
    "insert": {"path": "/memories/rules.md", "insert_line": 0, "insert_text": "x"},
    "delete": {"path": "/memories/rules.md"},
    "rename": {"old_path": "/memories/rules.md", "new_path": "/memories/others.md"},
}
LOCKED = {"core_memory_blocks": {"rules": 200}, "core_memory_read_only": ["rules"]}


@pytest.fixture
def locked(make_memory: Callable[..., MemoryManager]) -> MemoryManager:
    """'rules' was written, and an edit of it was held, before it became read-only."""
    open_memory = make_memory(core_memory_blocks={"rules": 200}, core_memory_confirmation="always")
    open_memory.blocks.rethink("rules", "be kind", BY_USER)
    with pytest.raises(RefusedEdit, match="held as number"):
        open_memory.blocks.append("rules", "and rude", BY_MODEL)
    return make_memory(**LOCKED)


def test_the_walk_misses_no_method_of_the_block_manager_and_no_command() -> None:
    public = {name for name, _ in inspect.getmembers(BlockManager, callable) if not name.startswith("_")}
    assert public - READING - {"unattended"} == set(MUTATIONS)  # the same manager under a stricter rule
    assert set(COMMAND_CALLS) == set(COMMANDS) - {"view"}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_read_only_block_is_changed_by_no_method(locked: MemoryManager, name: str) -> None:
    before, moment = locked.blocks.get("rules"), last_id(locked)
    with pytest.raises((ReadOnly, InvalidArgument)) as refusal:
        MUTATIONS[name](locked.blocks)
    assert isinstance(refusal.value, ReadOnly) or name == "create"
    assert (locked.blocks.get("rules"), last_id(locked)) == (before, moment)


@pytest.mark.parametrize("command", COMMAND_CALLS)
def test_a_read_only_block_is_changed_by_no_command(locked: MemoryManager, command: str) -> None:
    before, moment = locked.blocks.get("rules"), last_id(locked)
    with pytest.raises((ReadOnly, InvalidArgument)) as refusal:
        MemoryFiles(locked.blocks).run(command, COMMAND_CALLS[command], BY_USER)
    assert isinstance(refusal.value, ReadOnly) or command == "create"
    assert (locked.blocks.get("rules"), last_id(locked)) == (before, moment)


def test_a_read_only_block_is_changed_by_no_tool(make_memory: Callable[..., MemoryManager]) -> None:
    make_memory(core_memory_blocks={"rules": 200}).blocks.rethink("rules", "be kind", BY_USER)
    memory = make_memory(**LOCKED, tools={"memory": True})
    before, moment = memory.blocks.get("rules"), last_id(memory)
    calls: dict[str, dict[str, object]] = {
        "core_memory_append": {"label": "rules", "content": "x"},
        "core_memory_replace": {"label": "rules", "old_content": "kind", "new_content": "x"},
        "memory_insert": {"label": "rules", "new_str": "x"},
        "memory_rethink": {"label": "rules", "new_memory": "x"},
        "memory_rollback": {"label": "rules", "version": 1},
        "memory": {"command": "delete", "path": "/memories/rules.md"},
    }
    tools = {tool.name: tool for tool in memory.tools()}
    for name, arguments in calls.items():
        answer = tools[name].run(**arguments)
        assert answer["success"] is False
        assert "read-only" in answer["error"]
    assert (memory.blocks.get("rules"), last_id(memory)) == (before, moment)


def test_undo_that_would_change_a_read_only_block_is_refused_until_the_settings_allow_it(
    make_memory: Callable[..., MemoryManager],
) -> None:
    open_memory = make_memory(core_memory_blocks={"rules": 200})
    edit = open_memory.blocks.rethink("rules", "be kind", BY_USER)
    memory = make_memory(**LOCKED)
    before = memory.blocks.get("rules")
    with pytest.raises(ReadOnly):
        memory.history.undo(edit.change_set_id, BY_USER, with_dependents=True)
    assert memory.blocks.get("rules") == before
    opened = make_memory(core_memory_blocks={"rules": 200})
    opened.history.undo(edit.change_set_id, BY_USER, with_dependents=True)
    assert opened.blocks.get("rules").content == ""


def test_the_settings_lock_a_block_even_before_the_database_knows(make_memory: Callable[..., MemoryManager]) -> None:
    memory = make_memory(**LOCKED)
    make_memory(core_memory_blocks={"rules": 200})  # another process whose settings do not lock it
    with pytest.raises(ReadOnly):
        memory.blocks.append("rules", "x", BY_MODEL)


def test_a_limit_that_was_raised_for_a_long_text_comes_down_with_it(
    make_memory: Callable[..., MemoryManager],
) -> None:
    make_memory(core_memory_blocks={"human": 100}).blocks.append("human", "x" * 80, BY_USER)
    blocks = make_memory(core_memory_blocks={"human": 20}).blocks
    assert blocks.get("human").limit == 80
    with pytest.raises(OverLimit):
        blocks.append("human", "y", BY_USER)
    assert blocks.rethink("human", "x" * 50, BY_USER).block.limit == 50
    with pytest.raises(OverLimit):
        blocks.rethink("human", "x" * 51, BY_USER)
    assert blocks.rethink("human", "x" * 5, BY_USER).block.limit == 20
    with pytest.raises(OverLimit):
        blocks.rethink("human", "x" * 21, BY_USER)
    assert blocks.rethink("human", "x" * 20, BY_USER).block.limit == 20
