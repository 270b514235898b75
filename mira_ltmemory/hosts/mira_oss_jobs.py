"""Our cron as a trigger of APScheduler, which mira-OSS brings along. Its own cron reads 0 as Monday."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from mira_ltmemory.automations.schedule import next_run
from mira_ltmemory.errors import HostError


def make_trigger(cron: str, timezone: str, first: datetime | None) -> Any:
    """Return a trigger that fires at ``first``, where there is one, and then by ``cron`` in ``timezone``.

    Raises ``HostError`` where APScheduler is not installed.
    """
    try:
        from apscheduler.triggers.base import BaseTrigger
    except ImportError as error:
        raise HostError("mira-OSS runs jobs with APScheduler, which is not installed.") from error

    class Trigger(BaseTrigger):  # type: ignore[misc]
        """Fires as the memory's own schedule says."""

        def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
            """Return when to fire next, aware, in UTC."""
            if previous_fire_time is None and first is not None:
                return max(first, now)
            return next_run(cron, timezone, now if previous_fire_time is None else max(previous_fire_time, now))

    return Trigger()
