"""Several workers on the same conversations: leases, and who is too slow."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from doubles import FixedClock, ListedLLM
from noting import Noting, processor
from talking import marks, rows, said

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.errors import LLMBadAnswer
from mira_ltmemory.services.asking import MeteredLLM
from mira_ltmemory.services.batch import Window
from mira_ltmemory.services.batch.processor import LEASE, MOST_LOST


def test_two_workers_share_the_conversations(memory: MemoryManager) -> None:
    other = Noting(memory)
    second = processor(memory, other, owner="second")

    def disturb(window: Window) -> None:
        if len(first.windows) == 1:  # while the first works on its window, the second does all that is free
            second.run()

    first = Noting(memory, disturb)
    for name in "abc":
        said(memory, name, conversation=name)
    processor(memory, first, owner="first").run()
    assert [window.messages[0].content for window in first.windows] == ["a"]
    assert [window.messages[0].content for window in other.windows] == ["b", "c"]
    assert rows(memory) == ["a", "b", "c"]


def test_workers_at_the_same_time_process_everything_once(memory: MemoryManager) -> None:
    names = [f"talk {number}" for number in range(12)]
    for name in names:
        said(memory, f"{name}: one", f"{name}: two", conversation=name)
    steps = [Noting(memory) for _ in range(3)]
    workers = [processor(memory, step, owner=f"worker {number}") for number, step in enumerate(steps)]
    with ThreadPoolExecutor(len(workers)) as pool:
        reports = list(pool.map(lambda worker: worker.run(), workers))
    assert sum(report.messages for report in reports) == 24
    assert sorted(rows(memory)) == sorted(f"{name}: one | {name}: two" for name in names)
    assert sum(len(step.windows) for step in steps) == 12
    assert {mark[:2] for mark in marks(memory)} == {("done", 0)}


def test_a_worker_that_was_too_slow_stores_nothing(memory: MemoryManager, clock: FixedClock) -> None:
    other = Noting(memory)

    def disturb(_: Window) -> None:
        clock.advance(seconds=LEASE.total_seconds() + 1)
        processor(memory, other, owner="second").run()

    said(memory, "one")
    report = processor(memory, Noting(memory, disturb), owner="first").run()
    assert (report.messages, report.failed) == (0, 0)
    assert rows(memory) == ["one"]
    assert len(other.windows) == 1


def test_a_step_that_takes_longer_than_the_lease_is_done_where_nobody_took_the_window(
    memory: MemoryManager, clock: FixedClock
) -> None:
    step = Noting(memory, lambda _: clock.advance(seconds=2 * LEASE.total_seconds()))
    said(memory, "one")
    report = processor(memory, step).run()
    assert (report.messages, report.failed, len(step.windows)) == (1, 0, 1)
    assert rows(memory) == ["one"]


def test_a_step_that_asks_again_and_again_keeps_its_lease(memory: MemoryManager, clock: FixedClock) -> None:
    llm = MeteredLLM(ListedLLM(default="yes"))
    other = Noting(memory)

    def ask(_: Window) -> None:
        for _ in range(4):
            llm.complete([{"role": "user", "content": "?"}])
            clock.advance(minutes=20)
            assert processor(memory, other, owner="second").run().messages == 0

    said(memory, "one")
    report = processor(memory, Noting(memory, ask), owner="first").run()
    assert (report.messages, report.usage.calls) == (1, 4)
    assert other.windows == []


def test_a_run_that_loses_window_after_window_ends(memory: MemoryManager) -> None:
    taken = 0

    def take(window: Window) -> None:
        nonlocal taken
        taken += 1
        with memory.store.upkeep() as unit:
            changed = "UPDATE ltmemory.batch_conversations SET lease_owner = 'thief', lease_until = NULL "
            unit.batches.execute(changed + "WHERE user_id = :user_id")

    said(memory, "one")
    report = processor(memory, Noting(memory, take)).run()
    assert (taken, report.messages, report.failed, report.waiting) == (MOST_LOST, 0, 0, 1)
    assert report.stopped is not None and "again and again" in report.stopped
    assert {mark[:2] for mark in marks(memory)} == {("waiting", 0)}


def test_a_worker_that_fails_too_late_marks_nothing(memory: MemoryManager, clock: FixedClock) -> None:
    during: list[Sequence[tuple[str, int, str | None]]] = []

    def fail_late(_: Window) -> None:
        clock.advance(seconds=LEASE.total_seconds())
        processor(memory, Noting(memory, fail_first), owner="second").run()
        during.append(marks(memory))
        raise LLMBadAnswer("too late")

    def fail_first(_: Window) -> None:
        raise LLMBadAnswer("of the second")

    said(memory, "one")
    report = processor(memory, Noting(memory, fail_late), owner="first").run()
    assert report.failed == 0, "the second worker's failure counts, once"
    (mark,) = marks(memory)
    assert during == [[mark]]
    assert mark[:2] == ("waiting", 1) and "of the second" in str(mark[2])


def test_a_worker_that_died_is_followed_when_its_lease_ends(memory: MemoryManager, clock: FixedClock) -> None:
    class Death(BaseException):
        pass

    def die(_: Window) -> None:
        raise Death

    said(memory, "one")
    with pytest.raises(Death):
        processor(memory, Noting(memory, die), owner="first").run()
    step = Noting(memory)
    assert processor(memory, step, owner="second").run().messages == 0
    clock.advance(seconds=LEASE.total_seconds())
    assert processor(memory, step, owner="second").run().messages == 1
