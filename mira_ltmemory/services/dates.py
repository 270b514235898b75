"""Dates as tools give them, read in the user's time zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from mira_ltmemory.errors import InvalidArgument


def parse_range(
    start_field: str, start: object, end_field: str, end: object, zone: ZoneInfo
) -> tuple[datetime | None, datetime | None]:
    """Return the half-open range in UTC that the two inclusive bounds mean.

    A bound that names a day means the whole day in ``zone``. Raises ``InvalidArgument`` naming the field.
    """
    begin = _parse(start_field, start, zone, whole_day_end=False)
    finish = _parse(end_field, end, zone, whole_day_end=True)
    if begin is not None and finish is not None and begin >= finish:
        raise InvalidArgument(f"{start_field} ({start}) is after {end_field} ({end}); swap them.")
    return begin, finish


_END_OF_TIME = datetime.max.replace(tzinfo=UTC)
"""What an open end such as 9999-12-31 means."""


def _parse(field: str, value: object, zone: ZoneInfo, *, whole_day_end: bool) -> datetime | None:
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, str):
        day = _day(value)
        if day is not None:
            try:
                first = day + timedelta(days=1) if whole_day_end else day
                return datetime.combine(first, time(), zone).astimezone(UTC)
            except OverflowError:
                if whole_day_end:
                    return _END_OF_TIME
                raise _malformed(field, value) from None
        moment = _moment(field, value)
    else:
        raise _malformed(field, value)
    try:
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
        # The given moment itself is inside the range.
        return moment + timedelta(microseconds=1) if whole_day_end else moment
    except OverflowError:
        raise _malformed(field, value) from None


def _day(value: str) -> date | None:
    try:
        return date.fromisoformat(value.strip())
    except ValueError:
        return None


def _moment(field: str, value: str) -> datetime:
    try:
        return datetime.fromisoformat(value.strip())
    except ValueError:
        raise _malformed(field, value) from None


def _malformed(field: str, value: object) -> InvalidArgument:
    shown = str(value)[:60]
    return InvalidArgument(
        f"{field} {shown!r} is no date: give YYYY-MM-DD, or YYYY-MM-DDTHH:MM:SS with or without a time zone offset."
    )
