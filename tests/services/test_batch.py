"""Windows of conversations: each message once, whatever fails, dies or comes late."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from doubles import FixedClock, ListedLLM
from noting import Noting, processor
from talking import marks, rows, said

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.errors import LLMBadAnswer, LLMRejected, LLMUnavailable
from mira_ltmemory.protocols import Actor, Category, Change, Kind, LLMReply, Role
from mira_ltmemory.services.asking import MeteredLLM, RunBudget
from mira_ltmemory.services.batch import BatchReport, Window
from mira_ltmemory.services.batch.forming import MAX_CHARS, MAX_MESSAGES
from mira_ltmemory.services.batch.processor import MODEL_AWAY, SET_ASIDE
from mira_ltmemory.store.unit_of_work import SqlUnitOfWork

BY_USER = Change(Actor.USER, "test")


def test_each_message_is_processed_once(memory: MemoryManager) -> None:
    step = Noting(memory)
    said(memory, "one", "two", "three")
    report = processor(memory, step).run()
    assert (report.messages, report.windows, report.counts, report.waiting) == (3, 1, {"noted": 3}, 0)
    assert rows(memory) == ["one | two | three"]
    assert processor(memory, step).run() == BatchReport()
    assert len(step.windows) == 1
    assert [mark[0] for mark in marks(memory)] == ["done"] * 3


def test_a_conversation_that_grows_is_taken_up_where_it_stood(memory: MemoryManager) -> None:
    step = Noting(memory)
    said(memory, "one", "two")
    processor(memory, step).run()
    said(memory, "three")
    early = memory.clock.now() - timedelta(days=1)
    said(memory, "zero", said_at=early, external_id="early")
    processor(memory, step).run()
    assert sorted(rows(memory)) == ["one | two", "three", "zero"]
    late = step.windows[-1]
    assert [message.content for message in late.messages] == ["three"]
    assert [message.content for message in late.context] == ["zero", "one", "two"]


def test_windows_end_with_time_length_and_conversation(memory: MemoryManager, clock: FixedClock) -> None:
    step = Noting(memory)
    said(memory, "a1", "a2", conversation="a")
    clock.advance(minutes=61)
    said(memory, "a3", conversation="a")
    said(memory, "b1", conversation="b")
    said(memory, *["x" * (MAX_CHARS // 2)] * 3, "y" * (2 * MAX_CHARS), "z", conversation="c")
    said(memory, *[str(number) for number in range(MAX_MESSAGES + 1)], conversation="d", apart=timedelta(seconds=1))
    processor(memory, step, hours=1).run()
    shape = [(window.messages[0].content[:2], len(window.messages)) for window in step.windows]
    assert shape == [("a1", 2), ("a3", 1), ("b1", 1), ("xx", 2), ("xx", 1), ("yy", 1), ("z", 1), ("0", 24), ("24", 1)]


def test_one_run_is_one_change_set_to_undo(memory: MemoryManager) -> None:
    said(memory, "one", conversation="a")
    said(memory, "two", conversation="b")
    report = processor(memory, Noting(memory)).run(Change(Actor.AUTOMATION, "process_conversations", "due"))
    assert report.change_set_id is not None
    with memory.store.read() as unit:
        entries = [entry for entry in unit.journal.latest(3) if entry.tool == "process_conversations"]
    assert [entry.parent_id for entry in entries] == [report.change_set_id, report.change_set_id, None]
    memory.history.undo(report.change_set_id, BY_USER)
    assert rows(memory) == []
    assert processor(memory, Noting(memory)).run().messages == 0, "what was undone is not made again by itself"


def test_windows_that_say_nothing_leave_no_change_set(memory: MemoryManager) -> None:
    said(memory, " ")
    with memory.store.read() as unit:
        before = unit.journal.last_id()
    report = processor(memory, Noting(memory)).run()
    assert (report.messages, report.change_set_id) == (1, None)
    with memory.store.read() as unit:
        assert unit.journal.last_id() == before


def test_a_poison_message_is_found_and_set_aside_and_the_rest_goes_on(memory: MemoryManager, clock: FixedClock) -> None:
    def disturb(window: Window) -> None:
        if any("poison" in message.content for message in window.messages):
            raise LLMBadAnswer("password = hunter2hunter2 cannot be read")

    step = Noting(memory, disturb)
    said(memory, *[f"m{number}" for number in range(5)], "poison", "m6", "m7", conversation="a")
    said(memory, "b1", conversation="b")
    runs = processor(memory, step)
    first = runs.run()
    assert (first.messages, first.failed, first.waiting) == (1, 1, 8)
    assert rows(memory) == ["b1"]
    assert runs.run().windows == 0, "not again at once"
    for _ in range(20):
        clock.advance(hours=1)
        runs.run()
    assert sorted(rows(memory)) == ["b1", "m0 | m1 | m2 | m3", "m4", "m6 | m7"]
    (aside,) = runs.set_aside()
    assert (aside.conversation, aside.attempts) == ("a", 5)
    assert aside.error is not None and "cannot be read" in aside.error and "hunter2" not in aside.error
    assert runs.counts().aside == 1
    assert "set aside" in memory.problems.all()[SET_ASIDE]
    assert [mark[0] for mark in marks(memory)].count("aside") == 1

    assert runs.retry() == 1
    assert SET_ASIDE not in memory.problems.all()
    step.disturb = lambda _: None
    assert runs.run().messages == 1
    assert "poison" in rows(memory)


def test_an_error_in_storing_leaves_nothing_of_the_window(memory: MemoryManager, clock: FixedClock) -> None:
    class Failing(Noting):
        def store(self, unit: SqlUnitOfWork, window: Window, prepared: Any) -> Mapping[str, int]:
            super().store(unit, window, prepared)
            raise ZeroDivisionError

    said(memory, "one", conversation="a")
    said(memory, "two", conversation="b")
    report = processor(memory, Failing(memory)).run()
    assert (report.windows, report.failed) == (0, 2)
    assert rows(memory) == []
    assert {mark[:2] for mark in marks(memory)} == {("waiting", 1)}
    clock.advance(hours=1)
    processor(memory, Noting(memory)).run()
    assert rows(memory) == ["one", "two"]


@pytest.mark.parametrize("error", [LLMUnavailable("busy"), LLMRejected("401")])
def test_a_model_that_is_away_ends_the_run_and_condemns_no_message(
    memory: MemoryManager, clock: FixedClock, error: Exception
) -> None:
    def away(_: Window) -> None:
        raise error

    for name in "abcd":
        said(memory, name, conversation=name)
    step = Noting(memory, away)
    runs = processor(memory, step)
    for _ in range(10):
        report = runs.run()
        assert report.stopped is not None and str(error) in report.stopped
        clock.advance(hours=1)
    assert len(step.windows) == 10
    assert {mark[:2] for mark in marks(memory)} == {("waiting", 0)}
    assert str(error) in memory.problems.all()[MODEL_AWAY]
    runs.run()
    assert runs.retry() == 1, "the same one is asked first each time; now it need not wait"
    step.disturb = lambda _: None
    assert runs.run().messages == 4
    assert rows(memory) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("error", [LLMUnavailable("no answer in time"), LLMRejected("400 content policy")])
def test_messages_that_the_model_never_answers_block_nothing(
    memory: MemoryManager, clock: FixedClock, error: Exception
) -> None:
    def disturb(window: Window) -> None:
        if any("poison" in message.content for message in window.messages):
            raise error

    for name in "xyz":  # older than all others
        said(memory, f"poison {name}", conversation=name)
    for name in "bcd":
        said(memory, name, conversation=name)
    runs = processor(memory, Noting(memory, disturb), answers=lambda: True)
    report = runs.run()
    assert (report.messages, report.failed, report.stopped) == (3, 3, None)
    assert MODEL_AWAY not in memory.problems.all()
    for number in range(3):
        clock.advance(hours=2)
        said(memory, f"later {number}", conversation="e")
        runs.run()
    assert memory.recall.search("poison").hits[0].content.startswith("poison")
    assert (runs.counts().aside, len(rows(memory))) == (3, 6)


def test_a_run_ends_with_its_budget_and_the_next_goes_on(memory: MemoryManager, clock: FixedClock) -> None:
    for name in "abc":
        said(memory, name, conversation=name)
    step = Noting(memory, lambda _: clock.advance(minutes=6))
    runs = processor(memory, step, budget=lambda: RunBudget(clock, minutes=10))
    first = runs.run()
    assert (first.messages, first.waiting) == (2, 1)
    assert "10 minutes" in first.summary and "1 messages wait" in first.summary
    assert runs.run().messages == 1


def test_a_window_that_was_begun_is_done_whatever_it_costs(memory: MemoryManager) -> None:
    budget = RunBudget(memory.clock, tokens=1_000)
    llm = MeteredLLM(ListedLLM([LLMReply("yes", input_tokens=900, output_tokens=300)] * 4))

    def ask_twice(_: Window) -> None:
        for _ in range(2):
            llm.complete([{"role": "user", "content": "?"}])

    for name in "ab":
        said(memory, name, conversation=name)
    report = processor(memory, Noting(memory, ask_twice), budget=lambda: budget).run()
    assert (report.messages, report.usage.calls, report.waiting) == (1, 2, 1)
    assert report.stopped is not None and "1,000 tokens" in report.stopped


def test_a_run_that_was_taken_over_ends(memory: MemoryManager) -> None:
    said(memory, "one")
    report = processor(memory, Noting(memory)).run(may_go_on=lambda: False)
    assert (report.messages, report.waiting) == (0, 1)
    assert "taken the run over" in report.summary


def test_messages_that_go_meanwhile_are_left_out(memory: MemoryManager) -> None:
    said(memory, "Mireille lives in Lyon", "something else")

    def forget(window: Window) -> None:
        if len(window.messages) == 2:
            memory.erasure.erase(memory.erasure.preview(subject="Mireille"))

    processor(memory, Noting(memory, forget)).run()
    assert rows(memory) == ["something else"]
    assert len(marks(memory)) == 1


def test_progress_is_shown(memory: MemoryManager) -> None:
    shown: list[tuple[str, int, int]] = []
    for name in "ab":
        said(memory, name, conversation=name)
    processor(memory, Noting(memory)).run(progress=lambda *step: shown.append(step))
    assert shown == [("processing", 0, 2), ("processing", 1, 2), ("processing", 2, 2)]


def test_without_a_model_passages_are_the_conversations_own_words(memory: MemoryManager, clock: FixedClock) -> None:
    said(memory, "I moved to Porto in March.", (Role.ASSISTANT, "How do you like it there?"), "The sea is close.")
    said(memory, (Role.TOOL, "Weather in Porto: rain, 14 degrees, wind from the west"))
    clock.advance(minutes=30)
    said(memory, "ok")
    said(memory, "My sister Ann visits me in May.", speaker="Ben")
    report = memory.batches.run()
    assert report.counts["passages"] == 2
    first, second = rows(memory, "content, category, origin, CAST(id AS text)")
    assert first[:3] == (
        "2025-05-05 09:31 to 09:33\nUser: I moved to Porto in March.\nAssistant: How do you like it there?\n"
        "User: The sea is close.",
        "window",
        "user",
    )
    assert second[0] == "2025-05-05 10:05 to 10:06\nUser: ok\nBen: My sister Ann visits me in May."
    hits = memory.archival.search("Where did I move?").hits
    assert hits[0].category == Category.WINDOW and "Porto" in hits[0].content
    with memory.store.read() as unit:
        assert len(unit.passages.sources_of(Kind.PASSAGE, hits[0].id)) == 3
        assert unit.vectors.pending_count() > 0, "messages wait; the passages have their vectors"


def test_windows_leave_room_for_what_was_kept_on_purpose(memory: MemoryManager) -> None:
    for number in range(7):
        said(memory, f"Talking about the garden and the roses, part {number} of many", conversation=str(number))
    notes = [memory.archival.insert(f"Old roses: variety {number}").id for number in range(3)]
    memory.batches.run()
    hits = memory.archival.search("the roses in the garden", limit=5).hits
    assert len(hits) == 5
    assert [hit.category for hit in hits].count("window") == 3
    assert {hit.id for hit in hits if hit.category == "note"} <= set(notes)
    only = memory.archival.search("roses", replace(_windows(), include_ended=True), 5).hits
    assert [hit.category for hit in only] == ["window"] * 5
    assert len(memory.archival.search("the roses in the garden", limit=9).hits) == 9


def _windows() -> Any:
    from mira_ltmemory.protocols import Filter

    return Filter(categories=(Category.WINDOW,))


def test_the_hourly_job_tells_what_it_did(memory: MemoryManager) -> None:
    for job in memory.jobs():
        memory.runner.add(job)
    said(memory, "I moved to Porto in March of this year.")
    result = memory.runner.run("process_conversations")
    assert result["success"]
    counts = result["report"]["counts"]
    assert (counts["messages"], counts["passages"], counts["model_calls"]) == (1, 1, 0)
    assert counts["embedded"] >= 1
    summary = result["report"]["summary"]
    assert summary.startswith("Processed 1 messages in 1 windows, ") and "1 passages" in summary
