"""Arms MIRA's automation engine with our jobs, and re-arms it after every run.

The engine knows no cron. A row is hourly in UTC, the one frequency that it reckons rightly, and its next
time is set by us: at install, and at the end of every run, after the engine has set its own. Should ours
ever fail, a row runs every hour and finds that nothing is due.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from mira_ltmemory.automations.runner import JobRunner, Schedule
from mira_ltmemory.errors import HostError
from mira_ltmemory.protocols import Json

logger = logging.getLogger(__name__)

NAMESPACE = uuid.UUID("8f0d4d2e-9c0f-5a53-8f0e-6a1d1f9f2a4b")
_PAGE = 100
_ARCHIVED = {"status": "archived"}


class EngineRows:
    """The rows of one user's jobs in MIRA's engine."""

    def __init__(self, engine: Any, runner: JobRunner, user_id: uuid.UUID) -> None:
        self._engine = engine
        self._runner = runner
        self._user_id = user_id
        self._running: set[str] = set()

    def arm(self, tool_name: str) -> list[Schedule]:
        """Write a row for each job, to be run through ``tool_name``, and remove the rows of jobs that are no more.

        Returns when each job runs next. Raises ``HostError`` where the engine fails and ``StoreError`` where
        our own record of the jobs cannot be read.
        """
        schedules, _ = self._runner.declare()
        try:
            for schedule in schedules:
                self._write(schedule, tool_name)
                self._end_interrupted(schedule.job.name)
            for row in list(self._foreign_rows()):
                self._remove(row)
        except Exception as error:
            raise HostError(f"MIRA's automation engine failed: {type(error).__name__}: {error}") from error
        return schedules

    def run(self, name: str, *, force: bool = False) -> Json:
        """Run a job for the engine, and re-arm its row whatever came of it."""
        row_id = self.row_id(name)
        self._running.add(row_id)
        try:
            self._end_interrupted(name)
        except Exception:  # an old record must not keep the job from running
            logger.exception("earlier records of job %s could not be looked through", name)
        try:
            return self._runner.run(name, force=force)
        finally:
            self._rearm(name)
            self._running.discard(row_id)

    def knows(self, name: str) -> bool:
        """Whether there is a job of that name."""
        return name in self._runner

    def ids(self) -> dict[str, str]:
        """Return the id of each job's row, by the job's name."""
        return {job.name: self.row_id(job.name) for job in self._runner}

    def about_to_run(self) -> bool:
        """Whether the engine has begun with a row of ours and has not called its tool yet."""
        begun = set(getattr(self._engine, "active_automations", ())) - self._running
        return any(self.row_id(job.name) in begun for job in self._runner)

    def row_id(self, name: str) -> str:
        """Return the id of a job's row: the same in every process and after every restart."""
        return str(uuid.uuid5(NAMESPACE, f"{self._user_id}:{name}"))

    def _write(self, schedule: Schedule, tool_name: str) -> None:
        row_id = self.row_id(schedule.job.name)
        shown = {
            "name": f"Long-term memory: {schedule.job.name}",
            "description": f"{schedule.job.description} ({schedule.job.cron}, {schedule.job.timezone})",
            "tool_name": tool_name,
            "operation": schedule.job.name,
            "next_execution_time": schedule.next_run_at,
        }
        row = self._engine.get_automation(row_id)
        if row is not None and _plain(row.status) == _ARCHIVED["status"]:  # taken out while it ran, and here again
            shown["status"] = "active"
        if row is not None and getattr(row, "timezone", None) == "UTC":
            # No frequency, time or time zone here: the engine would reckon the next time itself.
            if any(_plain(getattr(row, key, None)) != _plain(value) for key, value in shown.items()):
                self._engine.update_automation(row_id, shown)
            return
        if row is not None:
            self._engine.delete_automation(row_id)
        self._engine.create_automation(
            {
                **shown,
                "id": row_id,
                "type": "simple_task",
                "execution_mode": "direct",
                "frequency": "hourly",
                "timezone": "UTC",
                "scheduled_time": schedule.next_run_at.replace(second=0, microsecond=0),
                "parameters": {},
            }
        )

    def _rearm(self, name: str) -> None:
        try:
            due = self._runner.next_run_at(name)
            self._engine.update_automation(self.row_id(name), {"next_execution_time": due})
        except Exception:  # the hourly backstop stands; the result of the job must not be lost over this
            logger.exception("job %s could not be re-armed; it is looked at every hour", name)

    def _end_interrupted(self, name: str) -> None:
        """End the engine's records of runs that a killed process left running; one that runs elsewhere is left."""
        row_id = self.row_id(name)
        present = set(getattr(self._engine, "active_automations", {}).values())
        left = [
            one["id"]
            for one in self._engine.get_executions(row_id, limit=_PAGE)["executions"]
            if one["status"] == "running" and one["id"] not in present
        ]
        if not left or self._runner.is_running(name):
            return
        for each in left:
            record = self._engine.get_execution_details(each)
            record.status = type(record.status)("failed")
            record.completed_at = datetime.now(UTC)
            record.error = "The process ended in the middle of the run."
            self._engine.db.update(record)

    def _foreign_rows(self) -> Iterator[str]:
        """Yield the ids of this user's rows whose job is no more: a row proves by its id that it is ours."""
        offset = 0
        while True:
            page = self._engine.get_automations(limit=_PAGE, offset=offset)["automations"]
            for row in page:
                name = row.get("operation")
                if name and row.get("id") == self.row_id(name) and not self.knows(name):
                    yield row["id"]
            if len(page) < _PAGE:
                return
            offset += _PAGE

    def _remove(self, row_id: str) -> None:
        # What runs at this moment cannot be deleted. It is archived, which nobody but us does: paused is for people.
        if not self._engine.delete_automation(row_id):
            self._engine.update_automation(row_id, dict(_ARCHIVED))


def _plain(value: Any) -> Any:
    """Return a value as it can be compared: the engine's moments are naive, and in UTC; a status has its value."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
    return value
