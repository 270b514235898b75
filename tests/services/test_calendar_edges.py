"""Messages dated 0001-01-01 or 9999-12-31, as some exports write "never": no time zone may break what reads them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from mira_ltmemory.cli.common import local
from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.protocols import IncomingMessage, Origin, Role, in_zone, is_plausible
from mira_ltmemory.services.facts.answer import moment

FIRST = datetime.min.replace(tzinfo=UTC)
LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
ZONES = ("Europe/Berlin", "America/New_York")
TALK = (
    "We want to move to Bergen in August because Ruth got a job at the hospital",
    "Ruth starts at the hospital in Bergen on the first of September",
    "The flat in Bergen costs 14,000 kroner a month",
    "I also have to sell the red car before we move to Bergen",
    "My sister Ingrid keeps three goats near Bergen",
)


@pytest.mark.parametrize("zone", ZONES)
def test_a_moment_off_the_calendar_is_told_as_its_edge(zone: str) -> None:
    there = ZoneInfo(zone)
    assert in_zone(FIRST, there).date().isoformat() == "0001-01-01"
    assert in_zone(LAST, there).date().isoformat() == "9999-12-31"
    assert local(LAST, there).startswith("9999-12-31 ")
    told = in_zone(datetime(2025, 7, 1, 12, tzinfo=UTC), there)
    assert (told, told.tzinfo) == (datetime(2025, 7, 1, 12, tzinfo=UTC), there)
    assert is_plausible(told)
    assert not is_plausible(FIRST)
    assert not is_plausible(LAST)
    assert moment("0001", there) <= moment("9999-12-31T23:59:59", there)


@pytest.mark.parametrize("zone", ZONES)
def test_stored_ones_are_searched_counted_and_consolidated(
    make_memory: Callable[..., MemoryManager], monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    monkeypatch.setenv("PGTZ", zone)  # a server of the person's own may answer in its own time zone
    memory = make_memory(timezone=zone)
    memory.capture([
        IncomingMessage(
            conversation_id=f"{said_at:%Y}", external_id=str(number), role=Role.USER, content=text, position=number,
            said_at=said_at, origin=Origin.USER,
        )
        for said_at in (FIRST, LAST)
        for number, text in enumerate(TALK)
    ])  # fmt: skip
    memory.process_pending()
    tools = {tool.name: tool for tool in memory.tools()}
    answer = tools["conversation_search"].run(query="what did Ruth say on 1 May 2024 about the hospital")
    assert answer["success"] is True, answer
    assert {each["timestamp"][:10] for each in answer["results"]} == {"0001-01-01", "9999-12-31"}
    counted = memory.status.read()
    assert (counted.oldest, counted.newest) == (FIRST, LAST)
    assert "summaries" not in memory.consolidation.consolidate().counts
    with memory.store.read() as unit:
        assert unit.summaries.days(zone) == []
        assert unit.consolidation.active_days(zone) == []
    for provider in memory.providers():
        assert isinstance(provider.render(), str)
