"""Importance: one factor each, and what always holds."""

from __future__ import annotations

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from mira_ltmemory.services.consolidation.importance import ActiveDays, Facts, factors, importance

TODAY = dt.date(2025, 6, 30)
EVERY_DAY = ActiveDays(TODAY - dt.timedelta(days=n) for n in range(400))


def ago(days: int) -> dt.date:
    return TODAY - dt.timedelta(days=days)


def test_a_fresh_memory_counts_for_its_freshness_alone() -> None:
    assert importance(Facts(touched=TODAY), EVERY_DAY, TODAY) == 0.5


def test_recency_halves_with_thirty_active_days() -> None:
    assert importance(Facts(touched=ago(30)), EVERY_DAY, TODAY) == 0.25


def test_days_without_the_user_age_nothing() -> None:
    away = ActiveDays([ago(30), *map(ago, range(300, 310))])
    assert importance(Facts(touched=ago(29)), away, TODAY) == 0.5


def test_what_was_asked_for_stays_important() -> None:
    assert importance(Facts(touched=ago(399), asked=True), EVERY_DAY, TODAY) > 0.7


def test_use_makes_recent_again() -> None:
    facts = Facts(touched=ago(300), uses=[(TODAY, 1)])
    assert factors(facts, EVERY_DAY, TODAY)["recent"] == 1.0


def test_links_and_corrections_count() -> None:
    plain = importance(Facts(touched=ago(90)), EVERY_DAY, TODAY)
    assert importance(Facts(touched=ago(90), links=2), EVERY_DAY, TODAY) > plain
    assert importance(Facts(touched=ago(90), corrections=1), EVERY_DAY, TODAY) > plain


def test_before_names_the_day_that_is_old_enough() -> None:
    assert EVERY_DAY.before(90, TODAY) == ago(91)
    assert EVERY_DAY.since(ago(91), TODAY) == 91
    assert EVERY_DAY.before(400, TODAY) is None


days = st.integers(0, 500).map(ago)
facts_ = st.builds(
    Facts,
    touched=days,
    asked=st.booleans(),
    uses=st.lists(st.tuples(days, st.integers(1, 20)), max_size=6),
    links=st.integers(0, 50),
    corrections=st.integers(0, 9),
)
calendars = st.lists(days, max_size=60).map(ActiveDays)


@given(facts_, calendars)
def test_it_is_a_share_and_the_same_for_the_same_day(facts: Facts, active: ActiveDays) -> None:
    first = importance(facts, active, TODAY)
    assert 0.0 <= first <= 1.0
    assert all(importance(facts, active, TODAY) == first for _ in range(20))


@given(facts_, calendars, days, st.integers(1, 5))
def test_more_of_anything_never_makes_it_less(facts: Facts, active: ActiveDays, day: dt.date, more: int) -> None:
    now = importance(facts, active, TODAY)
    assert importance(Facts(facts.touched, True, facts.uses, facts.links, facts.corrections), active, TODAY) >= now
    used = Facts(facts.touched, facts.asked, [*facts.uses, (day, more)], facts.links, facts.corrections)
    assert importance(used, active, TODAY) >= now
    linked = Facts(facts.touched, facts.asked, facts.uses, facts.links + more, facts.corrections + more)
    assert importance(linked, active, TODAY) >= now


@given(facts_, calendars, st.integers(0, 300))
def test_it_never_rises_by_time_alone(facts: Facts, active: ActiveDays, later: int) -> None:
    assert importance(facts, active, TODAY + dt.timedelta(days=later)) <= importance(facts, active, TODAY)
