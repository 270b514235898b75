"""Runs jobs: one process at a time, each due time once, every outcome recorded."""

from __future__ import annotations

import logging
import os
import socket
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from mira_ltmemory.automations.schedule import last_run, missed, next_run
from mira_ltmemory.errors import LtMemoryError
from mira_ltmemory.protocols import Actor, Change, Clock, Job, JobReport, JobRun, Json, Progress, no_progress

logger = logging.getLogger(__name__)

LEASE = timedelta(minutes=30)
"""How long a process that died in the middle of a job keeps the others from it."""


class JobRecord(Protocol):
    """What is stored of a job."""

    cron: str
    timezone: str
    next_run_at: datetime | None
    last_started_at: datetime | None
    last_finished_at: datetime | None
    last_success_at: datetime | None
    consecutive_failures: int
    lease_until: datetime | None


class JobStore(Protocol):
    """The part of the store that the runner uses."""

    def upkeep(self) -> AbstractContextManager[Any]:
        """Open a transaction whose unit has ``jobs``."""
        ...

    def redact(self, text: str) -> str:
        """Return a text without its secrets."""
        ...


class Problems(Protocol):
    """Where the user is told what is wrong."""

    def set(self, subject: str, text: str) -> None:
        """Say that something is off."""
        ...

    def clear(self, subject: str) -> None:
        """Say that it works again."""
        ...


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a job runs next, and whether that is to make up for a run that was missed."""

    job: Job
    next_run_at: datetime
    catching_up: bool


class JobRunner:
    """Runs jobs by name, for one user.

    ``before`` is called at the start of every run: a host sets it to capture the conversation.
    """

    def __init__(
        self,
        store: JobStore,
        clock: Clock,
        problems: Problems,
        jobs: Sequence[Job] = (),
        *,
        owner: str | None = None,
        lease: timedelta = LEASE,
    ) -> None:
        self._store = store
        self._clock = clock
        self._problems = problems
        self._owner = owner or f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4()}"
        self._lease = lease
        self._jobs: dict[str, Job] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._retry_at: dict[str, datetime] = {}
        self.before: Callable[[], object] = _nothing
        for job in jobs:
            self.add(job)

    def add(self, job: Job) -> None:
        """Make a job known to this runner; one of the same name is replaced."""
        self._jobs[job.name] = job
        self._locks.setdefault(job.name, threading.Lock())

    def __iter__(self) -> Iterator[Job]:
        return iter(self._jobs.values())

    def __contains__(self, name: object) -> bool:
        return name in self._jobs

    def declare(self) -> tuple[list[Schedule], list[str]]:
        """Write the jobs down, and return when each runs next and the names of jobs that are no more.

        A run that was due while nothing ran, or that failed, is made up for once, now. Raises ``StoreError``.
        """
        now = self._clock.now()
        with self._store.upkeep() as unit:
            known = {state.name: state for state in unit.jobs.all()}
            schedules = [self._schedule(job, known.get(job.name), now) for job in self]
            for schedule in schedules:
                job = schedule.job
                unit.jobs.declare(job.name, job.cron, job.timezone, schedule.next_run_at)
            return schedules, unit.jobs.remove_others(list(self._jobs))

    def next_run_at(self, name: str) -> datetime:
        """When a job is to run again, from the clock and its cron expression. Asks no database."""
        job = self._jobs[name]
        regular = next_run(job.cron, job.timezone, self._clock.now())
        return min(regular, self._retry_at.get(name, regular))

    def run(self, name: str, *, force: bool = False, progress: Progress = no_progress) -> Json:
        """Run a job now and return ``{"success", "job", "report" | "error"}``. Never raises.

        Nothing is done where another process runs it, or ran it for the time that was due; ``force``
        overrides the latter.
        """
        job = self._jobs.get(name)
        if job is None:
            known = ", ".join(self._jobs) or "none"
            return {"success": False, "job": name, "error": f"There is no job {name!r}. Jobs: {known}."}
        with self._locks[name]:
            self._retry_at.pop(name, None)
            try:
                return self._run(job, force, progress)
            except LtMemoryError as error:
                logger.warning("job %s could not be run: %s", name, error)
                return {"success": False, "job": name, "error": str(error)}
            except Exception as error:  # the engine's record must end, whatever happened
                logger.exception("job %s could not be run", name)
                return {"success": False, "job": name, "error": _describe(error)}

    def _run(self, job: Job, force: bool, progress: Progress) -> Json:
        now = self._clock.now()
        due = last_run(job.cron, job.timezone, now)
        with self._store.upkeep() as unit:
            state = unit.jobs.get(job.name)
            if state is None:
                unit.jobs.declare(job.name, job.cron, job.timezone, next_run(job.cron, job.timezone, now))
            elif not force and (done := _done_since(state, due, now)):
                return _skipped(job, f"Nothing to do: it ran at {done.isoformat()} for {due.isoformat()}.")
            if not unit.jobs.take_lease(job.name, self._owner, now, self._lease):
                busy_until = unit.jobs.get(job.name).lease_until or now + self._lease
                self._retry_at[job.name] = busy_until
                return _skipped(job, f"Another process runs it; it is looked at again by {busy_until.isoformat()}.")
        failures = state.consecutive_failures if state else 0
        return self._attempt(job, due, failures, progress)

    def _attempt(self, job: Job, due: datetime, failures: int, progress: Progress) -> Json:
        change = Change(actor=Actor.AUTOMATION, tool=job.name, reason=f"due {due.isoformat()}")
        try:
            self.before()
            report = job.run(JobRun(name=job.name, scheduled_for=due, change=change, progress=progress))
        except Exception as error:  # a job may be anybody's: record it, and let the others go on
            logger.exception("job %s failed", job.name)
            # What the job was working on may stand in its error.
            told = self._store.redact(_describe(error))
            self._fail(job, told, failures + 1)
            return {"success": False, "job": job.name, "error": told}
        return self._succeed(job, report)

    def _succeed(self, job: Job, report: JobReport) -> Json:
        summary = self._store.redact(report.summary)
        told: Json = {"summary": summary, "counts": {name: int(n) for name, n in report.counts.items()}}
        self._finish(job, report=told)
        self._problems.clear(_topic(job))
        return {"success": True, "job": job.name, "report": told}

    def _fail(self, job: Job, error: str, failures: int) -> None:
        self._finish(job, error=error)
        if failures >= 2:
            text = f"The job {job.name} failed {failures} times in a row: {error}"
            self._problems.set(_topic(job), text)

    def _finish(self, job: Job, **outcome: Any) -> None:
        now = self._clock.now()
        following = next_run(job.cron, job.timezone, now)
        with self._store.upkeep() as unit:
            unit.jobs.finish(job.name, self._owner, now, next_run_at=following, **outcome)

    def _schedule(self, job: Job, state: JobRecord | None, now: datetime) -> Schedule:
        if state is not None and _was_missed(state, now):
            return Schedule(job, now, catching_up=True)
        return Schedule(job, next_run(job.cron, job.timezone, now), catching_up=False)


def _was_missed(state: JobRecord, now: datetime) -> bool:
    """Whether a run was due by the expression that was in force, and has not succeeded."""
    if state.last_success_at is None:
        return state.next_run_at is not None and state.next_run_at <= now
    return missed(state.cron, state.timezone, _began(state), now)


def _began(state: JobRecord) -> datetime | None:
    """When the last successful run began, as nearly as it is known: a run that ends late is not the next one."""
    latest_succeeded = state.last_success_at is not None and state.last_success_at == state.last_finished_at
    return state.last_started_at if latest_succeeded else state.last_success_at


def _done_since(state: JobRecord, due: datetime, now: datetime) -> datetime | None:
    """When the job succeeded for the run that was ``due``. A success in the future is a clock set back: not counted."""
    began = _began(state)
    return began if began is not None and due <= began <= now else None


def _skipped(job: Job, why: str) -> Json:
    return {"success": True, "job": job.name, "report": {"summary": why, "counts": {}}, "skipped": True}


def _nothing() -> None:
    """Do what a runner without a host does before a run."""


def _topic(job: Job) -> str:
    return f"job {job.name}"


def _describe(error: Exception) -> str:
    return str(error) if isinstance(error, LtMemoryError) else f"{type(error).__name__}: {error}"
