"""When facts hold and what they end: stated ends, words that come late, and whose words may end what the user kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from doubles import FixedClock, ListedLLM
from fact_answers import answer, fact
from talking import rows, said

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.protocols import Actor, Category, Change, Filter, Origin, Role
from mira_ltmemory.services.facts.answer import Answer, end_of

BY_USER = Change(Actor.USER, "test")
BY_MODEL = Change(Actor.MODEL, "test")


def superseding(*refs: str, **proposed: Any) -> dict[str, Any]:
    return {**proposed, "action": "supersede", "supersedes": list(refs)}


def ends(memory: MemoryManager) -> dict[str, Any]:
    return dict(rows(memory, "content, valid_until"))


@pytest.mark.parametrize(
    ("value", "zone_hours", "expected"),
    [
        ("2019", 0, datetime(2020, 1, 1, tzinfo=UTC)),
        ("2026-12", 0, datetime(2027, 1, 1, tzinfo=UTC)),
        ("2025-06", 0, datetime(2025, 7, 1, tzinfo=UTC)),
        ("2025-06-30", 2, datetime(2025, 6, 30, 22, tzinfo=UTC)),
        ("2025-05-05T20:00:00+00:00", 2, datetime(2025, 5, 5, 20, tzinfo=UTC)),
        ("9999-12-31", 0, datetime.max.replace(tzinfo=UTC)),
        ("9999", 0, datetime.max.replace(tzinfo=UTC)),
    ],
)
def test_a_date_as_an_end_is_all_of_it(value: str, zone_hours: int, expected: datetime) -> None:
    assert end_of(value, timezone(timedelta(hours=zone_hours))) == expected


def test_what_holds_within_the_year_of_its_end_is_an_answer() -> None:
    proposed = fact("x", "x", valid_from="2024-05-01", valid_until="2024")
    assert Answer.model_validate({"facts": [proposed]}).facts[0].valid_until == "2024"


def test_what_is_over_when_it_is_said_has_no_start_unless_one_is_told(memory: MemoryManager, llm: ListedLLM) -> None:
    said(memory, "I lived in Lyon until 2019.", "And in Rome from 2001 to 2003.")
    llm.steps.append(
        answer(
            fact("The user lived in Lyon until 2019.", "I lived in Lyon until 2019", 1, valid_until="2019"),
            fact("The user lived in Rome.", "in Rome from 2001 to 2003", 2, valid_from="2001", valid_until="2003"),
        )
    )
    memory.batches.run()
    assert rows(memory, "valid_from, valid_until") == [
        (None, datetime(2020, 1, 1, tzinfo=UTC)),
        (datetime(2001, 1, 1, tzinfo=UTC), datetime(2004, 1, 1, tzinfo=UTC)),
    ]


def test_until_tonight_holds_until_midnight(memory: MemoryManager, clock: FixedClock, llm: ListedLLM) -> None:
    said(memory, "I am at my sister's until tonight.")
    told = "The user stays with their sister until 5 May 2025."
    llm.steps.append(answer(fact(told, "at my sister's until tonight", valid_until="2025-05-05")))
    memory.batches.run()
    found = Filter(categories=(Category.FACT,))
    assert [hit.content for hit in memory.archival.search("Where does the user stay?", found).hits] == [told]
    clock.advance(days=1)
    assert memory.archival.search("Where does the user stay?", found).hits == ()


@pytest.mark.parametrize(
    ("since", "expected"),
    [("2020", datetime(2019, 7, 1, tzinfo=UTC)), ("2015", datetime(2019, 5, 5, tzinfo=UTC))],
    ids=["a stated end is kept", "no end before the start"],
)
def test_words_that_come_late_keep_their_own_end(
    memory: MemoryManager, clock: FixedClock, llm: ListedLLM, since: str, expected: datetime
) -> None:
    said(memory, f"I have lived in Porto since {since}.", conversation="new")
    llm.steps.append(answer(fact("The user lives in Porto.", f"lived in Porto since {since}", valid_from=since)))
    memory.batches.run()
    early = datetime(2019, 5, 5, tzinfo=UTC)
    said(memory, "I live in Lyon now, only until the end of June.", conversation="old", said_at=early)
    old = fact("The user lives in Lyon.", "I live in Lyon now", valid_until="2019-06-30")
    llm.steps.append(answer(superseding("a1", **old)))
    memory.batches.run()
    assert ends(memory) == {"The user lives in Porto.": None, "The user lives in Lyon.": expected}
    assert rows(memory, where="valid_until < valid_from") == []


def test_what_is_over_ended_what_it_supersedes_then(memory: MemoryManager, clock: FixedClock, llm: ListedLLM) -> None:
    early = clock.now().replace(year=2018)
    said(memory, "I live in Lyon, near the river.", said_at=early)
    llm.steps.append(answer(fact("The user lives in Lyon.", "I live in Lyon")))
    memory.batches.run()
    said(memory, "I left Lyon, I lived there until 2019.")
    gone = fact("The user lived in Lyon until 2019.", "I lived there until 2019", valid_until="2019")
    llm.steps.append(answer(superseding("a1", **gone)))
    memory.batches.run()
    assert ends(memory)["The user lives in Lyon."] == datetime(2020, 1, 1, tzinfo=UTC)


def test_what_is_known_already_still_ends_the_old(memory: MemoryManager, llm: ListedLLM) -> None:
    memory.archival.insert("The user lives in Lyon.", change=BY_USER)
    porto = memory.archival.insert("The user lives in Porto.", change=BY_MODEL)
    said(memory, "I moved to Porto on Monday.")
    new = fact("The user lives in Porto.", "I moved to Porto")
    llm.steps.append(answer(superseding("a1", "a2", **new)))
    counts = memory.batches.run().counts
    assert (counts["facts_added"], counts["facts_skipped"], counts["facts_superseded"]) == (0, 1, 1)
    assert {content: until is None for content, until in ends(memory).items()} == {
        "The user lives in Lyon.": False,
        "The user lives in Porto.": True,
    }
    noted = rows(memory, "metadata ->> 'superseded_by'", "valid_until IS NOT NULL")
    assert noted == [str(porto.id)]


@pytest.mark.parametrize(
    ("message", "kept_by", "ended"),
    [
        ((Role.ASSISTANT, "Since you moved to Porto last week, I looked there."), BY_USER, False),
        ((Role.ASSISTANT, "Since you moved to Porto last week, I looked there."), BY_MODEL, True),
        ("I know that you moved to Porto last week, I said to Ann.", BY_USER, True),
    ],
    ids=["a guess about the user's note", "a guess about a guess", "the user's own words"],
)
def test_the_assistants_words_end_nothing_that_the_user_kept(
    memory: MemoryManager, llm: ListedLLM, message: Any, kept_by: Change, ended: bool
) -> None:
    memory.archival.insert("The user lives in Lyon.", change=kept_by)
    said(memory, "What is the weather?", message)
    new = fact("The user lives in Porto.", "you moved to Porto last week", 2)
    llm.steps.append(answer(superseding("a1", **new)))
    counts = memory.batches.run().counts
    assert (counts["facts_added"], counts.get("facts_superseded", 0)) == (1, int(ended))
    assert counts.get("conflicts", 0) == int(not ended)
    assert (ends(memory)["The user lives in Lyon."] is not None) is ended


@pytest.mark.parametrize("origin", [Origin.IMPORT, Origin.ASSISTANT])
def test_a_fact_has_the_origin_of_the_words_that_it_rests_on(
    memory: MemoryManager, llm: ListedLLM, origin: Origin
) -> None:
    memory.archival.insert("The backup works.", change=BY_USER)
    said(memory, "The nightly backup of the house has failed again.", origin=origin)
    new = fact("The backup failed.", "nightly backup of the house has failed")
    llm.steps.append(answer(superseding("a1", **new)))
    assert memory.batches.run().counts["conflicts"] == 1
    assert rows(memory, "content, origin", "valid_until IS NULL") == [
        ("The backup works.", "user"),
        ("The backup failed.", origin.value),
    ]


def test_a_memory_that_was_shown_in_part_is_not_ended(memory: MemoryManager, llm: ListedLLM) -> None:
    note = f"The user lives in Lyon. {'They like long walks. ' * 40}The user is allergic to penicillin."
    memory.archival.insert(note, change=BY_USER)
    said(memory, "I moved to Porto on Monday.")
    llm.steps.append(answer(superseding("a1", **fact("The user lives in Porto.", "I moved to Porto"))))
    assert memory.batches.run().counts["conflicts"] == 1
    shown = llm.requests[0][0][0]["content"]
    assert "They [...]\n[end a1 " in shown and "penicillin" not in shown
    assert ends(memory) == {note: None, "The user lives in Porto.": None}


def test_one_window_ends_five_memories_and_no_more(memory: MemoryManager, llm: ListedLLM) -> None:
    for town in ("Lyon", "Rome", "Oslo", "Bonn", "Turin", "Ghent", "Vigo"):
        memory.archival.insert(f"The user lives in {town}.", change=BY_USER)
    said(memory, "I moved to Porto on Monday.")
    new = fact("The user lives in Porto.", "I moved to Porto")
    llm.steps.append(answer(superseding(*[f"a{number}" for number in range(1, 8)], **new)))
    counts = memory.batches.run().counts
    assert (counts["facts_superseded"], counts["conflicts"]) == (5, 2)
    assert len(rows(memory, where="valid_until IS NULL")) == 3
