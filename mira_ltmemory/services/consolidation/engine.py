"""The consolidation engine: one run over one user's memory, under one parent change set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from mira_ltmemory.protocols import Actor, Change, Clock, JobReport, JobRun, Progress, no_progress
from mira_ltmemory.protocols.jobs import always
from mira_ltmemory.services.asking import RunBudget, Usage
from mira_ltmemory.services.consolidation.run import TOOL, Run
from mira_ltmemory.services.embeddings import EmbeddingService
from mira_ltmemory.store.consolidation import START
from mira_ltmemory.store.unit_of_work import SqlUnitOfWork, Store

STEP = "run"


class Step(Protocol):
    """One thing that consolidation does."""

    def run(self, run: Run) -> None:
        """Do it, as far as the run may go on. Raises ``LtMemoryError``."""
        ...


@dataclass(frozen=True, slots=True)
class Consolidated:
    """What a run did: its parent change set (none where it changed nothing), numbers by name, and what limited it."""

    change_set_id: int | None
    counts: Mapping[str, int]
    notes: tuple[str, ...]
    usage: Usage

    @property
    def summary(self) -> str:
        """One or a few sentences."""
        done = {
            "merged": "near-duplicates merged",
            "conflicts": "contradictions marked",
            "summaries": "summaries written",
            "summaries ended": "summaries ended",
            "to cold storage": "passages into cold storage",
            "messages to cold storage": "messages into cold storage",
            "brought back": "memories brought back",
        }
        told = [f"{self.counts[name]:,} {what}" for name, what in done.items() if self.counts.get(name)]
        head = ", ".join(told) if told else "nothing to do"
        spent = f" {self.usage}." if self.usage.calls else ""
        undo = f" Undo it as change set {self.change_set_id}." if self.change_set_id is not None else ""
        return " ".join([f"Consolidated: {head}.{spent}{undo}", *self.notes])


class ConsolidationEngine:
    """Keeps the memory of one user small, in order and true. ``budget`` makes what a run may spend on a model.

    ``threshold`` is how many messages captured since the last run make one due before its hour.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        embeddings: EmbeddingService,
        steps: Sequence[Step],
        budget: Callable[[], RunBudget],
        threshold: int,
    ) -> None:
        self._store = store
        self._clock = clock
        self._embeddings = embeddings
        self._steps = steps
        self._budget = budget
        self._threshold = threshold

    def is_due(self) -> bool:
        """Whether so many messages were captured since the last run that it should not wait for its hour."""
        with self._store.read() as unit:
            return self.is_due_in(unit)

    def is_due_in(self, unit: SqlUnitOfWork) -> bool:
        """The same, as a transaction sees it."""
        return unit.consolidation.messages_since(unit.consolidation.mark(STEP).through) >= self._threshold

    def consolidate(
        self,
        change: Change | None = None,
        *,
        dry: bool = False,
        progress: Progress = no_progress,
        may_go_on: Callable[[], bool] = always,
    ) -> Consolidated:
        """Run every step once. A ``dry`` run changes nothing and counts what would change. Raises ``LtMemoryError``.

        It may be killed anywhere: each batch is one transaction, and the next run goes on where this one stopped.
        """
        run = Run(self._store, change or Change(Actor.USER, TOOL), dry, progress, may_go_on)
        with self._store.read() as unit:
            newest = unit.journal.last_id()
        if not dry:
            self._embeddings.process_pending(progress)
        with self._budget().spending() as budget:
            for step in self._steps:
                if not may_go_on():
                    run.note("The run ended early: another process took it over.")
                    break
                step.run(run)
            else:
                if not dry:
                    with self._store.upkeep() as unit:
                        unit.uses.tidy()
                        unit.consolidation.set_mark(STEP, newest, START, self._clock.now())
        if not dry:
            self._embeddings.process_pending(progress)
        return Consolidated(run.parent, dict(run.counts), tuple(run.notes), budget.usage)

    def run_job(self, run: JobRun) -> JobReport:
        """Consolidate as a job."""
        done = self.consolidate(run.change, progress=run.progress, may_go_on=run.may_go_on)
        return JobReport(summary=done.summary, counts=done.counts)
