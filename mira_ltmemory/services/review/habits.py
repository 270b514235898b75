"""Habits: what the user speaks of on certain weekdays or at certain hours, far more often than chance would have it.

What is counted are days (or parts of days), not messages: ten messages in one evening are one evening. Chance is the
user's own calendar: somebody who is only ever there on Mondays speaks of everything on Mondays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from mira_ltmemory.services.review.chance import SURE, at_least
from mira_ltmemory.services.review.patterns import Pattern
from mira_ltmemory.services.review.talk import PARTS, WEEKDAYS, Said, Talk
from mira_ltmemory.services.review.topics import Topic

KIND = "habit"
MIN_WEEKS = 4
LATELY = timedelta(weeks=5)
_MOST_OF = 0.5

Slot = tuple[int | None, int | None]
"""A weekday, a part of the day, or both."""


@dataclass(frozen=True, slots=True)
class _Unit:
    """What is counted once: a day, or a part of a day."""

    weekday: int
    part: int
    day: int


_FAMILIES: tuple[tuple[str, Callable[[Said], Slot], Callable[[Said], tuple[int, int | None]]], ...] = (
    ("weekday and hour", lambda one: (one.day.weekday(), one.part), lambda one: (one.day.toordinal(), one.part)),
    ("weekday", lambda one: (one.day.weekday(), None), lambda one: (one.day.toordinal(), None)),
    ("hour", lambda one: (None, one.part), lambda one: (one.day.toordinal(), one.part)),
)
"""The most telling first: the slot that a message falls into, and what is counted once."""

_SLOTS = len(WEEKDAYS) * len(PARTS) + len(WEEKDAYS) + len(PARTS)


def find_habits(talk: Talk, topics: Sequence[Topic]) -> list[Pattern]:
    """One habit at most for each topic, and one for being there at all."""
    if not talk.messages:
        return []
    tests = _SLOTS * (len(topics) + 1)
    found = [_habit(talk, topic.messages, f"speaks of {topic.name}", topic.words, tests) for topic in topics]
    found.append(_habit(talk, None, "is there", ("is there",), tests))
    return [habit for habit in found if habit is not None]


def _habit(talk: Talk, indexes: Sequence[int] | None, does: str, terms: Sequence[str], tests: int) -> Pattern | None:
    chosen = list(talk.messages) if indexes is None else [talk.messages[index] for index in indexes]
    now = talk.messages[-1].at
    for _, slot_of, unit_of in _FAMILIES:
        units = {unit_of(one): slot_of(one) for one in chosen}
        counts = Counter(units.values())
        base = _base(talk, slot_of, unit_of, anytime=indexes is None)
        for slot, hits in sorted(counts.items(), key=lambda item: (-item[1], str(item[0]))):
            evidence = [one for one in chosen if slot_of(one) == slot]
            weeks = {one.week for one in evidence}
            if len(weeks) < MIN_WEEKS or hits / len(units) < _MOST_OF or now - evidence[-1].at > LATELY:
                continue
            if at_least(hits, len(units), base[slot]) * tests > SURE:
                continue
            return _pattern(talk, does, terms, slot, hits, len(units), base[slot], evidence)
    return None


def _base(
    talk: Talk,
    slot_of: Callable[[Said], Slot],
    unit_of: Callable[[Said], tuple[int, int | None]],
    *,
    anytime: bool,
) -> dict[Slot, float]:
    """The chance of each slot: its share of the times at which the user was there, or, for being there, of all time."""
    slots = {slot_of(one) for one in talk.messages}
    if anytime:
        return {slot: _share_of_time(slot) for slot in slots}
    units = {unit_of(one): slot_of(one) for one in talk.messages}
    counts = Counter(units.values())
    return {slot: number / len(units) for slot, number in counts.items()}


def _share_of_time(slot: Slot) -> float:
    weekday, part = slot
    share = 1.0 if weekday is None else 1 / len(WEEKDAYS)
    if part is not None:
        # A day has five parts that are counted; the waking ones are alike, however long.
        share /= len(PARTS)
    return share


def _pattern(
    talk: Talk, does: str, terms: Sequence[str], slot: Slot, hits: int, units: int, base: float, evidence: list[Said]
) -> Pattern:
    weekday, part = slot
    when = {
        (True, True): lambda: f"on {WEEKDAYS[weekday or 0]} {PARTS[part or 0][1]}s",
        (True, False): lambda: f"on {WEEKDAYS[weekday or 0]}s",
        (False, True): lambda: f"in the {PARTS[part or 0][1]}",
    }[weekday is not None, part is not None]()
    when = when.replace("middays", "midday").replace("in the night", "at night").replace("in the midday", "at midday")
    weeks = sorted({one.week for one in evidence})
    counted = "days" if part is None else "times of day"
    text = (
        f"Habit: the user mostly {does} {when}: {hits} of {units} {counted}, in {len(weeks)} weeks, "
        f"last on {evidence[-1].day.isoformat()}; by chance it would be {base * units:.1f}."
    )
    return Pattern(
        kind=KIND,
        key=terms[0],
        text=text,
        terms=tuple(terms),
        evidence=[one.id for one in evidence],
        since=evidence[0].at,
        until=evidence[-1].at,
    )
