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

from mira_ltmemory.automations.lease import LeaseKeeper
from mira_ltmemory.automations.retry import retry_at
from mira_ltmemory.automations.schedule import last_run, missed, next_run
from mira_ltmemory.errors import LtMemoryError
from mira_ltmemory.protocols import Actor, Change, Clock, Job, JobReport, JobRun, Json, Progress, no_progress
from mira_ltmemory.store.jobs import KILLED

logger = logging.getLogger(__name__)

LEASE = timedelta(minutes=5)
"""How long a process that died in the middle of a job keeps the others from it. One that lives renews its lease."""

PUT_OFF_AT_MOST = timedelta(hours=3)
"""A heavy job that was due for longer than this runs although the user is there."""


class JobRecord(Protocol):
    """What is stored of a job."""

    cron: str
    timezone: str
    next_run_at: datetime | None
    last_started_at: datetime | None
    last_finished_at: datetime | None
    last_success_at: datetime | None
    consecutive_failures: int
    last_error: str | None
    lease_owner: str | None
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

    ``before`` is called at the start of every run: a host sets it to capture the conversation. ``last_activity`` tells
    when the user was last there; a heavy job waits until that is ``quiet`` ago.
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
        last_activity: Callable[[], datetime | None] | None = None,
        quiet: timedelta = timedelta(0),
    ) -> None:
        self._store = store
        self._clock = clock
        self._problems = problems
        self._owner = owner or f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4()}"
        self._lease = lease
        self._last_activity = last_activity or _never
        self._quiet = quiet
        self._jobs: dict[str, Job] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._retry_at: dict[str, datetime] = {}
        self._failing: set[str] = set()
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

        A run that was due while nothing ran is made up for once, now; one that failed, when its next try is due.
        Raises ``StoreError``.
        """
        now = self._clock.now()
        with self._store.upkeep() as unit:
            known = {state.name: state for state in unit.jobs.all()}
            schedules = [self._schedule(job, known.get(job.name), now) for job in self]
            for schedule in schedules:
                job = schedule.job
                unit.jobs.declare(job.name, job.cron, job.timezone, schedule.next_run_at)
            gone = unit.jobs.remove_others(list(self._jobs))
        for state in known.values():
            if state.name in self._jobs:
                self._tell(self._jobs[state.name], state.consecutive_failures, state.last_error)
        return schedules, gone

    def is_running(self, name: str) -> bool:
        """Whether some process runs a job at this moment. Raises ``StoreError``."""
        with self._store.upkeep() as unit:
            state = unit.jobs.get(name)
        return state is not None and state.lease_until is not None and state.lease_until > self._clock.now()

    def next_run_at(self, name: str) -> datetime:
        """When a job is to run again, from the clock and its cron expression. Asks no database."""
        job = self._jobs[name]
        now = self._clock.now()
        regular = next_run(job.cron, job.timezone, now)
        again = self._retry_at.get(name)
        if again is None:
            return regular
        return again if name in self._failing else min(regular, again)

    def run(
        self,
        name: str,
        *,
        force: bool = False,
        only_if: Callable[[Any], bool] | None = None,
        progress: Progress = no_progress,
    ) -> Json:
        """Run a job now and return ``{"success", "job", "report" | "error"}``. Never raises.

        Nothing is done where another process runs it, or ran it for the time that was due; ``force``
        overrides the latter. ``only_if`` as well, but asks, of a unit of the store and once nobody else can begin,
        whether there is anything to do; such a run does not wait for one that is under way.
        """
        job = self._jobs.get(name)
        if job is None:
            known = ", ".join(self._jobs) or "none"
            return {"success": False, "job": name, "error": f"There is no job {name!r}. Jobs: {known}."}
        lock = self._locks[name]
        if not lock.acquire(blocking=only_if is None):
            return _skipped(job, "It is running at this moment.")
        try:
            again = self._retry_at.pop(name, None)
            try:
                return self._run(job, force, only_if, progress)
            except _NotWantedError:
                if again is not None:
                    self._retry_at[name] = again
                return _skipped(job, "Nothing to do at this moment.")
            except LtMemoryError as error:
                logger.warning("job %s could not be run: %s", name, error)
                return {"success": False, "job": name, "error": str(error)}
            except Exception as error:  # the engine's record must end, whatever happened
                logger.exception("job %s could not be run", name)
                return {"success": False, "job": name, "error": _describe(error)}
        finally:
            lock.release()

    def _run(self, job: Job, force: bool, only_if: Callable[[Any], bool] | None, progress: Progress) -> Json:
        now = self._clock.now()
        due = last_run(job.cron, job.timezone, now)
        with self._store.upkeep() as unit:
            state = unit.jobs.get(job.name)
            if state is None:
                unit.jobs.declare(job.name, job.cron, job.timezone, next_run(job.cron, job.timezone, now))
            if not force and only_if is None and (skipped := self._not_now(job, state, due, now)):
                return skipped
            if not unit.jobs.take_lease(job.name, self._owner, now, self._lease):
                busy_until = unit.jobs.get(job.name).lease_until or now + self._lease
                self._retry_at[job.name] = busy_until
                return _skipped(job, f"Another process runs it; it is looked at again by {busy_until.isoformat()}.")
            if only_if is not None and not only_if(unit):
                raise _NotWantedError  # which gives the lease back: nothing of this transaction stays
        failures = state.consecutive_failures if state else 0
        if state is not None and state.lease_owner is not None:  # a run that nobody ended: take_lease has counted it
            failures += 1
            self._tell(job, failures, KILLED)
        return self._attempt(job, due, failures, progress)

    def _not_now(self, job: Job, state: JobRecord | None, due: datetime, now: datetime) -> Json | None:
        """What is answered where nothing is to be done at present."""
        if state is not None and (done := _done_since(state, due, now)):
            self._failing.discard(job.name)
            self._problems.clear(_topic(job))  # perhaps another process has mended it
            return _skipped(job, f"Nothing to do: it ran at {done.isoformat()} for {due.isoformat()}.")
        if state is not None and (again := _held_back(state)) is not None and now < again:
            self._failing.add(job.name)
            self._retry_at[job.name] = again
            times = state.consecutive_failures
            return _skipped(job, f"It failed {times} times in a row; it is tried again at {again.isoformat()}.")
        if job.heavy and now - due < PUT_OFF_AT_MOST and (quiet_at := self._quiet_at(now)) is not None:
            self._retry_at[job.name] = quiet_at
            return _skipped(job, f"Put off while the user is there; it is looked at again at {quiet_at.isoformat()}.")
        return None

    def is_busy_hour(self) -> bool:
        """Whether the user is there now, so that heavy work should wait."""
        return self._quiet_at(self._clock.now()) is not None

    def _quiet_at(self, now: datetime) -> datetime | None:
        """When the user will have been away long enough; none where that is so now."""
        seen = self._last_activity() if self._quiet else None
        quiet_at = None if seen is None else seen + self._quiet
        return quiet_at if quiet_at is not None and now < quiet_at <= now + self._quiet else None

    def _attempt(self, job: Job, due: datetime, failures: int, progress: Progress) -> Json:
        change = Change(actor=Actor.AUTOMATION, tool=job.name, reason=f"due {due.isoformat()}")
        keeper = LeaseKeeper(job.name, lambda: self._renew(job), self._lease)
        try:
            with keeper.keeping():
                self.before()
                run = JobRun(name=job.name, scheduled_for=due, change=change, progress=progress, may_go_on=keeper.held)
                report = job.run(run)
        except Exception as error:  # a job may be anybody's: record it, and let the others go on
            logger.exception("job %s failed", job.name)
            # What the job was working on may stand in its error.
            told = self._store.redact(_describe(error))
            self._fail(job, told, failures + 1)
            return {"success": False, "job": job.name, "error": told}
        return self._succeed(job, report)

    def _renew(self, job: Job) -> bool:
        with self._store.upkeep() as unit:
            renewed: bool = unit.jobs.renew_lease(job.name, self._owner, self._clock.now(), self._lease)
            return renewed

    def _succeed(self, job: Job, report: JobReport) -> Json:
        summary = self._store.redact(report.summary)
        told: Json = {"summary": summary, "counts": {name: int(n) for name, n in report.counts.items()}}
        now = self._clock.now()
        self._finish(job, now, next_run(job.cron, job.timezone, now), report=told)
        self._failing.discard(job.name)
        self._problems.clear(_topic(job))
        return {"success": True, "job": job.name, "report": told}

    def _fail(self, job: Job, error: str, failures: int) -> None:
        now = self._clock.now()
        again = retry_at(job.cron, job.timezone, now, failures)
        self._failing.add(job.name)
        self._retry_at[job.name] = again
        self._finish(job, now, again, error=error)
        self._tell(job, failures, error)

    def _tell(self, job: Job, failures: int, error: str | None) -> None:
        """Tell the user of a job that failed twice or more in a row."""
        if failures >= 2:
            self._problems.set(_topic(job), f"The job {job.name} failed {failures} times in a row: {error}")

    def _finish(self, job: Job, now: datetime, following: datetime, **outcome: Any) -> None:
        with self._store.upkeep() as unit:
            if not unit.jobs.finish(job.name, self._owner, now, next_run_at=following, **outcome):
                logger.warning("job %s ended after another process had taken it over", job.name)

    def _schedule(self, job: Job, state: JobRecord | None, now: datetime) -> Schedule:
        if state is not None and (again := _held_back(state)) is not None:
            return Schedule(job, max(now, again), catching_up=True)
        if state is not None and _was_missed(state, now):
            return Schedule(job, now, catching_up=True)
        return Schedule(job, next_run(job.cron, job.timezone, now), catching_up=False)


def _was_missed(state: JobRecord, now: datetime) -> bool:
    """Whether a run was due by the expression that was in force, and has not succeeded."""
    if state.last_success_at is None:
        return state.next_run_at is not None and state.next_run_at <= now
    return missed(state.cron, state.timezone, _began(state), now)


def _held_back(state: JobRecord) -> datetime | None:
    """When a job that failed is tried again; none for one that did not."""
    if not state.consecutive_failures or state.last_error is None:
        return None
    if state.lease_owner is not None and state.lease_until is not None:  # the try after that did not come to an end
        return retry_at(state.cron, state.timezone, state.lease_until, state.consecutive_failures)
    return state.next_run_at


def _began(state: JobRecord) -> datetime | None:
    """When the last successful run began, as nearly as it is known: a run that ends late is not the next one."""
    latest_succeeded = state.last_success_at is not None and state.last_success_at == state.last_finished_at
    return state.last_started_at if latest_succeeded else state.last_success_at


def _done_since(state: JobRecord, due: datetime, now: datetime) -> datetime | None:
    """When the job succeeded for the run that was ``due``. A success in the future is a clock set back: not counted."""
    began = _began(state)
    return began if began is not None and due <= began <= now else None


class _NotWantedError(Exception):
    """There is nothing to do for a run that was to be made only where there is."""


def _skipped(job: Job, why: str) -> Json:
    return {"success": True, "job": job.name, "report": {"summary": why, "counts": {}}, "skipped": True}


def _nothing() -> None:
    """Do what a runner without a host does before a run."""


def _never() -> None:
    """When the user was last there, where nobody can tell."""


def _topic(job: Job) -> str:
    return f"job {job.name}"


def _describe(error: Exception) -> str:
    return str(error) if isinstance(error, LtMemoryError) else f"{type(error).__name__}: {error}"
