"""Moments as people have them: which can be one of a message, and how one is told in a time zone."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

FIRST_MOMENT = datetime(1900, 1, 1, tzinfo=UTC)
LAST_MOMENT = datetime(2200, 1, 1, tzinfo=UTC)


def is_plausible(moment: datetime) -> bool:
    """Whether something can have been said then: exports write 0001-01-01 and 9999-12-31 for "never"."""
    return FIRST_MOMENT <= moment < LAST_MOMENT


def in_zone(moment: datetime, zone: tzinfo) -> datetime:
    """Tell an aware moment in a time zone; one that falls off the calendar there is told as its first or last day."""
    try:
        return moment.astimezone(zone)
    except OverflowError:
        edge = datetime.min if moment < FIRST_MOMENT else datetime.max
        return edge.replace(tzinfo=zone)
