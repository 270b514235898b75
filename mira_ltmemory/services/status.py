"""What the memory holds and what is off, for the prompt, the health job and people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mira_ltmemory.protocols import JobReport, JobRun
from mira_ltmemory.services.embeddings import EmbeddingService
from mira_ltmemory.services.problems import Problems
from mira_ltmemory.store.unit_of_work import Store

_COUNTED_QUICKLY = 50_000
_COUNTS_KEPT = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class JobStatus:
    """A job as people see it; moments are aware, in UTC."""

    name: str
    cron: str
    timezone: str
    last_success_at: datetime | None
    next_run_at: datetime | None
    consecutive_failures: int
    last_error: str | None


@dataclass(frozen=True, slots=True)
class MemoryStatus:
    """Counts, and each known problem by subject."""

    messages: int
    passages: int
    conversations: int
    pending: int
    oldest: datetime | None
    newest: datetime | None
    problems: Mapping[str, str]


class StatusService:
    """Reads the state of one user's memory."""

    def __init__(
        self, store: Store, embeddings: EmbeddingService, problems: Problems, *, max_embedded_chars: int
    ) -> None:
        self._store = store
        self._max_embedded_chars = max_embedded_chars
        self._embeddings = embeddings
        self._problems = problems
        self._clock = store.clock
        self._kept: tuple[datetime, MemoryStatus] | None = None

    def read(self) -> MemoryStatus:
        """Count what is stored. Raises ``StoreError``."""
        with self._store.read() as unit:
            conversations, messages, oldest, newest = unit.messages.totals()
            return MemoryStatus(
                messages=messages,
                passages=unit.passages.count(),
                conversations=conversations,
                pending=unit.vectors.pending_count(),
                oldest=oldest,
                newest=newest,
                problems=self._problems.all(),
            )

    def read_quickly(self) -> MemoryStatus:
        """As `read`, but the counts of a large memory may be up to ten minutes old: the prompt asks every turn.

        Raises ``StoreError``.
        """
        kept = self._kept
        if kept is None or not timedelta(0) <= self._clock.now() - kept[0] < _COUNTS_KEPT:
            read = self.read()
            large = read.messages + read.passages > _COUNTED_QUICKLY
            self._kept = (self._clock.now(), read) if large else None
            return read
        with self._store.read() as unit:
            pending = unit.vectors.pending_count()
        return replace(kept[1], pending=pending, problems=self._problems.all())

    def last_activity(self) -> datetime | None:
        """When the last message was said that is stored."""
        with self._store.read() as unit:
            return unit.messages.last_said_at()

    def jobs(self) -> list[JobStatus]:
        """Every declared job."""
        with self._store.read() as unit:
            return [
                JobStatus(
                    name=job.name,
                    cron=job.cron,
                    timezone=job.timezone,
                    last_success_at=job.last_success_at,
                    next_run_at=job.next_run_at,
                    consecutive_failures=job.consecutive_failures,
                    last_error=job.last_error,
                )
                for job in unit.jobs.all()
            ]

    def check_health(self, run: JobRun) -> JobReport:
        """The health job: look whether the database answers, and enqueue every text that should have a vector."""
        missing = self._embeddings.enqueue_missing(self._max_embedded_chars)
        status = self.read()
        if self._embeddings.available and status.pending == 0:
            verdict = "Memory is healthy."
        elif self._embeddings.available:
            verdict = f"{status.pending} texts wait for their vectors; the next processing run embeds them."
        else:
            verdict = "Search works by words only: the embedding model is off."
        return JobReport(
            summary=verdict,
            counts={
                "messages": status.messages,
                "passages": status.passages,
                "pending": status.pending,
                "missing_vectors": missing,
                "problems": len(status.problems),
            },
        )
