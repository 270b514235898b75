"""How important a memory is: a pure function of stored facts and of a day.

Nothing of it is stored, so nothing decays twice: the same facts on the same day give the same number. Age is counted in
active days, those on which the user said something: memory does not fade while the user is away.

    importance = 1 - (1 - .70 asked) (1 - .60 used) (1 - .50 recent) (1 - .40 linked) (1 - .30 corrected)

    asked      1 where it was stored on request ("remember this"), else 0
    used       1 - exp(-u / 2); u sums the uses of each day, at most 5 a day, halved every 30 active days since
    recent     halved every 30 active days since it was said, changed by a person or the model, or last used
    linked     1 - exp(-n / 3) for the n rows that came from it
    corrected  1 - exp(-n) for the n earlier memories that it replaced

Each factor can only add: more uses, links or corrections never make a memory less important.
"""

from __future__ import annotations

import datetime as dt
import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

HALF_LIFE = 30.0
"""Active days after which recency and a use count half."""

DAILY_USES = 5
"""Uses of one day that count: a conversation about one thing is one occasion."""

WEIGHTS = {"asked": 0.70, "used": 0.60, "recent": 0.50, "linked": 0.40, "corrected": 0.30}


class ActiveDays:
    """The days, in the user's calendar, on which the user was there."""

    def __init__(self, days: Iterable[dt.date]) -> None:
        self._days = sorted(set(days))

    def __len__(self) -> int:
        return len(self._days)

    def since(self, day: dt.date, today: dt.date) -> int:
        """How many active days lie after ``day``, up to and with ``today``."""
        return max(0, bisect_right(self._days, today) - bisect_right(self._days, day))

    def before(self, number: int, today: dt.date) -> dt.date | None:
        """The last day that is more than ``number`` active days old; none where the user was there too rarely."""
        at = bisect_right(self._days, today) - number - 1
        return self._days[at - 1] if at >= 1 else None


@dataclass(frozen=True, slots=True)
class Facts:
    """What is stored about a memory. ``touched`` is the day on which it was said or last changed on purpose.

    ``uses`` are days and how often it was shown on each; ``links`` and ``corrections`` are counts.
    """

    touched: dt.date
    asked: bool = False
    uses: Sequence[tuple[dt.date, int]] = ()
    links: int = 0
    corrections: int = 0


def importance(facts: Facts, active: ActiveDays, today: dt.date) -> float:
    """Return how important a memory is on a day, from 0 to 1."""
    least = 1.0
    for name, value in factors(facts, active, today).items():
        least *= 1.0 - WEIGHTS[name] * value
    return 1.0 - least


def factors(facts: Facts, active: ActiveDays, today: dt.date) -> dict[str, float]:
    """Return what `importance` is made of, each from 0 to 1, by name: it explains the number."""
    # A use in the future is a clock set back: it counts as of today.
    used = sum(min(count, DAILY_USES) * _halved(active.since(day, today)) for day, count in facts.uses)
    latest = max([facts.touched, *(day for day, _ in facts.uses)])
    return {
        "asked": 1.0 if facts.asked else 0.0,
        "used": 1.0 - math.exp(-used / 2),
        "recent": _halved(active.since(latest, today)),
        "linked": 1.0 - math.exp(-facts.links / 3),
        "corrected": 1.0 - math.exp(-facts.corrections),
    }


def _halved(days: int) -> float:
    return float(0.5 ** (days / HALF_LIFE))
