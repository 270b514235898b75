"""When a job that failed is tried again: soon at first, then more and more rarely, and never every minute."""

from __future__ import annotations

from datetime import datetime, timedelta

from mira_ltmemory.automations.schedule import next_run

FIRST = timedelta(minutes=5)
_FACTOR = 3
_LEAST_CAP, _MOST_CAP = timedelta(hours=1), timedelta(hours=24)


def retry_at(cron: str, timezone: str, failed_at: datetime, failures: int) -> datetime:
    """Return when a job that failed ``failures`` times in a row, last at ``failed_at``, runs next.

    5 minutes later, then 15, 45 and so on, up to a quarter of the time between its regular runs (at least an hour, at
    most a day); a regular run that comes first takes its place, but never sooner than 5 minutes after the failure.
    """
    regular = next_run(cron, timezone, failed_at)
    interval = next_run(cron, timezone, regular) - regular
    cap = min(max(interval / 4, _LEAST_CAP), _MOST_CAP)
    pause = min(FIRST * int(_FACTOR ** min(max(failures, 1) - 1, 10)), cap)
    return max(min(failed_at + pause, regular), failed_at + FIRST)
