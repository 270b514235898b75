"""When a cron expression fires in a time zone, through daylight-saving changes, as moments in UTC.

Rules, as Vixie cron has them:

- A time that a change of the clock skips fires late by as much as the clock jumped; an expression whose
  hour begins with ``*`` does not fire for hours that do not exist.
- A time that a change of the clock repeats fires once, the first time; an expression whose hour begins
  with ``*`` fires both times, so that ``*/30 * * * *`` stays every half hour.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from croniter import croniter

_SHIFT = timedelta(hours=3)
"""More than any clock change (24 hours at the date line apart, which only ever skip a day)."""


def next_run(cron: str, timezone: str, after: datetime) -> datetime:
    """Return the first moment in UTC, later than ``after`` (aware), at which ``cron`` fires in ``timezone`` (IANA)."""
    zone = ZoneInfo(timezone)
    best: datetime | None = None
    for wall in _walls(cron, _wall(after, zone) - _SHIFT, forward=True):
        if best is not None and wall > _wall(best, zone) + _SHIFT:
            break
        for moment in _moments(cron, wall, zone):
            if moment > after and (best is None or moment < best):
                best = moment
    assert best is not None, "a cron expression that is valid fires again"
    return best


def last_run(cron: str, timezone: str, at: datetime) -> datetime:
    """Return the last moment not later than ``at`` (aware) at which ``cron`` was due in ``timezone``, in UTC."""
    zone = ZoneInfo(timezone)
    best: datetime | None = None
    for wall in _walls(cron, _wall(at, zone) + _SHIFT, forward=False):
        if best is not None and wall < _wall(best, zone) - _SHIFT:
            break
        for moment in _moments(cron, wall, zone):
            if moment <= at and (best is None or moment > best):
                best = moment
    assert best is not None, "a cron expression that is valid fired before"
    return best


def missed(cron: str, timezone: str, last_success: datetime | None, now: datetime) -> bool:
    """Whether ``cron`` was due since ``last_success`` (exclusive); never so where there was no success yet."""
    return last_success is not None and last_run(cron, timezone, now) > last_success


def _wall(moment: datetime, zone: ZoneInfo) -> datetime:
    """Return what the clock on the wall shows at a moment."""
    return moment.astimezone(zone).replace(tzinfo=None)


def _walls(cron: str, start: datetime, *, forward: bool) -> Iterator[datetime]:
    """Wall-clock times that match, from ``start`` on (exclusive), without end."""
    matches = croniter(cron, start)
    while True:
        yield matches.get_next(datetime) if forward else matches.get_prev(datetime)


def _moments(cron: str, wall: datetime, zone: ZoneInfo) -> list[datetime]:
    """Return the moments at which a wall-clock time fires: none, one or two."""
    every_hour = cron.split()[1].startswith("*")
    first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    exists = _wall(first, zone) == wall
    if not exists:
        return [] if every_hour else [first]
    return [first, second] if every_hour and second != first else [first]
