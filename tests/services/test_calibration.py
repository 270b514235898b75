"""What a search finds by chance, and whether it found more than that."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from doubles import FixedClock
from hypothesis import given
from hypothesis import strategies as st
from ranking import candidate, candidates

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.protocols import Actor, Change, IncomingMessage, JobReport, JobRun, Kind, Origin, Role
from mira_ltmemory.services.calibration import LEAST_DOCUMENTS
from mira_ltmemory.services.search.likely import (
    UNLIKELY,
    Chance,
    foreign_questions,
    foreign_to,
    middle_and_spread,
    probabilities,
    strength,
    unknown_names,
    usual_chance,
    way_of,
)
from mira_ltmemory.services.search.query import Query, Voices, analyse
from mira_ltmemory.services.search.rank import rank
from mira_ltmemory.store.calibrations import Calibration, Way

SAID = (
    "I finally adopted a grey cat, she is called Pixel.",
    "My brother Olaf moved to Bergen in March to work on a ferry.",
    "We cooked lentil soup for nine people on Sunday.",
    "The bicycle got a flat tyre on the way to the office.",
    "Her flight to Nairobi was cancelled because of fog.",
    "I am allergic to peanuts and shellfish.",
    "The landlord wants to paint the stairs yellow.",
    "Our database moved from one server to another over the weekend.",
    "My grandmother taught me to knit thick socks.",
    "The meeting with the auditors is on Tuesday at half past ten.",
)
ASKED = ("What is my cat called?", "Where did my brother move?", "What am I allergic to?")
FOREIGN = ("Which opera did I conduct in Vienna?", "When did I sell the helicopter?", "Who won the chess match?")


def fill(memory: MemoryManager, number: int) -> None:
    """So many different messages of a user, with the answers to what is asked among them."""
    texts = [*SAID, *(f"On day {day} I wrote {day * 7} lines about the garden and the weather." for day in range(90))]
    said = [
        IncomingMessage(
            conversation_id="c", external_id=str(place), role=Role.USER, content=text, said_at=memory.clock.now(),
            origin=Origin.USER, position=place,
        )
        for place, text in enumerate(texts[:number])
    ]  # fmt: skip
    memory.capture(said)
    memory.process_pending()


def run(memory: MemoryManager) -> JobReport:
    change = Change(Actor.AUTOMATION, "calibrate_search")
    return memory.calibration.run(JobRun(name="calibrate_search", scheduled_for=memory.clock.now(), change=change))


def likely(memory: MemoryManager, questions: Sequence[str]) -> int:
    return sum(memory.recall.search(question).likely for question in questions)


def test_the_foreign_questions_are_asked_about_the_speakers_in_turn() -> None:
    questions = foreign_questions()
    assert 30 <= len(questions) <= 60
    assert len(set(questions)) == len(questions)
    named = foreign_to(["Ann", "Ben"])
    assert not any("{" in question for question in named)
    assert sum("Ann" in question for question in named) > 5 < sum("Ben" in question for question in named)
    assert any("the user" in question for question in foreign_to([]))


def test_chance_is_the_middle_and_a_few_lucky_finds_do_not_move_it() -> None:
    plain = middle_and_spread([0.0, 1.0, 2.0, 3.0, 4.0])
    assert plain == (2, pytest.approx(1.4826))
    assert middle_and_spread([0.0, 1.0, 2.0, 3.0, 400.0]) == plain
    assert middle_and_spread([1.0] * 9) == (1, 0)


def test_a_memory_in_which_chance_is_strong_asks_for_more() -> None:
    for way in (Way.TOKENS, Way.VECTORS):
        mean = usual_chance(way).mean
        less, usual, more = (Chance(mean + shift, way=way).beyond(12) for shift in (2, 0, -2))
        assert less < usual < more
        assert more - usual < 0.5  # a memory's own middle is not believed wholly


def test_by_words_alone_a_memory_knows_only_its_own_chance() -> None:
    assert Chance(4, way=Way.WORDS).beyond(6) == Chance(14, way=Way.WORDS).beyond(16)


def test_a_find_among_an_assistants_long_messages_has_to_be_stronger() -> None:
    chance = Chance(usual_chance(Way.TOKENS).mean)
    assert chance.beyond(11, sides=True) < 0 < chance.beyond(11)


@given(st.lists(st.floats(-20, 40), min_size=1, max_size=20), st.floats(-30, 30))
def test_probabilities_fall_with_the_score_and_rise_with_the_find(scores: list[float], beyond: float) -> None:
    ordered = sorted(scores, reverse=True)
    found = probabilities(ordered, beyond)
    assert all(0 <= value <= 1 for value in found)
    assert found == sorted(found, reverse=True)
    assert all(more >= less for more, less in zip(probabilities(ordered, beyond + 1), found, strict=True))
    assert probabilities([], beyond) == []


def test_what_was_not_measured_is_doubted_less() -> None:
    usual = usual_chance(Way.TOKENS)
    measured = Chance(usual.mean)
    assert measured.beyond(14) > 0 > measured.beyond(8)
    assert all(usual.beyond(strength) > measured.beyond(strength) for strength in range(20))


def test_names_that_the_store_never_held_are_told() -> None:
    query = analyse("What did Zora give to Ben in Oslo?", Voices(), FixedClock.now.__get__(_clock())())
    assert query.names == {"ben", "oslo"} | {word for word in query.names if word == "zora"}
    found = candidates(candidate(), counts=[[1, 0]])
    assert unknown_names(found, Query()) == 0


def test_a_better_match_is_a_stronger_find() -> None:
    rows = [candidate("a"), candidate("b")]
    weak = candidates(*rows, counts=[[0], [0]], cosine=[0.1, 0.0], linked=False)
    strong = candidates(*rows, counts=[[2], [0]], cosine=[0.7, 0.0], linked=False)
    told = [strength(found, rank(found), Query()) for found in (weak, strong)]
    assert told[0] < told[1]
    assert way_of(rank(weak)) is Way.VECTORS
    assert way_of(rank(candidates(candidate()))) is Way.WORDS
    empty = candidates()
    assert strength(empty, rank(empty), Query()) < told[0]


@pytest.mark.parametrize("number", [10, 100])
def test_a_memory_tells_what_it_does_not_hold(memory: MemoryManager, number: int) -> None:
    fill(memory, number)
    before = memory.recall.search(ASKED[0])
    assert (before.calibrated, before.likely) == (False, True)
    assert before.hits[0].probability is None
    report = run(memory)
    assert report.counts["calibrated"] == (1 if number >= LEAST_DOCUMENTS else 0)
    result = memory.recall.search(ASKED[0])
    assert result.calibrated == (number >= LEAST_DOCUMENTS)
    assert likely(memory, ASKED) == len(ASKED)
    assert likely(memory, FOREIGN) == 0
    foreign = memory.recall.search(FOREIGN[0])
    assert UNLIKELY in foreign.notes
    assert UNLIKELY not in result.notes
    if result.calibrated:
        assert foreign.hits[0].probability < 0.1 < result.hits[0].probability  # type: ignore[operator]


def test_five_messages_are_not_all_doubted_and_nothing_is_claimed(memory: MemoryManager) -> None:
    fill(memory, 6)
    assert run(memory).counts == {"calibrated": 0}
    assert memory.calibration.all() == []
    assert likely(memory, ASKED) == len(ASKED)
    assert not memory.recall.search(ASKED[0]).calibrated


def test_what_was_measured_is_kept_for_each_kind_and_given_up_with_its_texts(memory: MemoryManager) -> None:
    fill(memory, 40)
    run(memory)
    [known] = memory.calibration.all()
    assert (known.kind, known.way, known.documents) == (Kind.MESSAGE, Way.TOKENS, 40)
    assert known.questions == len(foreign_questions())
    with memory.store.upkeep() as unit:
        unit.calibrations.put(Calibration(Kind.PASSAGE, Way.WORDS, 0, 1, 1, 1, memory.clock.now()))
    run(memory)
    assert [each.kind for each in memory.calibration.all()] == [Kind.MESSAGE]


def _clock() -> FixedClock:
    from datetime import UTC, datetime

    return FixedClock(datetime(2025, 5, 5, tzinfo=UTC))
