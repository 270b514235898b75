"""Upkeep of the indexes: what is missing or broken is built, what searches need of an index is measured."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mira_ltmemory.protocols import Clock, JobReport, JobRun, Kind
from mira_ltmemory.services.embeddings import EmbeddingService
from mira_ltmemory.store.search.canaries import VectorSample
from mira_ltmemory.store.search.upkeep import MAX_EFFORT, IndexState, IndexUpkeep, Measured
from mira_ltmemory.store.unit_of_work import Store

WANTED_RECALL = 0.99
"""Recall@10 that an index's ``ef_search`` is chosen for."""

_AS_GOOD = 0.005
_EFFORTS = (100, 150, 200, 250, 300, 400, 500, 600, 800, MAX_EFFORT)
_SAMPLE = 400
_TUNED_ROWS = 500  # of fewer, any search finds nearly all
_KINDS = (Kind.MESSAGE, Kind.PASSAGE)


@dataclass(frozen=True, slots=True)
class Tuned:
    """What was measured of an index, and whether searches now look at more or fewer candidates than before."""

    state: IndexState
    measured: Measured
    before: int


class IndexService:
    """Looks after the indexes for one user's memory; those of vectors serve every user of the database."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        embeddings: EmbeddingService,
        working: Callable[[str], object] = lambda told: None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._embeddings = embeddings
        self.working = working

    def states(self) -> list[IndexState]:
        """Every vector index that there should be. Raises ``StoreError``, as all of these do."""
        return self._upkeep().states()

    def build(self) -> list[str]:
        """Drop what failed builds left, build what is missing, rebuild what outgrew its settings, refresh statistics.

        Readers and writers go on meanwhile. Returns what was done, in sentences.
        """
        upkeep = self._upkeep()
        done = upkeep.mend()
        upkeep.refresh()
        return done

    def reindex(self) -> list[str]:
        """Build every vector index anew beside the old one."""
        return self._upkeep().reindex()

    def vacuum(self) -> list[str]:
        """Rewrite every table, so that the files no longer hold what was erased or replaced; return their names.

        Readers and writers wait for each table as long as it takes, and an HNSW index is built anew with its table.
        """
        return self._upkeep().rewrite()

    def tune(self, sample: int = _SAMPLE, *, lower: bool = True) -> list[Tuned]:
        """Measure this user's recall, and let searches look at as many candidates as it takes for .99.

        ``lower`` allows fewer than were measured; without it other users' needs stand. Indexes of few rows, and those
        whose rebuilding was cut short, are left alone.
        """
        model_id = self._embeddings.model_id()
        chance = random.Random()  # noqa: S311 (a sample, no secret)
        done = []
        for state in self.states():
            if state.model_id != model_id or not state.valid or state.unfinished or state.rows < _TUNED_ROWS:
                continue
            least = 0 if lower or state.measured is None else state.effort
            efforts = [effort for effort in _EFFORTS if effort >= least] or [MAX_EFFORT]
            with self._store.read() as unit:
                tried = unit.canaries.vectors(
                    state.kind, model_id, state.dimension, sample, efforts, WANTED_RECALL, chance
                )
            if tried:
                best = _chosen(tried)
                measured = Measured(best.effort, round(best.recall, 4), state.rows, self._clock.now())
                self._upkeep().note(state, measured)
                done.append(Tuned(state, measured, state.effort))
        return done

    def words(self) -> int:
        """Make this user's word index anew from the texts; return how many."""
        with self._store.upkeep() as unit:
            return sum(unit.words.rebuild(kind) for kind in _KINDS)

    def run(self, run: JobRun) -> JobReport:
        """The weekly job: mend and build, then measure what this user's searches find."""
        done = self._upkeep().mend()
        tuned = self.tune(lower=False)
        changed = [each for each in tuned if each.measured.ef_search != each.before]
        told = "; ".join(
            [*done, *(f"{each.state.name} now looks at {each.measured.ef_search} candidates" for each in changed)]
        )
        summary = f"Indexes: {told}." if told else "The indexes are as they should be."
        return JobReport(summary=summary, counts={"mended": len(done), "measured": len(tuned), "tuned": len(changed)})

    def _upkeep(self) -> IndexUpkeep:
        return IndexUpkeep(self._store.database, self.working)


def _chosen(tried: Sequence[VectorSample]) -> VectorSample:
    """The one that reached what is wanted; where none did, the least effort that is about as good as any."""
    if tried[-1].recall - tried[-1].error >= WANTED_RECALL:
        return tried[-1]
    most = max(each.recall for each in tried)
    return next(each for each in tried if each.recall >= most - _AS_GOOD)
