"""The journal, undo, snapshots and memory as it was, on the command line."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from doubles import FixedClock

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.protocols import Actor, Change

Run = Callable[..., str]
BY_MODEL = Change(Actor.MODEL, "test", "[red]because[/red]\x1b[31m")


def flat(text: str) -> str:
    return re.sub(r"[\s\u2500-\u257f]+", " ", text)


@pytest.fixture
def edits(memory: MemoryManager) -> list[int]:
    return [memory.blocks.append("human", text, BY_MODEL).change_set_id for text in ("one", "two")]


def test_log(run: Run, memory: MemoryManager, edits: list[int]) -> None:
    told = run("log")
    assert "[red]because[/red]\\x1b[31m" in told
    assert "2025-05-05 09:30 UTC" in told
    assert "model" in told
    memory.archival.insert("Roses want sun.")
    assert "archival" in run("log", "--limit", "1")
    assert "archival" not in run("log", "human")
    run("undo", str(edits[1]), "--yes", "--reason", "was wrong")
    told = flat(run("log", "--limit", "2"))
    assert f"cli undo was wrong undoes {edits[1]}" in told
    assert re.search(rf" {edits[1]} 2025-05-05 .* undone ", flat(run("log")))
    assert "There is no core memory block 'nobody'" in run("log", "nobody", code=1)


def test_log_reads_times_in_the_users_zone(run: Run, edits: list[int]) -> None:
    assert "2025-05-05 11:30 CEST" in run("log", LT_MEMORY_TIMEZONE="Europe/Berlin")


def test_log_marks_untrusted_text_and_runs(run: Run, memory: MemoryManager) -> None:
    with memory.store.write(Change(Actor.AUTOMATION, "tidy"), {"untrusted_source": ["1"]}) as unit:
        parent = unit.change_set_id
    child = memory.blocks.append("human", "tidied", Change(Actor.AUTOMATION, "tidy", parent=parent)).change_set_id
    told = flat(run("log", "--limit", "2"))
    assert re.search(rf" {child} \S+ \S+ UTC automation tidy {parent} ", told)
    assert "untrusted: repeats text of a tool or web page" in told
    run("undo", str(parent), "--yes")
    assert memory.blocks.get("human").content == ""


def test_undo_shows_what_it_does_and_asks_where_nobody_can_answer(
    run: Run, memory: MemoryManager, edits: list[int]
) -> None:
    newest = memory.history.log(1)[0].id
    told = run("undo", str(edits[1]), code=1)
    assert "-two" in told
    assert "This changes 1 block." in told
    assert "Give --yes" in told
    assert memory.history.log(1)[0].id == newest
    assert "Undone: 1 change set, 1 block." in run("undo", str(edits[1]), "--yes")
    assert memory.blocks.get("human").content == "one"


def test_undo_refuses_with_the_list(run: Run, memory: MemoryManager, edits: list[int]) -> None:
    told = run("undo", str(edits[0]), "--yes", code=1)
    assert "later change sets depend on it" in told
    assert f"{edits[1]} (" in told
    assert "--with-dependents" in told
    assert memory.blocks.get("human").content == "one\ntwo"
    assert "Undone: 2 change sets" in run("undo", str(edits[0]), "--with-dependents", "--yes")
    assert memory.blocks.get("human").content == ""
    assert "is undone already" in run("undo", str(edits[0]), "--yes", code=1)
    assert "There is no change set 99999" in run("undo", "99999", "--yes", code=1)


def test_undo_at_a_terminal(run: Run, answer: Run, memory: MemoryManager, edits: list[int]) -> None:
    assert "Nothing was changed." in answer("n\n", "undo", str(edits[1]), code=1)
    assert memory.blocks.get("human").content == "one\ntwo"
    assert "Undone" in answer("y\n", "undo", str(edits[1]))
    assert memory.blocks.get("human").content == "one"


def test_snapshots(run: Run, memory: MemoryManager, edits: list[int]) -> None:
    assert "There are no snapshots." in run("snapshot")
    assert f"after change set {edits[1]}" in run("snapshot", "create", "before [b]trip", "--note", "[red]note")
    assert "already" in run("snapshot", "create", "before [b]trip", code=1)
    assert "[red]note" in run("snapshot", "list")
    assert "Nothing changed." in run("snapshot", "diff", "before [b]trip")
    assert "nothing was changed" in run("snapshot", "restore", "before [b]trip", "--yes")
    memory.blocks.append("human", "three", BY_MODEL)
    memory.archival.insert("Roses want sun.")
    told = run("snapshot", "diff", "before [b]trip")
    assert "+three" in told
    assert "passages: 1 came, 0 went, 0 changed" in told
    run("snapshot", "create", "after")
    assert "-three" in run("snapshot", "diff", "after", "before [b]trip")
    told = run("snapshot", "restore", "before [b]trip", code=1)
    assert "-three" in told
    assert "Give --yes" in told
    assert memory.blocks.get("human").content == "one\ntwo\nthree"
    assert "Restored" in run("snapshot", "restore", "before [b]trip", "--yes")
    assert memory.blocks.get("human").content == "one\ntwo"
    assert "Give --yes" in run("snapshot", "delete", "after", code=1)
    run("snapshot", "delete", "after", "-y")
    assert "There is no snapshot 'after'" in run("snapshot", "diff", "after", code=1)
    assert "There is no snapshot 'after'" in run("snapshot", "restore", "after", "--yes", code=1)


def test_as_of_a_change_set_a_time_a_day_and_a_snapshot(
    run: Run, memory: MemoryManager, clock: FixedClock, edits: list[int]
) -> None:
    run("snapshot", "create", "7")
    clock.advance(days=1)
    memory.blocks.append("human", "three", BY_MODEL)
    assert "two" not in run("as-of", str(edits[0]))
    assert f"after change set {edits[0]} of 2025-05-05 09:30 UTC" in run("as-of", str(edits[0]))
    for when in ("2025-05-05", "2025-05-05T09:30", "2025-05-05T09:30+00:00", "2025-05-06 09:29"):
        told = run("as-of", when)
        assert "two" in told
        assert "three" not in told
    assert "three" in run("as-of", "2025-05-06")
    assert "three" not in run("as-of", "7", "--snapshot")
    assert "There were no blocks." in run("as-of", "2025-05-04")
    assert "two" in run("as-of", "2025-05-05T11:30", LT_MEMORY_TIMEZONE="Europe/Berlin")
    assert "one" not in run("as-of", "2025-05-05T11:29", LT_MEMORY_TIMEZONE="Europe/Berlin")


def test_as_of_searches_and_renders(run: Run, memory: MemoryManager, edits: list[int]) -> None:
    memory.archival.insert("Roses want [b]sun[/b].")
    told = run("as-of", str(memory.history.log(1)[0].id), "--search", "roses")
    assert "Roses want [b]sun[/b]." in told
    assert "Nothing was found." in run("as-of", str(edits[1]), "--search", "roses")
    then = run("as-of", str(edits[0]), "--prompt")
    assert then.strip() == memory.as_of(edits[0]).render().strip()


def test_as_of_refuses(run: Run, edits: list[int]) -> None:
    assert "lies in the future" in run("as-of", "2999-01-01", code=1)
    assert "There is no change set 99999" in run("as-of", "99999", code=1)
    told = run("as-of", "2025-13-45", code=1)
    assert "There is no snapshot '2025-13-45'" in told
    assert "YYYY-MM-DD" in told
    assert "give only one" in run("as-of", "1", "--search", "x", "--prompt", code=2)


def test_prune(run: Run, memory: MemoryManager, clock: FixedClock, edits: list[int]) -> None:
    assert "retention_days is not set" in run("prune", code=1)
    told = run("prune", "--before", "2025-05-06", code=1)
    assert "Give --yes" in told
    assert "two" in run("as-of", str(edits[1]))
    assert "one" in run("as-of", str(edits[0]))
    assert "2 blocks" in run("prune", "--before", "2025-05-06", "--yes")
    assert "is not kept" in run("as-of", str(edits[0]), code=1)
    assert "future" in run("prune", "--before", "2999-01-01", "--yes", code=1)
