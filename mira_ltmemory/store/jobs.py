"""Rows of jobs: when each ran, how it ended, and who runs it now."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlmodel import col, select

from mira_ltmemory.protocols import Json
from mira_ltmemory.store.models import JobState
from mira_ltmemory.store.rows import Rows

_DECLARE = """
INSERT INTO ltmemory.jobs (user_id, name, cron, timezone, next_run_at, consecutive_failures)
VALUES (:user_id, :name, :cron, :timezone, :next_run_at, 0)
ON CONFLICT (user_id, name) DO UPDATE
SET cron = :cron, timezone = :timezone, next_run_at = :next_run_at
"""

KILLED = "Its last run was not ended by anybody: the process was killed, or the machine went down."
"""What is recorded of a run whose lease ran out."""

# An owner whose lease has run out did not end its run: that is a failure as well.
_TAKE_LEASE = """
UPDATE ltmemory.jobs SET lease_owner = :owner, lease_until = :until, last_started_at = :now,
    consecutive_failures = consecutive_failures + CASE WHEN lease_owner IS NULL THEN 0 ELSE 1 END,
    last_error = CASE WHEN lease_owner IS NULL THEN last_error ELSE :killed END
WHERE user_id = :user_id AND name = :name AND (lease_until IS NULL OR lease_until <= :now)
"""

_RENEW = """
UPDATE ltmemory.jobs SET lease_until = :until
WHERE user_id = :user_id AND name = :name AND lease_owner = :owner
"""

_FINISH = """
UPDATE ltmemory.jobs
SET lease_owner = NULL, lease_until = NULL, last_finished_at = :now, next_run_at = :next_run_at,
    last_success_at = CASE WHEN CAST(:error AS text) IS NULL THEN :now ELSE last_success_at END,
    consecutive_failures = CASE WHEN CAST(:error AS text) IS NULL THEN 0 ELSE consecutive_failures + 1 END,
    last_error = :error, last_report = coalesce(CAST(:report AS jsonb), last_report)
WHERE user_id = :user_id AND name = :name AND lease_owner = :owner
"""


class JobRows(Rows):
    """The user's jobs."""

    def all(self) -> Sequence[JobState]:
        """Every job that was declared, by name."""
        return self.session.exec(
            select(JobState).where(JobState.user_id == self.user_id).order_by(col(JobState.name))
        ).all()

    def get(self, name: str) -> JobState | None:
        """One job by name."""
        return self.session.get(JobState, (self.user_id, name))

    def declare(self, name: str, cron: str, timezone: str, next_run_at: datetime) -> None:
        """Make a job known, or re-time it."""
        self.execute(_DECLARE, name=name, cron=cron, timezone=timezone, next_run_at=next_run_at)

    def remove_others(self, names: Sequence[str]) -> list[str]:
        """Forget jobs that are not among ``names``; return those that were forgotten."""
        rows = self.execute(
            "DELETE FROM ltmemory.jobs WHERE user_id = :user_id AND NOT name = ANY(:names) RETURNING name",
            names=list(names),
        )
        return [row.name for row in rows]

    def take_lease(self, name: str, owner: str, now: datetime, duration: timedelta) -> bool:
        """Begin to run a job, unless another owner's lease on it still lasts."""
        taken = self.execute(_TAKE_LEASE, name=name, owner=owner, now=now, until=now + duration, killed=KILLED)
        return taken.rowcount == 1

    def renew_lease(self, name: str, owner: str, now: datetime, duration: timedelta) -> bool:
        """Let a lease last ``duration`` from now on, unless somebody else has it."""
        return self.execute(_RENEW, name=name, owner=owner, until=now + duration).rowcount == 1

    def finish(
        self,
        name: str,
        owner: str,
        now: datetime,
        *,
        next_run_at: datetime,
        error: str | None = None,
        report: Json | None = None,
    ) -> bool:
        """End a run and give up its lease; ``error`` tells that it failed. False where somebody else has the lease."""
        ended = self.execute(
            _FINISH,
            name=name,
            owner=owner,
            now=now,
            next_run_at=next_run_at,
            error=error,
            report=None if report is None else json.dumps(report),
        )
        return ended.rowcount == 1
