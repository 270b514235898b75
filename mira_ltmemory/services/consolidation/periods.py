"""Days, weeks, months and years of the user's calendar, and which of them sum up which."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

Level = Literal["day", "week", "month", "year"]

LEVELS: tuple[Level, ...] = ("day", "week", "month", "year")
CHILDREN: dict[Level, Level | None] = {"day": None, "week": "day", "month": "day", "year": "month"}
"""What each level is summed up from: days from messages, weeks and months from days, years from months."""


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """A period by its first and its last day. ``key`` names it: 2025-05-05, 2025-W19, 2025-05 or 2025."""

    first: dt.date
    last: dt.date
    level: Level
    key: str

    @property
    def title(self) -> str:
        """How people call it."""
        if self.level == "day":
            return f"{self.first:%A}, {self.key}"
        return f"week {self.key} ({self.first} to {self.last})" if self.level == "week" else self.key


def period_of(day: dt.date, level: Level) -> Period:
    """The period of a level that a day lies in."""
    if level == "day":
        return Period(day, day, level, day.isoformat())
    if level == "week":
        first = day - dt.timedelta(days=day.weekday())
        year, week, _ = day.isocalendar()
        return Period(first, first + dt.timedelta(days=6), level, f"{year}-W{week:02}")
    if level == "month":
        first = day.replace(day=1)
        following = (first + dt.timedelta(days=32)).replace(day=1)
        return Period(first, following - dt.timedelta(days=1), level, f"{day:%Y-%m}")
    return Period(dt.date(day.year, 1, 1), dt.date(day.year, 12, 31), level, f"{day.year:04}")
