"""Passages that are ended: search shows the current ones, the past shows what held then."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from doubles import FixedClock

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.errors import InvalidArgument
from mira_ltmemory.protocols import Actor, Category, Change, Filter

BY_TEST = Change(Actor.AUTOMATION, "test")


def texts(memory: MemoryManager, query: str, filter: Filter | None = None) -> list[str]:
    return [hit.content for hit in memory.archival.search(query, filter).hits]


def end(memory: MemoryManager, id: UUID, *, version: int | None = None, after: timedelta = timedelta()) -> int | None:
    with memory.store.write(BY_TEST) as unit:
        done = unit.passages.end(id, memory.clock.now() + after, version=version, note={"superseded_by": "x"})
        return unit.change_set_id if done else None


def test_search_leaves_out_what_is_ended(memory: MemoryManager, clock: FixedClock) -> None:
    old = memory.archival.insert("Ann lives in Lyon.")
    memory.archival.insert("Ann lives in Porto.")
    before = memory.archival.search("Where does Ann live?")
    clock.advance(hours=1)
    change = end(memory, old.id)
    assert change is not None
    assert texts(memory, "Where does Ann live?") == ["Ann lives in Porto."]
    assert texts(memory, "", Filter(start=clock.now() - timedelta(days=1))) == ["Ann lives in Porto."]
    assert memory.archival.search("Ann").total == 1 < before.total
    with_ended = memory.archival.search("Where does Ann live?", Filter(include_ended=True))
    ended = {hit.content: hit.valid_until for hit in with_ended.hits}
    assert ended == {"Ann lives in Lyon.": clock.now(), "Ann lives in Porto.": None}


def test_the_past_shows_what_held_then(memory: MemoryManager, clock: FixedClock) -> None:
    old = memory.archival.insert("Ann lives in Lyon.")
    assert old.change_set_id is not None
    clock.advance(hours=1)
    change = end(memory, old.id)
    assert change is not None
    assert [hit.content for hit in memory.as_of(old.change_set_id).passages()] == ["Ann lives in Lyon."]
    assert memory.as_of(change).passages() == []
    assert [hit.content for hit in memory.as_of(change).passages(filter=Filter(include_ended=True))] == [
        "Ann lives in Lyon."
    ]
    memory.history.undo(change, BY_TEST)
    assert texts(memory, "Ann") == ["Ann lives in Lyon."]


def test_an_end_in_the_future_comes_by_itself(memory: MemoryManager, clock: FixedClock) -> None:
    trip = memory.archival.insert("Ann is in Japan.")
    end(memory, trip.id, after=timedelta(days=14))
    assert texts(memory, "Ann") == ["Ann is in Japan."]
    clock.advance(days=13)
    assert texts(memory, "Ann") == ["Ann is in Japan."]
    then = clock.now()
    clock.advance(days=2)
    assert texts(memory, "Ann") == []
    assert [hit.content for hit in memory.as_of(then).search("Ann").hits] == ["Ann is in Japan."]
    assert memory.as_of(clock.now()).search("Ann").hits == ()


def test_ending_compares_the_version(memory: MemoryManager) -> None:
    row = memory.archival.insert("Ann likes tea.")
    memory.archival.insert("Ann likes tea.", ["drinks"])  # version 2
    assert end(memory, row.id, version=1) is None
    assert end(memory, row.id, version=2) is not None
    assert end(memory, row.id) is None, "it is ended already"


def test_categories_filter(memory: MemoryManager) -> None:
    memory.archival.insert("Ann plays chess.")
    assert texts(memory, "Ann", Filter(categories=(Category.NOTE,))) == ["Ann plays chess."]
    assert texts(memory, "Ann", Filter(categories=(Category.FACT, Category.SUMMARY))) == []
    assert [hit.category for hit in memory.archival.search("Ann").hits] == ["note"]
    with pytest.raises(InvalidArgument, match="categories cannot filter messages"):
        memory.recall.search("Ann", Filter(categories=(Category.NOTE,)))


def test_what_is_said_anew_after_it_ended_holds_again(memory: MemoryManager, clock: FixedClock) -> None:
    old = memory.archival.insert("Ann lives in Lyon.")
    clock.advance(hours=1)
    end(memory, old.id)
    again = memory.archival.insert("Ann lives in Lyon.")
    assert not again.known and again.id != old.id
    assert texts(memory, "Ann") == ["Ann lives in Lyon."]
    assert len(texts(memory, "Ann", Filter(include_ended=True))) == 2


def test_the_tool_finds_what_is_ended_when_asked(memory: MemoryManager, clock: FixedClock) -> None:
    search = next(tool for tool in memory.tools() if tool.name == "archival_memory_search")
    old = memory.archival.insert("Ann lives in Lyon.")
    clock.advance(days=1)
    end(memory, old.id)
    assert search.run(query="Ann")["results"] == []
    (hit,) = search.run(query="Ann", include_ended=True, categories=["note"])["results"]
    assert (hit["content"], hit["holds_until"]) == ("Ann lives in Lyon.", "2025-05-06")
    assert search.run(query="Ann", include_ended=True, categories=["fact", "window"])["results"] == []
    refused = search.run(query="Ann", categories=["dream"])
    assert not refused["success"] and "categories must be among note, fact" in refused["error"]
