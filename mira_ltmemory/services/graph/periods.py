"""Of what one has one of at a time (a home, a spouse), which relation held when: each from when it was said on.

What was said is read in any order: an import may tell of years ago. So the place of a statement is decided by its
moment, not by when it was read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

_ALWAYS = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class Period:
    """A relation as it is stored, or is to be: ``said`` are the moments at which ``sources`` said it."""

    id: UUID
    object: UUID
    valid_from: datetime | None
    until: datetime | None
    said: list[datetime] = field(default_factory=list)
    sources: set[UUID] = field(default_factory=set)

    @property
    def start(self) -> datetime:
        """Since when it holds: as it was said, else since it was said first."""
        return self.valid_from or min(self.said, default=_ALWAYS)

    @property
    def last(self) -> datetime:
        """When it was last said to hold."""
        return max([self.start, *self.said])

    def covers(self, at: datetime) -> bool:
        """Whether it holds at a moment."""
        return self.start <= at and (self.until is None or at < self.until)


@dataclass(frozen=True, slots=True)
class Statement:
    """That one of these objects (they are the same) is it: said at ``at``, and ``since`` when, where that was told."""

    objects: Collection[UUID]
    source: UUID
    at: datetime
    since: datetime | None = None

    @property
    def begins(self) -> datetime:
        """From when on it is said to hold."""
        return self.since or self.at

    @property
    def holds(self) -> datetime:
        """The last moment at which it is said to hold: a plan holds from when it comes true."""
        return max(self.begins, self.at)


@dataclass(frozen=True, slots=True)
class Placed:
    """What becomes of a statement: it is further evidence of ``same``, or a new relation that ended at ``until``.

    ``begins`` is since when ``same`` holds, where that is news; ``ends`` tells which other relations end when.
    """

    same: Period | None
    begins: datetime | None
    until: datetime | None
    ends: tuple[tuple[Period, datetime], ...]


def place(periods: Iterable[Period], statement: Statement) -> Placed:
    """Where a statement belongs among the relations of one subject and kind.

    The newest statement says what holds now. One that is older, and read later, holds until something else was said.
    """
    known = list(periods)
    own = [each for each in known if each.object in statement.objects]
    others = [each for each in known if each.object not in statement.objects]
    told = next((each for each in own if statement.source in each.sources), None)
    if told is not None:
        return Placed(told, None, None, ())
    moments = sorted(max(moment, each.start) for each in others for moment in (each.start, *each.said))
    following = next((moment for moment in moments if moment > statement.holds), None)
    same = next((each for each in own if each.covers(statement.holds)), None)
    if same is None:  # said before what is known of it began, and nothing else in between
        later = (each for each in own if statement.holds < each.start and (following is None or each.start < following))
        same = min(later, key=lambda each: each.start, default=None)
    begins = None
    if same is not None and same.valid_from is None and statement.since is not None and statement.since < same.start:
        begins = None if any(statement.since <= moment < same.start for moment in moments) else statement.since
    ends = [
        (each, statement.begins if statement.begins > each.last else statement.holds)
        for each in others
        if each.last < statement.holds and (each.until is None or each.until > statement.begins)
    ]
    return Placed(
        same, begins, following, tuple((each, at) for each, at in ends if each.until is None or at < each.until)
    )
