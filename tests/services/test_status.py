"""What the memory says about itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from doubles import FixedClock

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.protocols import Actor, Change, IncomingMessage, JobRun, Origin, Role


def run(clock: FixedClock) -> JobRun:
    return JobRun(name="test", scheduled_for=clock.now(), change=Change(Actor.AUTOMATION, "test"))


def say(memory: MemoryManager, clock: FixedClock, *texts: str) -> None:
    memory.capture(
        [
            IncomingMessage(
                conversation_id="c",
                external_id=f"{clock.now()} {number}",
                role=Role.USER,
                content=text,
                said_at=clock.now() + timedelta(minutes=number),
                origin=Origin.USER,
            )
            for number, text in enumerate(texts)
        ]
    )


def test_counts_and_the_queue(memory: MemoryManager, clock: FixedClock) -> None:
    say(memory, clock, "one", "two", "")
    memory.archival.insert("a passage")
    status = memory.status.read()
    assert (status.messages, status.passages, status.conversations, status.pending) == (3, 1, 1, 2)
    assert status.oldest == clock.now()
    memory.process_pending()
    assert memory.status.read().pending == 0


def test_the_health_job_enqueues_what_lost_its_vector(memory: MemoryManager, clock: FixedClock) -> None:
    say(memory, clock, "one", "two", " ", "x" * 200_001)
    memory.process_pending()
    report = memory.status.check_health(run(clock))
    assert (report.counts["missing_vectors"], report.summary) == (0, "Memory is healthy.")
    with memory.database.owner() as connection:
        connection.exec_driver_sql("DELETE FROM ltmemory.vectors WHERE user_id = %s", (memory.store.user_id,))
    report = memory.status.check_health(run(clock))
    assert report.counts["missing_vectors"] == 2
    assert memory.process_pending() == 2
    assert memory.status.check_health(run(clock)).counts["missing_vectors"] == 0


def test_without_a_model_the_status_says_so(make_memory: Callable[..., MemoryManager], clock: FixedClock) -> None:
    memory = make_memory()
    memory.embeddings.use(None)
    assert "words only" in memory.status.check_health(run(clock)).summary


def test_the_status_in_the_prompt_tells_counts_and_what_is_degraded(
    make_memory: Callable[..., MemoryManager], clock: FixedClock
) -> None:
    memory = make_memory(timezone="Pacific/Kiritimati")
    say(memory, clock, "hello")
    memory.record_problem("search by meaning", "off: the model file is missing")
    text = next(part.render() for part in memory.providers() if part.name == "memory_status")
    assert "Recall memory holds 1 messages of 1 conversations, 2025-05-05 to 2025-05-05." in text
    assert "1 texts are found by words now" in text
    assert "Degraded - search by meaning: off: the model file is missing" in text
    memory.clear_problem("search by meaning")
    text = next(part.render() for part in memory.providers() if part.name == "memory_status")
    assert "Degraded" not in text
