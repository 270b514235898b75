"""Recall memory."""

from __future__ import annotations

import threading
from datetime import timedelta

from doubles import FixedClock
from hypothesis import given, settings
from hypothesis import strategies as st

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.protocols import Filter, IncomingMessage, Origin, Role


def message(
    number: int, content: str, *, conversation: str = "c1", clock: FixedClock, **more: object
) -> IncomingMessage:
    values: dict[str, object] = {
        "conversation_id": conversation,
        "external_id": f"m{number}",
        "role": Role.USER,
        "content": content,
        "said_at": clock.now() + timedelta(minutes=number),
        "origin": Origin.USER,
        **more,
    }
    return IncomingMessage(**values)  # type: ignore[arg-type]


def stored(memory: MemoryManager) -> list[str]:
    with memory.store.read() as unit:
        rows = unit.messages.execute(
            "SELECT content FROM ltmemory.messages WHERE user_id = :user_id ORDER BY conversation_id, position"
        )
        return [row.content for row in rows]


def test_a_message_is_stored_once_however_often_it_is_captured(memory: MemoryManager, clock: FixedClock) -> None:
    batch = [message(1, "hello", clock=clock), message(2, "world", clock=clock)]
    assert memory.capture(batch) == batch
    assert memory.capture(batch) == []
    assert memory.capture([batch[1], batch[1], message(3, "!", clock=clock)]) == [message(3, "!", clock=clock)]
    assert stored(memory) == ["hello", "world", "!"]


def test_the_same_id_in_two_conversations_is_two_messages(memory: MemoryManager, clock: FixedClock) -> None:
    memory.capture([message(1, "here", clock=clock), message(1, "there", conversation="c2", clock=clock)])
    assert sorted(stored(memory)) == ["here", "there"]


def test_threads_that_capture_the_same_messages_store_each_once(memory: MemoryManager, clock: FixedClock) -> None:
    batch = [message(number, f"text {number}", clock=clock) for number in range(20)]
    new: list[int] = []
    threads = [threading.Thread(target=lambda: new.append(len(memory.capture(batch)))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(new) == 20
    assert len(stored(memory)) == 20


def test_what_postgres_cannot_store_becomes_visible(memory: MemoryManager, clock: FixedClock) -> None:
    memory.capture([message(1, "a\x00b\ud800c", clock=clock)])
    assert stored(memory) == ["a\\u0000b\\ud800c"]


def test_an_oversized_message_is_stored_whole_and_not_embedded(memory: MemoryManager, clock: FixedClock) -> None:
    text = "word " * 50_000
    memory.capture([message(1, text, clock=clock), message(2, "", clock=clock), message(3, "short", clock=clock)])
    assert stored(memory) == [text, "", "short"]
    assert memory.process_pending() == 1


def test_recalled_memory_is_never_captured(memory: MemoryManager, clock: FixedClock) -> None:
    assert memory.capture([message(1, "shown again", clock=clock, origin=Origin.RECALLED)]) == []
    assert memory.recall.count() == 0


def test_secrets_are_replaced_before_they_are_stored(memory: MemoryManager, clock: FixedClock) -> None:
    memory.capture([message(1, "my password is Xk9#mLq2vv, keep it", clock=clock)])
    assert "Xk9" not in stored(memory)[0]
    assert "keep it" in stored(memory)[0]
    with memory.store.read() as unit:
        row = unit.messages.execute("SELECT metadata FROM ltmemory.messages WHERE user_id = :user_id").one()
    assert row.metadata["redacted"]


def test_a_part_imported_later_falls_into_its_place(memory: MemoryManager, clock: FixedClock) -> None:
    memory.capture([message(number, str(number), clock=clock) for number in (5, 6)])
    memory.import_messages(
        [message(number, str(number), clock=clock, position=number) for number in range(1, 7)], "a file"
    )
    assert stored(memory) == ["1", "2", "3", "4", "5", "6"]


def test_words_find_a_message_at_once_and_meaning_after_the_job(memory: MemoryManager, clock: FixedClock) -> None:
    memory.capture(
        [
            message(1, "We adopted a puppy from the shelter yesterday", clock=clock),
            message(2, "The quarterly tax report is due on Friday", clock=clock),
            message(3, "Let us paint the kitchen yellow", clock=clock),
        ]
    )
    assert memory.recall.search("shelter puppy").hits[0].external_id == "m1"
    memory.process_pending()
    assert memory.recall.search("new dog at home").hits[0].external_id == "m1"


def test_filters_are_applied_inside_the_search(memory: MemoryManager, clock: FixedClock) -> None:
    memory.capture(
        [message(number, f"the garden in week {number}", clock=clock) for number in range(10)]
        + [message(99, "garden notes", clock=clock, role=Role.ASSISTANT, origin=Origin.ASSISTANT)]
    )
    found = memory.recall.search("garden", Filter(roles=(Role.ASSISTANT,)), 5)
    assert [hit.external_id for hit in found.hits] == ["m99"]
    found = memory.recall.search("garden", Filter(end=clock.now() + timedelta(minutes=2)), 5)
    assert {hit.external_id for hit in found.hits} == {"m0", "m1"}


@settings(max_examples=25)
@given(contents=st.lists(st.text(max_size=60), max_size=8))
def test_capture_never_drops_a_message(memory: MemoryManager, clock: FixedClock, contents: list[str]) -> None:
    before = memory.recall.count()
    run = f"run {before}"
    batch = [message(number, text, conversation=run, clock=clock) for number, text in enumerate(contents)]
    assert len(memory.capture(batch)) == len(contents)
    assert memory.recall.count() == before + len(contents)
