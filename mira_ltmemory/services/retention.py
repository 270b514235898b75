"""How long earlier versions are kept: the one hard delete beside erasure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from mira_ltmemory.errors import InvalidArgument
from mira_ltmemory.protocols import Actor, Change, Clock, JobReport, JobRun
from mira_ltmemory.services.history import HistoryService
from mira_ltmemory.store.unit_of_work import Store


@dataclass(frozen=True, slots=True)
class VacuumReport:
    """What a vacuum removed: versions by table, and vectors. Memory is known from change set ``kept_from`` on."""

    kept_from: int
    versions: Mapping[str, int]
    vectors: int


class RetentionService:
    """Removes earlier versions of one user for good, except what a snapshot names.

    ``days`` is how long versions are kept after they ended; none keeps everything.
    """

    def __init__(self, store: Store, clock: Clock, history: HistoryService, days: int | None) -> None:
        self._store = store
        self._clock = clock
        self._history = history
        self._days = days

    def vacuum(self, before: datetime, change: Change | None = None) -> VacuumReport:
        """Remove the versions that ended before a point in time, and the vectors that no text needs any more.

        ``as_of`` answers from that point on, and at snapshots. Raises ``InvalidArgument`` for the future.
        """
        if before.tzinfo is None or before > self._clock.now():
            raise InvalidArgument(f"before {before.isoformat()} must have a time zone and must not lie in the future.")
        bound = self._history.moment(before)
        change = change or Change(Actor.USER, "vacuum", f"versions that ended before {before.isoformat()}")
        with self._store.write(change) as unit:
            removed = unit.history.vacuum(bound)
            vectors = removed.pop("vectors", 0)
            versions = {name.removesuffix("_versions"): count for name, count in removed.items() if count}
            return VacuumReport(unit.history.kept_from(), versions, vectors)

    def run(self, run: JobRun) -> JobReport:
        """The retention job: vacuum what is older than the settings keep."""
        if self._days is None:
            return JobReport(summary="Every version is kept: no retention is set.")
        done = self.vacuum(self._clock.now() - timedelta(days=self._days), run.change)
        count = sum(done.versions.values())
        return JobReport(
            summary=f"Removed {count} earlier versions and {done.vectors} vectors.",
            counts={"versions": count, "vectors": done.vectors},
        )
