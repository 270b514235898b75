"""Uses: what was shown is counted by day, bounded, and gone with its row."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from uuid import UUID

from doubles import FixedClock

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.errors import StoreUnavailable
from mira_ltmemory.protocols import Filter, IncomingMessage, Kind, Origin, Role
from mira_ltmemory.services.problems import Problems
from mira_ltmemory.services.uses import PROBLEM, UseService
from mira_ltmemory.store.unit_of_work import SqlUnitOfWork, Store
from mira_ltmemory.store.uses import MAX_DAYS, UsedOn


def uses(memory: MemoryManager, kind: Kind, row_id: UUID) -> list[UsedOn]:
    with memory.store.read() as unit:
        return unit.uses.of(kind, [row_id]).get(row_id, [])


def test_a_tools_hits_are_counted_by_day(memory: MemoryManager, clock: FixedClock) -> None:
    row = memory.archival.insert("Ruth plays the oboe").id
    search = next(each for each in memory.tools() if each.name == "archival_memory_search")
    for _ in range(2):
        assert search.run(query="oboe")["success"]
    clock.advance(days=1)
    search.run(query="oboe")
    today = clock.now().date()
    assert uses(memory, Kind.PASSAGE, row) == [UsedOn(today, 1), UsedOn(today - dt.timedelta(days=1), 2)]


def test_messages_are_counted_too(memory: MemoryManager, clock: FixedClock) -> None:
    memory.capture([IncomingMessage(
        conversation_id="c", external_id="1", role=Role.USER, content="The boat is called Petrel",
        said_at=clock.now(), origin=Origin.USER,
    )])  # fmt: skip
    search = next(each for each in memory.tools() if each.name == "conversation_search")
    search.run(query="what is the boat called")
    (hit,) = memory.recall.search("boat", Filter(), 1).hits
    assert [use.count for use in uses(memory, Kind.MESSAGE, hit.id)] == [1]


def test_a_search_by_a_person_is_no_use(memory: MemoryManager) -> None:
    row = memory.archival.insert("Ruth plays the oboe").id
    memory.archival.search("oboe")
    assert uses(memory, Kind.PASSAGE, row) == []


def test_the_day_is_the_users(make_memory: Callable[..., MemoryManager], clock: FixedClock) -> None:
    memory = make_memory(timezone="Pacific/Auckland")
    clock.moment = dt.datetime(2025, 5, 5, 20, tzinfo=dt.UTC)
    row = memory.archival.insert("Ruth plays the oboe").id
    memory.uses.shown(memory.archival.search("oboe").hits)
    assert [use.day for use in uses(memory, Kind.PASSAGE, row)] == [dt.date(2025, 5, 6)]


def test_days_are_bounded_and_nothing_is_lost_of_the_count(memory: MemoryManager) -> None:
    row = memory.archival.insert("Ruth plays the oboe").id
    with memory.store.upkeep() as unit:
        for number in range(MAX_DAYS + 10):
            unit.uses.record(Kind.PASSAGE, [row], dt.date(2025, 1, 1) + dt.timedelta(days=number))
        unit.uses.tidy()
        unit.uses.tidy()
    kept = uses(memory, Kind.PASSAGE, row)
    assert len(kept) == MAX_DAYS
    assert sum(use.count for use in kept) == MAX_DAYS + 10
    assert kept[-1].count == 11


def test_an_erased_row_leaves_no_use(memory: MemoryManager) -> None:
    row = memory.archival.insert("Ruth plays the oboe").id
    memory.uses.shown(memory.archival.search("oboe").hits)
    receipt = memory.erasure.erase(memory.erasure.preview(subject="Ruth"))
    assert receipt.complete
    assert uses(memory, Kind.PASSAGE, row) == []


def test_a_row_that_is_gone_gets_no_use(memory: MemoryManager) -> None:
    memory.archival.insert("Ruth plays the oboe")
    found = memory.archival.search("oboe").hits
    memory.erasure.erase(memory.erasure.preview(subject="Ruth"))
    memory.uses.shown(found)
    assert uses(memory, Kind.PASSAGE, found[0].id) == []


class BrokenStore(Store):
    """A store whose upkeep fails."""

    def upkeep(self) -> SqlUnitOfWork:  # type: ignore[override]
        raise StoreUnavailable("the disk is full")


def test_a_use_that_cannot_be_noted_is_told_and_fails_nothing(memory: MemoryManager, clock: FixedClock) -> None:
    memory.archival.insert("Ruth plays the oboe")
    problems = Problems()
    broken = BrokenStore(memory.database, memory.store.user_id, clock)
    service = UseService(broken, clock, problems, dt.UTC)
    service.shown(memory.archival.search("oboe").hits)
    assert "disk is full" in problems.all()[PROBLEM]
    UseService(memory.store, clock, problems, dt.UTC).shown(memory.archival.search("oboe").hits)
    assert PROBLEM not in problems.all()
