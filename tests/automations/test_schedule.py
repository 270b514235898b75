from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mira_ltmemory.automations.schedule import last_run, missed, next_run

NEW_YORK = "America/New_York"  # clocks change on 2025-03-09 at 2:00 and on 2025-11-02 at 2:00

CRONS = ["0 * * * *", "0 */6 * * *", "30 2 * * *", "30 1 * * *", "30 2 * * 1-5", "*/30 * * * *", "0 0 * * *"]
ZONES = [NEW_YORK, "Europe/Berlin", "Australia/Lord_Howe", "America/Havana", "Antarctica/Troll", "UTC", "Asia/Kolkata"]

moments = st.datetimes(datetime(2023, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))


def runs(cron: str, zone: str, start: datetime, end: datetime) -> list[datetime]:
    """Every run after ``start`` up to ``end``."""
    found = []
    while (start := next_run(cron, zone, start)) <= end:
        found.append(start)
    return found


def local(moment: datetime, zone: str) -> str:
    return moment.astimezone(ZoneInfo(zone)).strftime("%m-%d %H:%M %Z")


@pytest.mark.parametrize(
    ("cron", "day", "expected"),
    [
        ("30 2 * * *", 9, ["03-09 03:30 EDT"]),  # the time that is skipped runs late
        ("0 * * * *", 9, ["03-09 01:00 EST", "03-09 03:00 EDT", "03-09 04:00 EDT"]),
        ("30 1-3 * * *", 9, ["03-09 01:30 EST", "03-09 03:30 EDT"]),  # 2:30 and 3:30 are one moment
    ],
)
def test_spring(cron: str, day: int, expected: list[str]) -> None:
    start = datetime(2025, 3, day, 0, 30, tzinfo=ZoneInfo(NEW_YORK))
    assert [local(run, NEW_YORK) for run in runs(cron, NEW_YORK, start, start + timedelta(hours=4))][:3] == expected


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("30 1 * * *", ["11-02 01:30 EDT"]),  # the time that is repeated runs once
        ("*/30 1-2 * * *", ["11-02 01:00 EDT", "11-02 01:30 EDT", "11-02 02:00 EST", "11-02 02:30 EST"]),
        ("30 * * * *", ["11-02 00:30 EDT", "11-02 01:30 EDT", "11-02 01:30 EST", "11-02 02:30 EST"]),
    ],
)
def test_autumn(cron: str, expected: list[str]) -> None:
    start = datetime(2025, 11, 2, 4, 10, tzinfo=UTC)  # 0:10 in New York
    found = runs(cron, NEW_YORK, start, start + timedelta(hours=3, minutes=40))
    assert [local(run, NEW_YORK) for run in found] == expected


def test_half_hours_stay_half_hours() -> None:
    changes = datetime(2025, 3, 8, tzinfo=UTC), datetime(2025, 11, 1, tzinfo=UTC)
    found = [run for start in changes for run in runs("*/30 * * * *", NEW_YORK, start, start + timedelta(days=3))]
    assert len(found) == 2 * 3 * 48
    found = found[:144]
    assert {later - earlier for earlier, later in pairwise(found)} == {timedelta(minutes=30)}


def test_one_run_a_day_through_a_year() -> None:
    start = datetime(2025, 1, 1, tzinfo=ZoneInfo(NEW_YORK))
    found = runs("30 2 * * *", NEW_YORK, start, start + timedelta(days=365) - timedelta(seconds=1))
    assert len({run.astimezone(ZoneInfo(NEW_YORK)).date() for run in found}) == len(found) == 365


def test_weekdays_are_the_users_not_utc() -> None:
    friday_evening = datetime(2025, 6, 7, 2, 0, tzinfo=UTC)  # Friday 22:00 in New York
    assert next_run("0 23 * * 5", NEW_YORK, friday_evening) == datetime(2025, 6, 7, 3, 0, tzinfo=UTC)


@given(cron=st.sampled_from(CRONS), zone=st.sampled_from(ZONES), after=moments)
def test_next_is_later_and_nothing_lies_between(cron: str, zone: str, after: datetime) -> None:
    following = next_run(cron, zone, after)
    assert following > after and following.tzinfo is UTC
    assert last_run(cron, zone, following) == following
    assert last_run(cron, zone, following - timedelta(microseconds=1)) <= after


@given(cron=st.sampled_from(CRONS), zone=st.sampled_from(ZONES), at=moments)
def test_last_is_not_later_and_its_next_is_later_than_now(cron: str, zone: str, at: datetime) -> None:
    latest = last_run(cron, zone, at)
    assert latest <= at < next_run(cron, zone, at)
    assert next_run(cron, zone, latest - timedelta(microseconds=1)) == latest


def test_missed() -> None:
    now = datetime(2025, 6, 2, 12, 30, tzinfo=UTC)
    assert missed("0 * * * *", "UTC", now - timedelta(hours=1), now)
    assert not missed("0 * * * *", "UTC", now - timedelta(minutes=30), now)
    assert not missed("0 * * * *", "UTC", None, now)
