"""A run of consolidation: what cools and comes back, bounds, one undo for all of it, and the job."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from doubles import FixedClock
from growing import live

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.protocols import Actor, Category, Change, Filter, IncomingMessage, Kind, Origin, Role
from mira_ltmemory.services.consolidation.cooling import PROBLEM

BY_USER = Change(Actor.USER, "test")
BY_JOB = Change(Actor.AUTOMATION, "test")


def talk(memory: MemoryManager, clock: FixedClock, days: int, *, each: int = 1) -> None:
    """Let the user be there on so many days: the clock ends after the last."""
    for _ in range(days):
        moment = clock.now()
        memory.capture([
            IncomingMessage(
                conversation_id=f"day {moment.date()}", external_id=str(number), role=Role.USER,
                content=f"On {moment.date()} we spoke of subject {number} and of the weather", position=number,
                said_at=moment + timedelta(minutes=number), origin=Origin.USER,
            )
            for number in range(each)
        ])  # fmt: skip
        clock.advance(days=1)


def learn(memory: MemoryManager, *texts: str, category: Category = Category.FACT) -> list[UUID]:
    """Passages as the memory's own work makes them: facts, not notes on request."""
    ids = [memory.archival.insert(text, change=BY_JOB).id for text in texts]
    with memory.store.write(BY_JOB) as unit:
        unit.passages.execute(
            "UPDATE ltmemory.passages SET category = :category WHERE user_id = :user_id "
            "AND id = ANY(CAST(:ids AS uuid[]))",
            category=category.value, ids=ids,
        )  # fmt: skip
    return ids


def tiers(memory: MemoryManager) -> dict[str, str]:
    with memory.store.read() as unit:
        rows = unit.passages.execute("SELECT content, tier FROM ltmemory.passages WHERE user_id = :user_id")
        return {row.content: row.tier for row in rows}


def state(memory: MemoryManager) -> dict[str, Any]:
    """All that memory is: rows without their bookkeeping, and what is derived from them."""
    with memory.store.read() as unit:

        def rows(statement: str) -> list[Any]:
            return sorted(map(tuple, unit.passages.execute(statement)), key=repr)

        return {
            "passages": rows(
                "SELECT id, content, content_hash, category, tier, tags::text, origin, said_at, valid_from, "
                "valid_until, metadata::text FROM ltmemory.passages WHERE user_id = :user_id"
            ),
            "sources": rows("SELECT row_id, source_kind, source_id FROM ltmemory.sources WHERE user_id = :user_id"),
            "words": rows(
                "SELECT kind, row_id, length, encode(terms, 'hex') FROM ltmemory.word_documents "
                "WHERE user_id = :user_id"
            ),
            "totals": rows(
                "SELECT kind, documents, length FROM ltmemory.word_totals WHERE user_id = :user_id AND documents > 0"
            ),
            "cold": rows("SELECT kind, row_id FROM ltmemory.cold_texts WHERE user_id = :user_id"),
            "vectors": rows("SELECT kind, row_id, content_hash FROM ltmemory.vectors WHERE user_id = :user_id"),
        }


def vectors(memory: MemoryManager) -> dict[UUID, Any]:
    with memory.store.read() as unit:
        rows = unit.passages.execute(
            "SELECT row_id, CAST(embedding AS text) AS vector FROM ltmemory.vectors WHERE user_id = :user_id"
        )
        return {row.row_id: np.array(eval(row.vector), dtype=np.float32) for row in rows}


def old_memory(make_memory: Callable[..., MemoryManager], clock: FixedClock, **settings: Any) -> MemoryManager:
    memory = make_memory(max_memory_age_days=5, **settings)
    talk(memory, clock, 1)
    learn(memory, "Ruth plays the oboe", "Ruth plays the oboe. She lives in Bergen.", "The boat is called Petrel")
    memory.archival.insert("Remember this: the key lies under the stone", change=BY_USER)
    memory.process_pending()
    return memory


def test_what_is_old_and_unimportant_goes_cold(make_memory: Callable[..., MemoryManager], clock: FixedClock) -> None:
    memory = old_memory(make_memory, clock)
    memory.consolidation.consolidate()
    assert set(tiers(memory).values()) == {"hot"}
    talk(memory, clock, 40)
    done = memory.consolidation.consolidate()
    assert done.counts["to cold storage"] >= 2
    assert tiers(memory)["The boat is called Petrel"] == "cold"
    assert tiers(memory)["Remember this: the key lies under the stone"] == "hot"
    assert memory.archival.search("name of the boat", Filter(tiers=("cold",))).hits[0].tier == "cold"


def test_nothing_ages_while_the_user_is_away(make_memory: Callable[..., MemoryManager], clock: FixedClock) -> None:
    memory = old_memory(make_memory, clock)
    clock.advance(days=900)
    memory.consolidation.consolidate()
    assert tiers(memory)["The boat is called Petrel"] == "hot"


def test_what_is_used_stays_and_comes_back(make_memory: Callable[..., MemoryManager], clock: FixedClock) -> None:
    memory = old_memory(make_memory, clock)
    talk(memory, clock, 40)
    boat = memory.archival.search("boat").hits[0]
    memory.uses.shown([boat])
    memory.consolidation.consolidate()
    assert tiers(memory)["The boat is called Petrel"] == "hot"
    talk(memory, clock, 40)
    memory.consolidation.consolidate()
    assert tiers(memory)["The boat is called Petrel"] == "cold"
    memory.uses.shown(memory.archival.search("boat", Filter(tiers=("cold",))).hits[:1])
    done = memory.consolidation.consolidate()
    assert done.counts["brought back"] == 1
    assert tiers(memory)["The boat is called Petrel"] == "hot"
    assert memory.archival.search("boat").hits[0].id == boat.id


def test_the_bound_holds_and_the_least_important_go_first(
    make_memory: Callable[..., MemoryManager], clock: FixedClock
) -> None:
    memory = make_memory(max_hot_passages=4)
    talk(memory, clock, 1)
    learn(memory, *[f"Fact of number {number} about the {number} lakes" for number in range(8)])
    used = memory.archival.search("number 3", limit=8).hits[0]
    memory.uses.shown([used])
    memory.archival.insert("a note on request", change=BY_USER)
    done = memory.consolidation.consolidate()
    hot = {content for content, tier in tiers(memory).items() if tier == "hot"}
    assert done.counts["hot passages"] == len(hot) == 4
    assert {used.content, "a note on request"} <= hot


def test_notes_beyond_the_bound_are_told_and_kept(make_memory: Callable[..., MemoryManager], clock: FixedClock) -> None:
    memory = make_memory(max_hot_passages=2)
    for number in range(4):
        memory.archival.insert(f"note {number} on request", change=BY_USER)
    done = memory.consolidation.consolidate()
    assert set(tiers(memory).values()) == {"hot"}
    assert any("max_hot_passages" in note for note in done.notes)
    assert PROBLEM in memory.problems.all()


def test_old_messages_leave_the_index_and_stay_findable(
    make_memory: Callable[..., MemoryManager], clock: FixedClock
) -> None:
    memory = make_memory(max_hot_messages=10)
    talk(memory, clock, 6, each=5)
    first = clock.now() - timedelta(days=6)
    memory.process_pending()
    assert memory.consolidation.consolidate().counts["messages to cold storage"] == 20
    with memory.store.read() as unit:
        assert unit.cold.count(Kind.MESSAGE) == 20
        assert unit.consolidation.hot_messages() == 10
    assert memory.recall.count() == 30
    every = memory.recall.search("subject and weather", Filter(tiers=("hot", "cold")), 50)
    assert len(every.hits) == 30
    oldest = memory.recall.search(f"what was said on {first.date()}", Filter(tiers=("cold",)), 5).hits
    assert {hit.said_at.date() for hit in oldest} == {first.date()}
    assert memory.consolidation.consolidate().counts["messages to cold storage"] == 0


def test_one_run_is_undone_whole(make_memory: Callable[..., MemoryManager], clock: FixedClock) -> None:
    memory = old_memory(make_memory, clock)
    learn(memory, "Ruth's birthday is 4 May.", "Ruth's birthday is 5 May.")
    talk(memory, clock, 40, each=2)
    memory.process_pending()
    before, meanings = state(memory), vectors(memory)
    done = memory.consolidation.consolidate()
    assert done.counts["merged"]
    assert done.counts["conflicts"]
    assert done.counts["to cold storage"]
    assert state(memory) != before
    assert done.change_set_id is not None
    memory.history.undo(done.change_set_id, BY_USER)
    memory.process_pending()
    assert state(memory) == before
    now = vectors(memory)
    assert now.keys() == meanings.keys()
    assert min(float(now[row] @ meanings[row]) for row in now) > 0.999
    # What a person took back is not done again the next night.
    assert not memory.consolidation.consolidate().counts.get("merged")
    assert state(memory)["passages"] == before["passages"]


def test_the_job_says_what_it_did(make_memory: Callable[..., MemoryManager], clock: FixedClock) -> None:
    memory = old_memory(make_memory, clock)
    for job in memory.jobs():
        memory.runner.add(job)
    talk(memory, clock, 1)
    told = memory.runner.run("consolidate_memory", force=True)
    assert told["success"]
    assert "1 near-duplicates merged" in told["report"]["summary"]
    entries = {entry.id: entry for entry in memory.history.log(20)}
    parent = next(entry for entry in entries.values() if entry.tool == "consolidate_memory" and entry.parent_id is None)
    parts = [entry for entry in entries.values() if entry.parent_id == parent.id]
    assert parts
    assert all(entry.reason and entry.actor == "automation" for entry in parts)


def test_a_run_that_was_taken_over_ends_early(make_memory: Callable[..., MemoryManager], clock: FixedClock) -> None:
    memory = old_memory(make_memory, clock)
    done = memory.consolidation.consolidate(may_go_on=lambda: False)
    assert done.change_set_id is None
    assert any("took it over" in note for note in done.notes)
    assert memory.consolidation.consolidate().counts["merged"] == 1


def test_without_a_model_for_meaning_the_rest_goes_on(config: Any, clock: FixedClock) -> None:
    from mira_ltmemory.composition import open_memory

    memory = open_memory(config.model_copy(update={"onnx_model_path": Path("missing.onnx")}), clock=clock)
    try:
        memory.archival.insert("a note on request", change=BY_USER)
        done = memory.consolidation.consolidate()
        assert any("embedding model" in note for note in done.notes)
    finally:
        memory.close()


def test_many_messages_make_it_due_before_its_hour(
    make_memory: Callable[..., MemoryManager], clock: FixedClock
) -> None:
    memory = make_memory(consolidation_threshold=10)
    for job in memory.jobs():
        memory.runner.add(job)
    learn(memory, "Ruth plays the oboe", "Ruth plays the oboe. She lives in Bergen.")
    talk(memory, clock, 1, each=9)
    assert "Consolidated" not in memory.runner.run("process_conversations", force=True)["report"]["summary"]
    talk(memory, clock, 1)
    assert "1 near-dup" in memory.runner.run("process_conversations", force=True)["report"]["summary"]
    assert "Consolidated" not in memory.runner.run("process_conversations", force=True)["report"]["summary"]


def test_growth_stays_within_its_bounds(make_memory: Callable[..., MemoryManager], clock: FixedClock) -> None:
    """A sample of tests/proofs/growth.py."""
    memory = make_memory(max_hot_passages=12, max_hot_messages=60, max_memory_age_days=5)
    for size in live(memory, clock, 12, 10, every=4):
        assert size.hot_passages <= 12
        assert size.hot_messages <= 60
    assert (size.messages, size.hot_messages) == (120, 60)
    found = memory.recall.search("note d1n2", Filter(tiers=("hot", "cold")), 4).hits
    assert [hit.tier for hit in found] == ["hot", "cold", "hot", "cold"]
    assert "d1n2)" in found[1].content
