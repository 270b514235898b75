"""The automation engine: what a plugin calls to have its jobs kept and run."""

from __future__ import annotations

import re
import sqlite3
import threading
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from mira_ltmemory.hosts.local.automation_model import (
    MOMENTS,
    Automation,
    AutomationStatus,
    AutomationType,
    Execution,
    TriggerType,
    next_run,
)
from mira_ltmemory.hosts.local.automation_scheduler import AutomationScheduler
from mira_ltmemory.hosts.local.automation_store import AutomationStore
from mira_ltmemory.hosts.local.clock import as_utc
from mira_ltmemory.hosts.local.errors import ErrorCode, ToolError, error_context

_SCHEDULE_KEYS = {"frequency", "scheduled_time", "day_of_week", "day_of_month", "custom_schedule", "timezone"}
_TIME_OF_DAY = re.compile(r"\d\d:\d\d(:\d\d)?")


class AutomationEngine(AutomationScheduler):
    """Creates, changes and lists automations; its base class runs them."""

    @property
    def db(self) -> AutomationStore:
        """Where automations and executions are kept; as MIRA's, it has ``update(record)``."""
        return self.store

    def create_automation(self, data: dict[str, Any]) -> Automation:
        """Store a new automation. An id that is taken is a ``ToolError`` caused by an IntegrityError."""
        with error_context("AutomationEngine", "creating", ToolError, ErrorCode.TOOL_INVALID_INPUT):
            job = Automation.from_dict(data)
            job.timezone = job.timezone or self.timezone
            given = data.get("scheduled_time")
            if isinstance(given, str) and ":" in given:
                job.scheduled_time = self._parse(given, job.timezone)
            job.next_execution_time = job.next_execution_time or job.scheduled_time or self.clock()
            self._check(job)
            job.created_at = job.created_at or self.clock()
            job.updated_at = job.updated_at or self.clock()
            try:
                self.store.add_job(job)
            except sqlite3.IntegrityError as exc:
                raise ToolError(f"database failed while adding: (sqlite3.IntegrityError) {exc}") from exc
            return self.store.get_job(job.id) or job

    def get_automation(self, automation_id: str) -> Automation | None:
        """One automation, or None; its moments are naive UTC."""
        return self.store.get_job(automation_id)

    def get_automations(
        self,
        automation_type: str | None = None,
        status: str | None = None,
        frequency: str | None = None,
        user_id: str | None = None,
        limit: int = 10,
        offset: int = 0,
    ) -> dict[str, Any]:
        """``{"automations": [dicts], "count": on this page, "total": in all}``; ten to a page."""
        filters = {"type": automation_type, "status": status, "frequency": frequency, "user_id": user_id}
        jobs, total = self.store.list_jobs(filters, limit, offset)
        return {"automations": [job.to_dict() for job in jobs], "count": len(jobs), "total": total}

    def update_automation(self, automation_id: str, data: dict[str, Any]) -> Automation | None:
        """Change an automation; None if there is none.

        Fails on sequences. Outside UTC the moments that were not passed get shifted. A change of the schedule
        recomputes ``next_execution_time``, even if one was passed.
        """
        with error_context("AutomationEngine", "updating", ToolError, ErrorCode.TOOL_EXECUTION_ERROR):
            old = self.store.get_job(automation_id)
            if old is None:
                return None
            if old.type is AutomationType.SEQUENCE:
                raise RuntimeError("the steps of a sequence cannot be loaded here")
            data = dict(data)
            given = data.get("scheduled_time")
            if isinstance(given, str):
                data["scheduled_time"] = self._parse(given, data.get("timezone") or old.timezone)
            job = replace(Automation.from_dict({**old.to_dict(), **data}), last_execution_id=old.last_execution_id)
            for key in MOMENTS:  # nothing can be emptied
                setattr(job, key, getattr(job, key) or getattr(old, key))
            self._check(job)
            if _SCHEDULE_KEYS & data.keys():
                job.next_execution_time = next_run(job, self.clock(), self.timezone) or job.next_execution_time
            job.version += 1
            self.store.save_job(job)
            return job

    def delete_automation(self, automation_id: str) -> bool:
        """Delete; False if it is unknown or running."""
        if self.store.get_job(automation_id) is None or automation_id in self.active_automations:
            return False
        self.store.delete_job(automation_id)
        return True

    def pause_automation(self, automation_id: str) -> bool:
        """Stop running it; False if it is unknown."""
        job = self.store.get_job(automation_id)
        if job is None:
            return False
        job.status = AutomationStatus.PAUSED
        self._save(job)
        return True

    def resume_automation(self, automation_id: str) -> dict[str, Any]:
        """As in MIRA: works for an active automation and raises ``TypeError`` for a paused one."""
        job = self.store.get_job(automation_id)
        if job is None:
            return {"success": False, "message": "no such automation"}
        due = job.next_execution_time
        if job.status is not AutomationStatus.ACTIVE:
            if due is None or due < self.clock():  # naive against aware
                job.next_execution_time = next_run(job, self.clock(), self.timezone)
            job.status = AutomationStatus.ACTIVE
            self._save(job)
        return {"success": True, "message": "active", "next_execution": due.isoformat() if due else None}

    def execute_now(self, automation_id: str) -> Execution:
        """Run in a thread. The record returned stays PENDING for ever: the run writes one of its own."""
        job = self.store.get_job(automation_id)
        if job is None:
            raise ToolError(f"automation {automation_id} not found", ErrorCode.TOOL_NOT_FOUND)
        if job.status is not AutomationStatus.ACTIVE or automation_id in self.active_automations:
            raise ToolError(f"automation {automation_id} is {job.status.value} or running already")
        now = self.clock()
        run = Execution(job.id, now, trigger_type=TriggerType.MANUAL, scheduled_time=now)
        self.store.save_run(run)
        thread = threading.Thread(target=self._run_safely, args=(job.id, self.clock), daemon=True)
        self._manual.append(thread)
        thread.start()
        return run

    def get_executions(self, automation_id: str, limit: int = 10, offset: int = 0) -> dict[str, Any]:
        """Return ``{"executions": [summaries, newest first], "count": ..., "total": ...}``."""
        runs, total = self.store.list_runs(automation_id, limit, offset)
        return {"executions": [run.summary() for run in runs], "count": len(runs), "total": total}

    def get_execution_details(self, execution_id: str) -> Execution | None:
        """One execution with its result."""
        return self.store.get_run(execution_id)

    def _parse(self, text: str, zone: str | None) -> datetime:
        """Read a moment in a zone. ``"HH:MM"`` gets here from updates only: creating stumbles over it before."""
        local = self.clock().astimezone(ZoneInfo(zone or self.timezone))
        if _TIME_OF_DAY.fullmatch(text):
            text = f"{local.date()} {text}"
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=local.tzinfo)
        if "T" not in text and ":" in text and moment < local:
            moment += timedelta(days=1)
        return as_utc(moment)

    @staticmethod
    def _check(job: Automation) -> None:
        if wrong := job.validate():
            raise ToolError(f"invalid automation: {', '.join(wrong)}", ErrorCode.TOOL_INVALID_INPUT)
