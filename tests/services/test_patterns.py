"""Patterns are found where they were put, and not where there is nothing but chance."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mira_ltmemory.services.review.chance import at_least, spread
from mira_ltmemory.services.review.habits import find_habits
from mira_ltmemory.services.review.preferences import find_changes, statements_in
from mira_ltmemory.services.review.talk import Said, Talk
from mira_ltmemory.services.review.topics import as_pattern, find_topics

SPACE = UUID(int=7)
MONDAY = datetime(2025, 1, 6, 9, tzinfo=UTC)
PLAIN = [
    "I had soup and bread for lunch today and it was quite good",
    "The bus was late again so I walked to the office in the rain",
    "Can you help me to write a short letter to the landlord please",
    "My phone is slow and I do not know why that is",
    "We are going to paint the kitchen in a light green I think",
    "The neighbours have a new dog and it barks at the postman",
    "What should I cook for six people on a Saturday evening",
]


def said(number: int, at: datetime, text: str, conversation: int | None = None) -> Said:
    talk = at.date().toordinal() if conversation is None else conversation
    return Said(uuid5(SPACE, str(number)), uuid5(SPACE, f"c{talk}"), at, text)


def months(*extra: tuple[datetime, str]) -> list[Said]:
    """Ten weeks of everyday messages, three a day on every day, and what is given beside them."""
    chance = random.Random(3)
    texts = [
        (MONDAY + timedelta(days=day, hours=hour), chance.choice(PLAIN)) for day in range(70) for hour in (0, 5, 10)
    ]
    return [said(number, at, text) for number, (at, text) in enumerate([*texts, *extra])]


def topics_of(messages: Sequence[Said]) -> list[list[str]]:
    return [topic.words for topic in find_topics(Talk(messages))]


CLIMBING = [
    (MONDAY + timedelta(weeks=week, days=1, hours=10, minutes=minute), text)
    for week in range(10)
    for minute, text in ((1, "Back from bouldering, my fingers hurt"), (9, "The bouldering gym set a new route"))
]


def test_a_topic_that_comes_back_is_found_with_its_evidence() -> None:
    talk = Talk(months(*CLIMBING))
    (topic,) = [topic for topic in find_topics(talk) if "bouldering" in topic.words]
    pattern = as_pattern(talk, topic)
    assert pattern.text.startswith("Recurring topic: bouldering")
    assert "in 10 of 10 weeks, in 10 conversations, last on 2025-03-11" in pattern.text
    assert pattern.count == 20 and pattern.since.date().isoformat() == "2025-01-07"
    own = {one.id for one in talk.messages if "bouldering" in one.text}
    assert set(pattern.evidence) == own


@pytest.mark.parametrize(
    ("weeks", "why"),
    [(range(2), "two weeks are no pattern"), ([0] * 10, "one week is no pattern"), ([0, 1, 2, 3], "too few messages")],
)
def test_what_came_up_briefly_is_no_topic(weeks: Sequence[int], why: str) -> None:
    extra = [(MONDAY + timedelta(weeks=week, hours=1, minutes=n), "My bouldering") for n, week in enumerate(weeks)]
    assert all("bouldering" not in words for words in topics_of(months(*extra))), why


def test_a_topic_of_long_ago_recurs_no_more() -> None:
    later = [said(9000 + day, MONDAY + timedelta(weeks=22, days=day), PLAIN[day % 7]) for day in range(20)]
    assert any("bouldering" in words for words in topics_of(months(*CLIMBING)))
    assert all("bouldering" not in words for words in topics_of([*months(*CLIMBING), *later]))


def test_words_of_the_same_messages_are_one_topic() -> None:
    extra = [(MONDAY + timedelta(weeks=week, hours=2), "The thesis on lichens moves on") for week in range(8)]
    assert [sorted(words) for words in topics_of(months(*extra)) if "lichens" in words] == [["lichens", "thesis"]]


def test_another_language_has_topics_by_how_they_clump() -> None:
    chance = random.Random(5)
    plain = ["ich war heute im büro und es war ganz gut", "kannst du mir bitte helfen", "wir gehen morgen einkaufen"]
    messages = [
        said(number, MONDAY + timedelta(days=number // 6, minutes=number), chance.choice(plain))
        for number in range(360)
    ]
    messages += [
        said(1000 + 10 * week + n, MONDAY + timedelta(weeks=week, days=2, minutes=30 + n), f"der geigenbau, teil {n}")
        for week in range(8)
        for n in range(5)
    ]
    found = topics_of(messages)
    assert found and "geigenbau" in found[0] and all("ich" not in words for words in found)


def habits_of(messages: Sequence[Said]) -> list[str]:
    talk = Talk(messages)
    return [habit.text for habit in find_habits(talk, find_topics(talk))]


def test_a_habit_of_a_weekday_is_found_and_says_what_chance_would_be() -> None:
    (habit,) = [text for text in habits_of(months(*CLIMBING)) if "bouldering" in text]
    assert habit.startswith("Habit: the user mostly speaks of bouldering")
    assert "on Tuesday evenings: 10 of 10 times of day, in 10 weeks, last on 2025-03-11; by chance it would be" in habit


def test_a_habit_of_an_hour_is_found() -> None:
    chance = random.Random(9)
    days = chance.sample(range(70), 24)
    extra = [(MONDAY + timedelta(days=day, hours=11, minutes=3), "My sourdough starter bubbles") for day in days]
    (habit,) = [text for text in habits_of(months(*extra)) if "sourdough" in text]
    assert "in the evening: 24 of 24" in habit


def test_who_is_only_there_on_mondays_has_no_habit_of_speaking_of_things_on_mondays() -> None:
    messages = [said(n, MONDAY + timedelta(weeks=n // 4, minutes=n), PLAIN[n % 7]) for n in range(60)]
    messages += [said(100 + n, MONDAY + timedelta(weeks=n, hours=1), "My bouldering shoes") for n in range(14)]
    assert all("bouldering" not in text for text in habits_of(messages))
    assert any("mostly is there on Monday" in text for text in habits_of(messages))


@pytest.mark.parametrize("seed", range(12))
def test_chance_alone_makes_no_habit(seed: int) -> None:
    chance = random.Random(seed)
    extra = [
        (MONDAY + timedelta(days=chance.randrange(70), hours=chance.choice((0, 5, 10)), minutes=n), word)
        for word in ("My bouldering shoes", "the lichens of the thesis", "a bassoon lesson")
        for n in range(30)
    ]
    assert habits_of(months(*extra)) == []


def test_days_and_hours_are_the_users() -> None:
    tokyo = ZoneInfo("Asia/Tokyo")
    at = datetime(2025, 1, 5, 23, tzinfo=UTC).astimezone(tokyo)  # Monday morning there
    one = said(1, at, "x")
    assert (one.day.weekday(), one.part) == (0, 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I love strong coffee in the morning", [(True, "strong coffee morning")]),
        ("I really don't like coffee any more.", [(False, "coffee")]),
        ("I can't stand coffee now", [(False, "coffee")]),
        ("I used to love jazz, but not today", [(False, "jazz")]),
        ("I've stopped enjoying long flights", [(False, "long flights")]),
        ("I don’t mind olives", [(True, "olives")]),
        ("Do I like coffee?", []),
        ("If I like coffee, what should I drink", []),
        ("She loves coffee and he hates tea", []),
        ("I like it", []),
        ("I would like a table for two", []),
        ("I love tea. I hate mornings!", [(True, "tea"), (False, "mornings")]),
    ],
)
def test_statements_of_liking(text: str, expected: list[tuple[bool, str]]) -> None:
    found = [(one.liked, one.thing) for one in statements_in(said(1, MONDAY, text))]
    assert sorted(found) == sorted(expected)


def test_a_preference_that_changed_is_told_with_both_sides() -> None:
    messages = [
        said(1, MONDAY, "I love coffee"),
        said(2, MONDAY + timedelta(days=20), "I still love coffee"),
        said(3, MONDAY + timedelta(days=60), "Since the flu I can't stand coffee any more"),
        said(4, MONDAY + timedelta(days=61), "I love trains"),
    ]
    (change,) = find_changes(Talk(messages))
    assert change.text == (
        'Preference changed: the user no longer likes coffee. Before, 2025-01-26: "I still love coffee" '
        'Since 2025-03-07: "Since the flu I can\'t stand coffee any more"'
    )
    assert list(change.evidence) == [messages[1].id, messages[2].id]
    back = [*messages, said(5, MONDAY + timedelta(days=80), "I love coffee again")]
    assert "likes coffee now" in find_changes(Talk(back))[0].text


def test_what_used_to_be_liked_is_a_change_by_itself() -> None:
    (change,) = find_changes(Talk([said(1, MONDAY, "I used to love jazz, but it tires me")]))
    assert change.text.startswith("Preference changed: the user no longer likes jazz. Since 2025-01-06")


def test_contradictions_of_one_day_are_no_change() -> None:
    messages = [said(1, MONDAY, "I love coffee"), said(2, MONDAY + timedelta(hours=1), "I hate coffee")]
    assert find_changes(Talk(messages)) == []


@given(st.integers(0, 40), st.integers(0, 40), st.floats(0.01, 0.99))
def test_the_tail_of_the_binomial(hits: int, trials: int, probability: float) -> None:
    from math import comb

    exact = sum(
        comb(trials, number) * probability**number * (1 - probability) ** (trials - number)
        for number in range(hits, trials + 1)
    )
    assert at_least(hits, trials, probability) == pytest.approx(min(1.0, exact), abs=1e-9)


@given(st.integers(1, 50), st.lists(st.integers(1, 30), min_size=1, max_size=30))
def test_spread_is_at_most_the_groups_and_the_hits(hits: int, sizes: list[int]) -> None:
    assert 0 < spread(hits, sizes) <= min(hits, len(sizes)) + 1e-9


@given(st.permutations(list(range(40))))
def test_the_order_in_which_messages_come_does_not_matter(order: list[int]) -> None:
    messages = months(*CLIMBING)[-40:]
    shuffled = [messages[index] for index in order]
    assert topics_of(shuffled) == topics_of(messages) and habits_of(shuffled) == habits_of(messages)


def test_no_messages_no_patterns() -> None:
    assert topics_of([]) == [] and habits_of([]) == [] and find_changes(Talk([])) == []
