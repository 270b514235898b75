"""Looks for due automations and runs them by calling tools, keeping a record of each run."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from mira_ltmemory.hosts.local.automation_model import (
    Automation,
    AutomationStatus,
    AutomationType,
    Execution,
    ExecutionMode,
    ExecutionStatus,
    TaskFrequency,
    TriggerType,
    next_run,
)
from mira_ltmemory.hosts.local.automation_store import AutomationStore
from mira_ltmemory.hosts.local.clock import Clock, as_utc, utc_now
from mira_ltmemory.hosts.local.errors import ErrorCode, ToolError, error_context
from mira_ltmemory.hosts.local.tools import ToolRepository

logger = logging.getLogger(__name__)


class AutomationScheduler:
    """The running half of the automation engine."""

    def __init__(
        self,
        tool_repo: ToolRepository,
        llm_bridge: Any = None,
        *,
        db_path: str | Path,
        timezone: str = "UTC",
        check_interval: float = 30.0,
        clock: Clock = utc_now,
    ) -> None:
        self.tool_repo = tool_repo
        self.llm_bridge = llm_bridge
        self.store = AutomationStore(db_path)
        self.timezone = timezone
        self.check_interval = check_interval
        self.clock = clock
        self.active_automations: dict[str, str] = {}
        self.automation_lock = threading.Lock()
        self.scheduler_running = False
        self.scheduler_thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._manual: list[threading.Thread] = []

    # -- the scheduler -------------------------------------------------------------------------------------

    def start_scheduler(self) -> None:
        """Run what is overdue at once, in this thread, then go on looking in a daemon thread.

        The first pass comes before any plugin can register, which is what makes overdue jobs fail.
        """
        if self.scheduler_running:
            return
        self.scheduler_running = True
        self.process_due()
        self._stop.clear()
        self.scheduler_thread = threading.Thread(target=self._loop, daemon=True, name="automation-scheduler")
        self.scheduler_thread.start()

    def stop_scheduler(self) -> None:
        """Stop looking, and wait for a moment for what still runs."""
        self.scheduler_running = False
        self._stop.set()
        if self.scheduler_thread is not None:
            self.scheduler_thread.join(5.0)
            self.scheduler_thread = None
        self.join()

    def _loop(self) -> None:
        while not self._stop.wait(self.check_interval):
            try:
                self.process_due()
            except Exception:
                logger.exception("scheduler pass failed")

    def process_due(self, now: datetime | None = None) -> list[str]:
        """Run all that is due, one after the other, in this thread; returns the ids. ``now`` is a pretence."""
        clock: Clock = self.clock if now is None else lambda: as_utc(now)
        ids = [one for one in self.store.due(clock()) if one not in self.active_automations]
        for automation_id in ids:
            self._run_safely(automation_id, clock)
        return ids

    def join(self, timeout: float = 5.0) -> None:
        """Wait for the threads of ``execute_now``."""
        for thread in self._manual:
            thread.join(timeout)
        self._manual = [thread for thread in self._manual if thread.is_alive()]

    def _run_safely(self, automation_id: str, clock: Clock) -> None:
        try:
            if automation_id in self.active_automations:
                return
            job = self.store.get_job(automation_id)
            if job is not None:
                self.execute_automation(job, TriggerType.SCHEDULED, clock)
        except Exception:
            logger.exception("automation %s failed", automation_id)
        finally:
            self._cleanup_tools()

    def execute_automation(self, automation: Automation, trigger_type: TriggerType, clock: Clock | None = None) -> None:
        """Run one automation. The next time is stored before the tool is called."""
        clock = clock or self.clock
        started = clock()
        run = Execution(
            automation.id,
            started,
            status=ExecutionStatus.RUNNING,
            trigger_type=trigger_type,
            scheduled_time=automation.next_execution_time,
            started_at=started,
        )
        self.store.save_run(run)
        automation.last_execution_id = run.id
        automation.last_execution_time = started
        automation.execution_count += 1
        due = next_run(automation, clock(), self.timezone)
        if due is not None:
            automation.next_execution_time = due
        elif automation.frequency is TaskFrequency.ONCE:
            automation.status = AutomationStatus.COMPLETED
        self._save(automation, clock)
        with self.automation_lock:
            self.active_automations[automation.id] = run.id
        try:
            self._attempt(automation, run, clock)
        finally:
            with self.automation_lock:
                self.active_automations.pop(automation.id, None)

    def _attempt(self, job: Automation, run: Execution, clock: Clock) -> None:
        try:
            with error_context("AutomationEngine", "executing a task", ToolError, ErrorCode.TOOL_EXECUTION_ERROR):
                result = self._call(job)
                if result is not None and not isinstance(result, dict):
                    raise ValueError(f"a result may not be of type {type(result)}")
                run.result = result
                self.store.save_run(run)
            run.status = ExecutionStatus.COMPLETED
        except Exception as exc:
            logger.exception("automation %s failed", job.id)
            run.status, run.error = ExecutionStatus.FAILED, str(exc)
        run.completed_at = clock()
        run.runtime_seconds = (as_utc(run.completed_at) - as_utc(run.started_at or clock())).total_seconds()
        # A result that JSON cannot hold is still in the record: this raises too and the record stays RUNNING.
        self.store.save_run(run)

    def _call(self, job: Automation) -> Any:
        if job.type is AutomationType.SEQUENCE or job.execution_mode is not ExecutionMode.DIRECT:
            raise TypeError("orchestrated tasks and sequences do not work in this host")
        name = job.tool_name or ""
        try:
            if not self.tool_repo.is_tool_enabled(name):
                self.tool_repo.enable_tool(name)
            tool = self.tool_repo.get_tool(name)
        except Exception as exc:
            raise ToolError(f"cannot get tool '{name}': {exc}", ErrorCode.TOOL_NOT_FOUND) from exc
        run: Callable[..., Any] = tool.run
        return run(job.operation, **job.parameters)  # type: ignore[arg-type]

    def _cleanup_tools(self) -> None:
        for name in self.tool_repo.get_enabled_tools():
            try:
                cleanup = getattr(self.tool_repo.get_tool(name), "cleanup", None)
                if callable(cleanup):
                    cleanup()
            except Exception:
                logger.exception("cleanup of %s failed", name)

    def _save(self, job: Automation, clock: Clock | None = None) -> None:
        with error_context("AutomationEngine", "storing", ToolError, ErrorCode.TOOL_EXECUTION_ERROR):
            job.updated_at = (clock or self.clock)()
            self.store.save_job(job)
