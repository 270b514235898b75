"""Core memory."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.errors import Conflict, OverLimit, ReadOnly, RefusedEdit, UnknownLabel
from mira_ltmemory.protocols import Actor, Change

BY_MODEL = Change(Actor.MODEL, "test", "because")


def test_the_default_blocks_exist_with_their_limits(memory: MemoryManager) -> None:
    assert [(block.label, block.limit, block.version) for block in memory.blocks.all()] == [
        ("persona", 2048, 1),
        ("human", 2048, 1),
        ("system", 1024, 1),
    ]


def test_an_edit_is_one_change_set_that_says_who_and_why(memory: MemoryManager) -> None:
    edit = memory.blocks.append("human", "Name: Ada", BY_MODEL)
    assert edit.block.content == "Name: Ada"
    assert edit.block.version == 2
    with memory.store.read() as unit:
        entry = unit.journal.latest(1)[0]
    assert (entry.id, entry.actor, entry.tool, entry.reason) == (edit.change_set_id, "model", "test", "because")


def test_every_operation_changes_the_text_as_it_says(memory: MemoryManager) -> None:
    blocks = memory.blocks
    blocks.rethink("human", "one\nthree", BY_MODEL)
    blocks.insert("human", "two", 1, BY_MODEL)
    blocks.append("human", "four", BY_MODEL)
    blocks.replace("human", "three", "3", BY_MODEL)
    assert blocks.get("human").content == "one\ntwo\n3\nfour"
    assert blocks.get("human").version == 5


@pytest.mark.parametrize(
    "content", ["a\tb  c\r\nd", "<b>&amp;'\"</b>", "{{ x }} {% y %}", "日本語 🎸 ẞ", "  lead and trail  "]
)
def test_content_is_kept_byte_for_byte(memory: MemoryManager, content: str) -> None:
    memory.blocks.rethink("human", content, BY_MODEL)
    assert memory.blocks.get("human").content == content


def test_a_refused_edit_changes_nothing_and_leaves_no_journal_entry(memory: MemoryManager) -> None:
    memory.blocks.append("human", "Name: Ada", BY_MODEL)
    with memory.store.read() as unit:
        before = unit.journal.last_id()
    for attempt in (
        lambda: memory.blocks.replace("human", "Name: Bob", "x", BY_MODEL),
        lambda: memory.blocks.append("human", "x" * 3000, BY_MODEL),
        lambda: memory.blocks.append("nobody", "x", BY_MODEL),
        lambda: memory.blocks.append("human", "a\x00b", BY_MODEL),
        lambda: memory.blocks.append("human", "\ud800", BY_MODEL),
        lambda: memory.blocks.append("human", "   ", BY_MODEL),
        lambda: memory.blocks.rethink("human", "Name: Ada", BY_MODEL),
        lambda: memory.blocks.insert("human", "x", 99, BY_MODEL),
        lambda: memory.blocks.append("human", "x" * 10_000_000, BY_MODEL),
    ):
        with pytest.raises(RefusedEdit):
            attempt()
    with memory.store.read() as unit:
        assert unit.journal.last_id() == before
    assert memory.blocks.get("human").version == 2


def test_an_unknown_label_lists_the_labels(memory: MemoryManager) -> None:
    with pytest.raises(UnknownLabel, match="'persona', 'human', 'system'"):
        memory.blocks.append("humann", "x", BY_MODEL)


def test_expected_version_is_compare_and_swap(memory: MemoryManager) -> None:
    memory.blocks.append("human", "first", BY_MODEL, expected_version=1)
    with pytest.raises(Conflict, match=r"(?s)version 2, not 1.*first"):
        memory.blocks.rethink("human", "second", BY_MODEL, expected_version=1)
    assert memory.blocks.get("human").content == "first"


def test_a_read_only_block_takes_no_edit(make_memory: Callable[..., MemoryManager]) -> None:
    memory = make_memory(core_memory_read_only=["persona"])
    for edit in (
        lambda: memory.blocks.append("persona", "x", BY_MODEL),
        lambda: memory.blocks.rethink("persona", "x", BY_MODEL),
        lambda: memory.blocks.insert("persona", "x", 0, BY_MODEL),
    ):
        with pytest.raises(ReadOnly):
            edit()


def test_a_lowered_limit_keeps_the_text_and_says_so(make_memory: Callable[..., MemoryManager]) -> None:
    make_memory().blocks.rethink("human", "x" * 500, BY_MODEL)
    memory = make_memory(core_memory_blocks={"human": 100})
    assert memory.blocks.get("human").content == "x" * 500
    assert "500 characters, more than its configured limit of 100" in memory.problems.all()["core memory"]
    with pytest.raises(OverLimit):
        memory.blocks.append("human", "y", BY_MODEL)


def test_a_raised_limit_and_a_new_block_take_effect_and_dropped_ones_stay(
    make_memory: Callable[..., MemoryManager],
) -> None:
    make_memory().blocks.rethink("system", "kept", BY_MODEL)
    memory = make_memory(core_memory_blocks={"human": 4096, "projects": 300})
    limits = {block.label: block.limit for block in memory.blocks.all()}
    assert limits["human"] == 4096
    assert limits["projects"] == 300
    assert memory.blocks.get("system").content == "kept"


def test_a_secret_is_replaced_by_a_mark(memory: MemoryManager) -> None:
    edit = memory.blocks.append("human", "my wifi password is Tr0ub4dor-and-3", BY_MODEL)
    assert "Tr0ub4dor" not in edit.block.content
    assert "[redacted: " in edit.block.content
    assert edit.redacted


def test_appends_of_many_threads_all_arrive(memory: MemoryManager) -> None:
    failures: list[BaseException] = []

    def work(thread: int) -> None:
        try:
            for number in range(5):
                memory.blocks.append("human", f"t{thread}n{number}", BY_MODEL)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    lines = memory.blocks.get("human").content.split("\n")
    assert sorted(lines) == sorted(f"t{thread}n{number}" for thread in range(8) for number in range(5))
    assert memory.blocks.get("human").version == 41


def test_edits_of_8_threads_are_all_in_the_journal_and_every_conflict_is_told(memory: MemoryManager) -> None:
    done: list[tuple[int, str]] = []
    conflicts: list[tuple[int, str]] = []
    failures: list[BaseException] = []

    def work(thread: int) -> None:
        try:
            for number in range(40):
                token = f"t{thread}n{number}"
                seen = memory.blocks.get("human")
                if number % 2:
                    done.append((memory.blocks.append("human", token, BY_MODEL).block.version, token))
                    continue
                try:
                    shorter = "\n".join([*seen.content.split("\n")[-20:], token]).lstrip("\n")
                    edit = memory.blocks.rethink("human", shorter, BY_MODEL, expected_version=seen.version)
                except Conflict as conflict:
                    conflicts.append((seen.version, str(conflict)))
                else:
                    assert edit.block.version == seen.version + 1
                    done.append((edit.block.version, token))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(done) + len(conflicts) == 320
    assert sorted(version for version, _ in done) == list(range(2, len(done) + 2))
    for version, token in done:
        assert memory.blocks.version("human", version).split("\n")[-1] == token
        assert token not in memory.blocks.version("human", version - 1).split("\n")
    for version, told in conflicts:
        assert f"not {version}: it was changed since; nothing was changed now" in told
