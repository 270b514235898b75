"""Reading queries: whom they are about, what they want, which days they name; any text can be read."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mira_ltmemory.protocols import Kind
from mira_ltmemory.services.search.periods import MAX_PERIODS, Period, periods_in
from mira_ltmemory.services.search.query import Query, Voices, analyse, people_in

NOW = datetime(2025, 3, 12, 23, 30, tzinfo=UTC)  # a Wednesday
TODAY = NOW.date()
FRIENDS = Voices(frozenset({("user", "Katherine Moss"), ("assistant", "Will Orban")}), (2024, 2025))
ROLES = Voices(frozenset({("user", None), ("assistant", "assistant")}), (2025,))
NAMED_USER = Voices(frozenset({("user", "Taro"), ("assistant", None)}), (2025,))


def read(text: str, voices: Voices = FRIENDS, kind: Kind = Kind.MESSAGE) -> Query:
    return analyse(text, voices, NOW, UTC, kind)


@pytest.mark.parametrize(
    ("text", "people"),
    [
        ("What does Katherine Moss eat?", ["Katherine Moss"]),
        ("Where did Kat go?", ["Katherine Moss"]),
        ("Where did Kathy go?", ["Katherine Moss"]),
        ("where does katherine live", ["Katherine Moss"]),
        ("Katherine's and Will's boat", ["Katherine Moss", "Will Orban"]),
        ("Will it rain?", []),
        ("will it rain on Karl", []),
        ("What is the", []),
    ],
)
def test_people_are_speakers_by_whole_names_parts_short_forms_and_nicknames(text: str, people: list[str]) -> None:
    assert [speaker for speaker, _ in people_in(text, FRIENDS.people)] == people


def test_the_long_form_of_a_speakers_short_name_names_the_speaker() -> None:
    assert people_in("What does Samuel do?", ["Sam"]) == [("Sam", "Samuel")]


def test_a_short_form_of_several_people_names_nobody() -> None:
    assert people_in("What does Christa do?", ["Christabel", "Christabella"]) == []


@pytest.mark.parametrize(
    ("text", "speakers", "people"),
    [
        ("What does Bob play?", ["Robert Lee"], ["Robert Lee"]),
        ("What does Robert play?", ["Bobby"], ["Bobby"]),
        ("Did Liz or Beth call?", ["Elizabeth"], ["Elizabeth", "Elizabeth"]),
        ("Does Maggie sing?", ["Margaret", "Megan"], []),  # both may be meant
        ("Does Maggie sing?", ["Margaret", "Maggie Ito"], ["Maggie Ito"]),
        ("Bill everything to me", ["William"], []),
        ("Who is Jack?", ["John"], []),  # as often another person
    ],
)
def test_nicknames_that_begin_otherwise_are_known(text: str, speakers: list[str], people: list[str]) -> None:
    assert [speaker for speaker, _ in people_in(text, speakers)] == people


def test_people_who_are_joined_are_asked_about_as_one() -> None:
    for text in ("What do Kathy and Will both like?", "Katherine Moss, Will: who sails?", "Kathy's and Will's boats"):
        assert read(text).subjects == ("Katherine Moss", "Will Orban"), text
    for text in ("What did Kathy give to Will?", "When did Kathy meet Will and his dog?", "Kathy and Kathy's dog"):
        assert read(text).subjects == ("Katherine Moss",), text
    assert read("Where is it?").subjects == ()


def test_the_user_may_be_called_by_name_though_no_message_bears_it() -> None:
    voices = Voices(ROLES.pairs, called="robert")
    for text in ("What does Robert's sister do?", "What does Bob's sister do?"):
        query = read(text, voices)
        assert (query.rewritten, query.owner, query.people) == ("What does my sister do?", True, ())
        assert list(query.terms) == ["sister"]
    assert not read("Where does Anna live?", voices).owner
    assert not read("What is the default?", Voices(ROLES.pairs, called="default")).owner
    assert read("Where is Robert?", Voices(FRIENDS.pairs, called="robert")).people == ()
    assert not read("Where is Robert?", Voices(NAMED_USER.pairs, called="robert")).owner


def test_names_in_scripts_that_do_not_part_words_are_found() -> None:
    assert people_in("美咲は何が好きですか", ["美咲"]) == [("美咲", "美咲")]


def test_a_query_is_embedded_as_the_person_it_is_about_would_say_it() -> None:
    assert read("Did Katherine sell her boat to Will?").rewritten == "Did I sell my boat to you?"
    assert read("Where has Katherine Moss been?").rewritten == "Where has I been?"
    assert read("What did Kathy's sister tell him?").rewritten == "What did my sister tell me?"
    assert read("Does Will keep my keys in his car?").rewritten == "Does I keep my keys in his car?"
    assert read("What did the user say about the user's job?", ROLES).rewritten == "What did I say about my job?"
    assert read("What did the assistant suggest?", ROLES).rewritten == "What did you suggest?"


def test_names_and_words_about_conversations_are_not_looked_for() -> None:
    assert list(read("Can you remind me what Katherine told about sailing?").terms) == ["sailing"]
    assert list(read("What did the user say about sailing?", ROLES).terms) == ["sailing"]
    assert list(read("Give a summary of the conversation").terms) != []
    assert list(read("Katherine").terms) == ["katherine"]


def test_the_user_is_the_owner_by_role_or_by_name() -> None:
    for text in ("What did the user paint?", "What did I paint?"):
        assert read(text, ROLES).owner
        assert read(text, NAMED_USER).owner
        assert read(text, FRIENDS).people == ("Katherine Moss",)
    assert not read("Can you tell me what was painted?", ROLES).owner
    assert not read("What did Taro paint?", NAMED_USER).owner


def test_a_user_with_an_assistant_are_sides_and_two_people_are_not() -> None:
    assert ROLES.sides
    assert NAMED_USER.sides
    assert not FRIENDS.sides


def test_a_query_about_the_assistants_words_is_told_from_a_polite_one() -> None:
    assert read("What did you recommend for the garden?", ROLES).assistant
    assert read("Which plan did the assistant propose?", ROLES).assistant_named
    assert read("Remind me of the colour in the story you wrote", ROLES).assistant
    assert read("In our previous chat, what was the third step?", ROLES).assistant
    assert not read("Could you list the plants?", ROLES).assistant
    assert read("What did we say in our earlier chats about tea?", ROLES).assistant
    for own in (
        "Do you remember where I parked my car?",
        "Have you got my address?",
        "When was my last chat with Mom?",
        "How was my last session with the therapist?",
        "How often should you replace the filter I bought?",
    ):
        assert not read(own, ROLES).assistant, own
    assert not read("What came up in all our conversations about plants?", ROLES).assistant
    assert not read("What did the user say you recommend?", ROLES).assistant


def test_the_kind_of_answer_is_read() -> None:
    assert read("When was the fair?").when
    assert read("In which year was the fair?").when
    assert not read("What happened when it rained?").when
    assert read("Where was the fair?").named
    assert read("Tell me which book was read").named
    assert read("Please summarize the fair").summary


def test_passages_tell_of_people_by_name_so_nothing_is_rewritten() -> None:
    query = read("Where does Katherine live?", kind=Kind.PASSAGE)
    assert (query.rewritten, query.people, query.named) == ("Where does Katherine live?", (), True)
    assert list(query.terms) == ["katherine", "live"]


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("on 5 May 2024", date(2024, 5, 5), date(2024, 5, 5)),
        ("on May 5th, 2024", date(2024, 5, 5), date(2024, 5, 5)),
        ("on 2024-05-05", date(2024, 5, 5), date(2024, 5, 5)),
        ("in February 2024", date(2024, 2, 1), date(2024, 2, 29)),
        ("in December 2024", date(2024, 12, 1), date(2024, 12, 31)),
        ("in 2024", date(2024, 1, 1), date(2024, 12, 31)),
        ("yesterday", date(2025, 3, 11), date(2025, 3, 11)),
        ("last week", date(2025, 3, 3), date(2025, 3, 9)),
        ("last Wednesday", date(2025, 3, 5), date(2025, 3, 5)),
        ("last month", date(2025, 2, 1), date(2025, 2, 28)),
        ("two days ago", date(2025, 3, 10), date(2025, 3, 10)),
    ],
)
def test_dates_in_words_are_days(text: str, start: date, end: date) -> None:
    (period,) = periods_in(text, [2025], TODAY)
    assert (period.start, period.end) == (start.toordinal(), end.toordinal())


def test_a_day_without_a_year_is_that_day_of_each_year_of_the_store() -> None:
    periods = periods_in("on 29 February", [2023, 2024], TODAY)
    assert [period.start for period in periods] == [date(2024, 2, 29).toordinal()]
    assert len(periods_in("in July", range(1990, 2025), TODAY)) == MAX_PERIODS
    assert periods_in("may I march there", [2025], TODAY) == ()


def test_what_day_it_is_depends_on_the_users_time_zone() -> None:
    zone = ZoneInfo("Asia/Tokyo")
    query = analyse("What happened today?", FRIENDS, NOW, zone)
    (moments,) = [period.moments(query.zone) for period in query.periods]
    assert moments == (datetime(2025, 3, 12, 15, tzinfo=UTC), datetime(2025, 3, 13, 15, tzinfo=UTC))


def test_a_year_brings_no_candidates_and_the_end_of_the_calendar_is_no_error() -> None:
    assert [period.moments(UTC) for period in periods_in("in 2024", [], TODAY)] == [None]
    assert Period(date.max.toordinal(), date.max.toordinal(), 1, 1).moments(UTC) is None
    assert Period(-5, 3, 1, 1).moments(UTC) is None


@given(text=st.text(max_size=200), speakers=st.lists(st.text(max_size=12), max_size=5))
@example(text="31 February 0000 and 9999-12-31, December 9999, 99 years ago", speakers=["."])
@example(text="(Ann)'s [a-z]+ $ \\1", speakers=["(Ann)", "Ann.*", " "])
@example(text="the user's " * 30, speakers=[])
def test_any_text_can_be_read(text: str, speakers: list[str]) -> None:
    voices = Voices(frozenset(("user", speaker) for speaker in speakers), (1, 2025, 9999))
    for kind in (Kind.MESSAGE, Kind.PASSAGE):
        query = analyse(text, voices, NOW, UTC, kind)
        assert len(query.periods) <= MAX_PERIODS
        for period in query.periods:
            period.moments(query.zone)
