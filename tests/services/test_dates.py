"""Dates as tools give them."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from mira_ltmemory.errors import InvalidArgument
from mira_ltmemory.services.dates import parse_range

BERLIN = ZoneInfo("Europe/Berlin")


def test_a_day_as_end_means_the_end_of_that_day_in_the_users_zone() -> None:
    start, end = parse_range("start_date", "2025-03-29", "end_date", "2025-03-30", BERLIN)
    assert start == datetime(2025, 3, 28, 23, tzinfo=UTC)
    assert end == datetime(2025, 3, 30, 22, tzinfo=UTC)  # summer time began that day


def test_moments_are_inclusive() -> None:
    _, end = parse_range("start_date", None, "end_date", "2025-03-30T12:00:00+00:00", BERLIN)
    assert end is not None
    assert end > datetime(2025, 3, 30, 12, tzinfo=UTC)


def test_a_moment_without_an_offset_is_the_users() -> None:
    start, _ = parse_range("start_date", "2025-07-01T12:00", "end_date", None, BERLIN)
    assert start == datetime(2025, 7, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize("value", ["yesterday", "2025-13-01", "2025-02-30", 5, ["2025-01-01"], "0001-01-01"])
def test_a_bad_date_names_its_field(value: object) -> None:
    with pytest.raises(InvalidArgument, match="start_date|end_date"):
        parse_range("start_date", value, "end_date", value, ZoneInfo("Pacific/Kiritimati"))
        parse_range("start_date", value, "end_date", value, ZoneInfo("Pacific/Pago_Pago"))


def test_a_start_after_the_end_is_told() -> None:
    with pytest.raises(InvalidArgument, match="start_date .* is after end_date"):
        parse_range("start_date", "2025-02-01", "end_date", "2025-01-01", BERLIN)


def test_nothing_means_no_bound() -> None:
    assert parse_range("a", None, "b", "", BERLIN) == (None, None)


def test_the_end_of_time_means_no_end() -> None:
    _, end = parse_range("start_date", None, "end_date", "9999-12-31", BERLIN)
    assert end is not None
    assert end.year == 9999
