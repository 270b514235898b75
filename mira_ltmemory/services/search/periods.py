"""Dates in a query, as the days that it asks about."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from mira_ltmemory.services.search import english as en

MAX_PERIODS = 6
"""Periods of one query; a day without a year means that day of each year that the store holds."""

_SEARCHED = 0.5  # periods that tell less, such as a year, bring no candidates of their own


@dataclass(frozen=True, slots=True)
class Period:
    """Days from ``start`` to ``end``, both inclusive, as proleptic ordinals.

    ``weight`` is how much a match tells: a day 1, a week .9, a month .7, a year .3. ``fade`` is over how many days
    a match outside fades.
    """

    start: int
    end: int
    weight: float
    fade: float

    def moments(self, zone: tzinfo) -> tuple[datetime, datetime] | None:
        """First moment and the one after the last, in UTC; none beyond the calendar, or for too wide a period."""
        if self.weight <= _SEARCHED:
            return None
        try:
            first = datetime.combine(date.fromordinal(self.start), time(), zone)
            after = datetime.combine(date.fromordinal(self.end) + timedelta(days=1), time(), zone)
            return first.astimezone(UTC), after.astimezone(UTC)
        except (ValueError, OverflowError):
            return None


def periods_in(text: str, years: Sequence[int], today: date) -> tuple[Period, ...]:
    """Days, months and years that a text names, and those that it means relative to ``today``."""
    found: list[Period] = []
    used: list[tuple[int, int]] = []
    latest = sorted(years, reverse=True)

    def note(match: re.Match[str], periods: Iterable[Period | None]) -> None:
        known = [period for period in periods if period is not None]
        if known:
            found.extend(known)
            used.append(match.span())

    def free(pattern: re.Pattern[str]) -> list[re.Match[str]]:
        return [
            match for match in pattern.finditer(text)
            if not any(start < match.end() and match.start() < end for start, end in used)
        ]  # fmt: skip

    for match in free(en.DAY_MONTH):
        note(match, (_day(year, _month_number(match[2]), int(match[1])) for year in _years(match[3], latest)))
    for match in free(en.MONTH_DAY):
        note(match, (_day(year, _month_number(match[1]), int(match[2])) for year in _years(match[3], latest)))
    for match in free(en.ISO_DAY):
        note(match, [_day(int(match[1]), int(match[2]), int(match[3]))])
    for match in free(en.MONTH_ALONE):
        if _is_month(match, text):
            note(match, (_month(year, _month_number(match[1])) for year in _years(match[2], latest)))
    for match in free(en.YEAR):
        year = int(match[1])
        note(match, [Period(date(year, 1, 1).toordinal(), date(year, 12, 31).toordinal(), 0.3, 30)])
    return tuple(list(dict.fromkeys([*found, *_relative(text, today)]))[:MAX_PERIODS])


def _years(written: str | None, latest: Sequence[int]) -> Sequence[int]:
    return [int(written)] if written else latest


def _is_month(match: re.Match[str], text: str) -> bool:
    if match[1].lower() not in en.AMBIGUOUS_MONTHS:
        return True
    before = text[max(match.start() - 12, 0) : match.start()]
    return match[1][0].isupper() and bool(match[2] or en.BEFORE_MONTH.search(before))


def _month_number(name: str) -> int:
    return next(number for number, month in enumerate(en.MONTHS, 1) if month.startswith(name[:3].lower()))


def _day(year: int, month: int, day: int) -> Period | None:
    try:
        ordinal = date(year, month, day).toordinal()
    except ValueError:
        return None
    return Period(ordinal, ordinal, 1, 3)


def _month(year: int, month: int) -> Period | None:
    if not 1 <= year < 9999:
        return None
    after = date(year + month // 12, month % 12 + 1, 1)
    return Period(date(year, month, 1).toordinal(), after.toordinal() - 1, 0.7, 7)


def _relative(text: str, today: date) -> list[Period]:
    now = today.toordinal()
    monday = now - today.weekday()
    found: list[Period | None] = [
        Period(now + shift, now + shift, 1, 2) for pattern, shift in en.RELATIVE_DAYS if pattern.search(text)
    ]
    found += [
        Period(monday + start, monday + end, 0.9, 3)
        for pattern, start, end in en.RELATIVE_WEEKS
        if pattern.search(text)
    ]
    for match in en.LAST_WEEKDAY.finditer(text):
        day = now - ((today.weekday() - en.WEEKDAYS.index(match[1].lower())) % 7 or 7)
        found.append(Period(day, day, 1, 2))
    if en.LAST_MONTH.search(text):
        found.append(_month(today.year - (today.month == 1), (today.month - 2) % 12 + 1))
    if en.THIS_MONTH.search(text):
        found.append(_month(today.year, today.month))
    for match in en.AGO.finditer(text):
        number = int(match[1]) if match[1].isdigit() else en.NUMBERS[match[1].lower()]
        unit = {"day": 1, "week": 7, "month": 30, "year": 365}[match[2].lower()]
        middle, half = now - unit * number, unit // 2
        found.append(Period(middle - half, middle + half, 0.8, 3 + half / 2))
    return [period for period in found if period is not None]
