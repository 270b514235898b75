"""Versions of blocks: patch, history, diff, rollback, compare and swap."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.errors import Conflict, InvalidArgument, LtMemoryError, NoMatch, OverLimit, UnknownLabel
from mira_ltmemory.protocols import Actor, Change
from mira_ltmemory.services.edits import Append, Insert, Replace, Rethink, parse

BY_MODEL = Change(Actor.MODEL, "test", "because")
BY_USER = Change(Actor.USER, "shell")


def five_versions(memory: MemoryManager) -> list[str]:
    """Versions 1 to 5 of 'human'; the list holds their texts, version 1 first."""
    texts = ["", "one", "one\ntwo", "ONE\ntwo", "ONE\ntwo\nthree"]
    for text in texts[1:]:
        memory.blocks.rethink("human", text, BY_MODEL)
    return texts


def last_id(memory: MemoryManager) -> int:
    with memory.store.read() as unit:
        return unit.journal.last_id()


def test_a_patch_is_one_version_and_one_change_set(memory: MemoryManager) -> None:
    memory.blocks.rethink("human", "a\nb", BY_MODEL)
    before = last_id(memory)
    edit = memory.blocks.patch(
        "human", [Append(new="c"), Replace(old="b", new="B"), Insert(new="0", line=0)], BY_MODEL, expected_version=2
    )
    assert edit.block.content == "0\na\nB\nc"
    assert (edit.block.version, edit.change_set_id, last_id(memory)) == (3, before + 1, before + 1)


@pytest.mark.parametrize(
    ("patch", "kind", "message"),
    [
        ([Append(new="c"), Append(new="d"), Replace(old="zzz", new="B")], NoMatch, r"Edit 3 of 3 \(replace\): old_con"),
        ([Append(new="c"), Insert(new="x", line=9), Append(new="d")], InvalidArgument, r"Edit 2 of 3 \(insert\): "),
        ([Append(new=" "), Append(new="d")], InvalidArgument, r"Edit 1 of 2 \(append\): content is empty"),
        ([Append(new="d"), Append(new="a\x00")], InvalidArgument, r"Edit 2 of 2 \(append\): content holds a NUL"),
        ([Append(new="d"), Rethink(new="x" * 3000)], OverLimit, "would hold 3,000 of 2,048"),
        ([Append(new="d"), Append(new="x" * 999_999)], OverLimit, "Edit 2 of 2"),
        ([], InvalidArgument, "holds no edits"),
        ([Append(new="d"), Replace(old="d", new="e"), Rethink(new="a")], InvalidArgument, "exactly this text already"),
    ],
)
def test_a_patch_that_fails_changes_nothing_and_names_the_edit(
    memory: MemoryManager, patch: list[Append], kind: type[LtMemoryError], message: str
) -> None:
    memory.blocks.rethink("human", "a", BY_MODEL)
    before = last_id(memory)
    with pytest.raises(kind, match=message):
        memory.blocks.patch("human", patch, BY_MODEL)
    assert last_id(memory) == before
    assert memory.blocks.get("human").content == "a"


def test_a_patch_may_be_over_the_limit_on_the_way(memory: MemoryManager) -> None:
    memory.blocks.patch("human", [Rethink(new="x" * 3000), Rethink(new="short")], BY_MODEL)
    assert memory.blocks.get("human").content == "short"


def test_edits_are_read_from_json() -> None:
    assert parse({"op": "replace", "old_content": "a", "new_content": ""}) == Replace(old="a", new="")
    assert parse({"op": "insert", "new_str": "a"}) == Insert(new="a", line=-1)
    assert parse({"op": "rethink", "new_memory": ""}) == Rethink(new="")
    for bad in ({}, {"op": "drop"}, {"op": "append"}, {"op": "append", "content": 5}, {"op": "append", "text": "x"}, 7):
        with pytest.raises(InvalidArgument):
            parse(bad)  # type: ignore[arg-type]


def test_history_tells_who_made_which_version(memory: MemoryManager) -> None:
    edit = memory.blocks.append("human", "one", BY_MODEL)
    memory.blocks.append("human", "two", BY_USER)
    newest, middle, first = memory.blocks.history("human")
    assert (newest.version, newest.actor, newest.tool, newest.used, newest.ended_by) == (3, "user", "shell", 7, None)
    assert (middle.version, middle.actor, middle.tool, middle.reason) == (2, "model", "test", "because")
    assert (middle.change_set_id, middle.ended_by) == (edit.change_set_id, newest.change_set_id)
    assert (first.version, first.actor, first.used) == (1, "system", 0)
    assert middle.at == memory.clock.now()
    assert [entry.version for entry in memory.blocks.history("human", 2)] == [3, 2]
    for limit in (0, -1, 1001):
        with pytest.raises(InvalidArgument, match="limit must be between"):
            memory.blocks.history("human", limit)


def test_every_version_keeps_exactly_its_text(memory: MemoryManager) -> None:
    texts = five_versions(memory)
    assert [memory.blocks.version("human", number) for number in range(1, 6)] == texts


def test_diff_goes_from_one_version_to_another(memory: MemoryManager) -> None:
    five_versions(memory)
    assert memory.blocks.diff("human", 3, 4).split("\n") == [
        "--- human version 3",
        "+++ human version 4",
        "@@ -1,2 +1,2 @@",
        "-one",
        "+ONE",
        " two",
    ]
    assert "+one" in memory.blocks.diff("human", 4, 3)
    assert memory.blocks.diff("human", 5, 5) == ""
    assert memory.blocks.steps("human", [4, 1]) == {4: memory.blocks.diff("human", 3, 4)}


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_rollback_brings_back_exactly_that_version(memory: MemoryManager, version: int) -> None:
    texts = five_versions(memory)
    edit = memory.blocks.rollback("human", version, BY_USER)
    assert edit.block.content == texts[version - 1] == memory.blocks.version("human", version)
    assert edit.block.version == 6
    assert memory.blocks.version("human", 5) == texts[4]
    assert memory.blocks.diff("human", version, 6) == ""


@pytest.mark.parametrize("version", [0, -1, 6, 2**31, 2**70, True, "2", None])
def test_rollback_to_a_version_that_is_not_says_which_are(memory: MemoryManager, version: int) -> None:
    five_versions(memory)
    before = last_id(memory)
    with pytest.raises(InvalidArgument, match=r"has no version .*; versions kept: 1 to 5\."):
        memory.blocks.rollback("human", version, BY_USER)
    assert last_id(memory) == before


def test_rollback_keeps_description_and_limit_and_refuses_what_no_longer_fits(
    make_memory: Callable[..., MemoryManager],
) -> None:
    first = make_memory()
    first.blocks.rethink("human", "x" * 500, BY_MODEL)
    first.blocks.rethink("human", "short", BY_MODEL)
    memory = make_memory(core_memory_blocks={"human": 100}, core_memory_descriptions={"human": "new words"})
    before = memory.blocks.get("human")
    assert (before.version, before.limit) == (4, 100)
    with pytest.raises(OverLimit, match=r"would hold 500 of 100 characters \(over by 400\)"):
        memory.blocks.rollback("human", 2, BY_USER)
    assert memory.blocks.get("human") == before
    after = memory.blocks.rollback("human", 1, BY_USER).block
    assert (after.content, after.limit, after.description, after.version) == ("", 100, "new words", 5)


def test_rollback_to_the_present_text_is_refused(memory: MemoryManager) -> None:
    five_versions(memory)
    with pytest.raises(InvalidArgument, match="exactly this text already"):
        memory.blocks.rollback("human", 5, BY_USER)


def test_rollback_is_undone_like_any_edit(memory: MemoryManager) -> None:
    texts = five_versions(memory)
    edit = memory.blocks.rollback("human", 2, BY_MODEL)
    memory.history.undo(edit.change_set_id, BY_USER)
    assert memory.blocks.get("human").content == texts[4]


EDITS: dict[str, Callable[[MemoryManager, int | None], object]] = {
    "append": lambda m, v: m.blocks.append("human", "x", BY_MODEL, expected_version=v),
    "replace": lambda m, v: m.blocks.replace("human", "three", "3", BY_MODEL, expected_version=v),
    "insert": lambda m, v: m.blocks.insert("human", "x", 0, BY_MODEL, expected_version=v),
    "rethink": lambda m, v: m.blocks.rethink("human", "x", BY_MODEL, expected_version=v),
    "patch": lambda m, v: m.blocks.patch("human", [Append(new="x")], BY_MODEL, expected_version=v),
    "rollback": lambda m, v: m.blocks.rollback("human", 1, BY_MODEL, expected_version=v),
}


@pytest.mark.parametrize("name", EDITS)
def test_every_edit_compares_and_swaps(memory: MemoryManager, name: str) -> None:
    texts = five_versions(memory)
    before = last_id(memory)
    with pytest.raises(Conflict) as conflict:
        EDITS[name](memory, 3)
    told = str(conflict.value)
    assert "is at version 5, not 3" in told
    assert texts[4] in told
    assert memory.blocks.diff("human", 3, 5) in told
    assert last_id(memory) == before
    EDITS[name](memory, 5)
    assert memory.blocks.get("human").version == 6


@pytest.mark.parametrize("version", [0, -4, 6, 2**70])
def test_a_conflict_with_a_version_that_never_was_says_so(memory: MemoryManager, version: int) -> None:
    five_versions(memory)
    with pytest.raises(Conflict, match=f"No version {version} is known"):
        memory.blocks.append("human", "x", BY_MODEL, expected_version=version)


def test_a_secret_that_only_the_whole_text_shows_is_replaced(memory: MemoryManager) -> None:
    memory.blocks.rethink("human", "my wifi password is unknown", BY_MODEL)
    edit = memory.blocks.replace("human", "unknown", "Tr0ub4dor-and-3", BY_MODEL)
    assert "Tr0ub4dor" not in edit.block.content
    assert edit.redacted


def test_versions_of_another_user_are_not_seen(memory: MemoryManager) -> None:
    five_versions(memory)
    other = memory.as_user("somebody else of this test")
    assert [entry.version for entry in other.blocks.history("human")] == [1]
    with pytest.raises(InvalidArgument):
        other.blocks.version("human", 5)
    with pytest.raises(UnknownLabel):
        other.blocks.history("nothing")
