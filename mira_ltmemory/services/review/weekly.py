"""The weekly review: mines patterns, keeps them as insights, and lets a model look at them with memory's own tools.

All that a run writes belongs to one change set, so that one undo takes all of it back; the report stays in the
journal. Without a model there are the patterns and the report. The model's part runs within steps, tokens and minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from mira_ltmemory.config import MemoryConfig
from mira_ltmemory.errors import InvalidArgument, LLMError
from mira_ltmemory.protocols import LLM, Actor, Change, Clock, JobReport, JobRun, Json, Tool
from mira_ltmemory.services.asking import RunBudget, Usage
from mira_ltmemory.services.block_work import BlockView
from mira_ltmemory.services.blocks import BlockManager
from mira_ltmemory.services.review.agent import Outcome, work
from mira_ltmemory.services.review.insights import InsightKeeper
from mira_ltmemory.services.review.mining import PatternMiner
from mira_ltmemory.services.review.patterns import Pattern
from mira_ltmemory.services.review.toolbox import LABEL, Toolbox
from mira_ltmemory.store.unit_of_work import Store
from mira_ltmemory.templates import render

TOOL = "weekly_review"
_SHOWN_PATTERNS = 30


@dataclass(frozen=True, slots=True)
class Review:
    """A review that was made: undoing the change set ``run`` takes all of it back."""

    run: int
    at: datetime
    report: str
    counts: Mapping[str, int]


class WeeklyReview:
    """Reviews the memory of one user. ``tools`` gives the tools whose edits belong to a change."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        settings: MemoryConfig,
        blocks: BlockManager,
        llm: LLM | None,
        tools: Callable[[Change], Sequence[Tool]],
    ) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._blocks = blocks
        self._llm = llm
        self._tools = tools
        self.miner = PatternMiner(store, clock, settings.zone)
        self._keeper = InsightKeeper(store, clock)

    def run(self, run: JobRun) -> JobReport:
        """The job. Raises ``StoreError``, and ``LLMError`` where the model gave no answer and had changed nothing."""
        patterns = self.miner.patterns()
        parent = self._begin(run.change)
        change = replace(run.change, parent=parent)
        counts = dict(self._keeper.settle(patterns, replace(change, reason="patterns across conversations")))
        counts["patterns"] = len(patterns)
        outcome, toolbox, usage = self._model(patterns, change, run)
        if toolbox is not None:
            counts |= {"steps": outcome.steps, "edits": toolbox.edits, "tokens": usage.tokens}
        self._keep_report(change, patterns, outcome, counts, usage)
        if outcome.failed and not (toolbox and toolbox.edits):
            raise LLMError(f"The patterns are kept, but {outcome.why}")
        return JobReport(summary=_summary(counts, outcome, parent), counts=counts)

    def latest(self, limit: int = 1) -> list[Review]:
        """The newest reviews, newest first. Raises ``InvalidArgument`` for a limit outside 1 to 100."""
        if not 1 <= limit <= 100:
            raise InvalidArgument(f"limit must be between 1 and 100, not {limit}.")
        with self._store.read() as unit:
            return [_as_review(row) for row in unit.review.reports(limit=limit)]

    def get(self, change_set_id: int) -> Review:
        """The review of a run. Raises ``InvalidArgument`` where that change set is none."""
        with self._store.read() as unit:
            rows = unit.review.reports(run=change_set_id) if 0 < change_set_id < 2**63 else []
        if not rows:
            raise InvalidArgument(f"There is no review that is change set {change_set_id}; review list shows them.")
        return _as_review(rows[0])

    def _begin(self, change: Change) -> int:
        with self._store.write(change) as unit:
            return unit.change_set_id

    def _model(self, patterns: Sequence[Pattern], change: Change, run: JobRun) -> tuple[Outcome, Toolbox | None, Usage]:
        settings = self._settings
        budget = RunBudget(
            self._clock,
            minutes=settings.review_minutes,
            tokens=settings.review_max_tokens,
            prices=settings.prices,
        )
        human = next((block for block in self._blocks.all() if block.label == LABEL), None)
        if self._llm is None or settings.review_max_steps == 0:
            return Outcome("", 0, "there is no language model: patterns only"), None, budget.usage
        shown = [self._store.redact(pattern.text) for pattern in patterns[:_SHOWN_PATTERNS]]
        seen = [*shown, human.content if human else ""]
        toolbox = Toolbox(self._tools(replace(change, reason="weekly review")), seen)
        with budget.spending():
            outcome = work(
                self._llm,
                toolbox,
                system=render("review_system", steps=settings.review_max_steps, label=LABEL),
                task=self._task(shown, human),
                max_steps=settings.review_max_steps,
                may_go_on=run.may_go_on,
            )
        return outcome, toolbox, budget.usage

    def _task(self, shown: Sequence[str], human: BlockView | None) -> str:
        zone: ZoneInfo = self._settings.zone
        today = self._clock.now().astimezone(zone).date().isoformat()
        return render("review_task", patterns=list(shown), block=human, today=today)

    def _keep_report(
        self, change: Change, patterns: Sequence[Pattern], outcome: Outcome, counts: Mapping[str, int], usage: Usage
    ) -> None:
        run = change.parent or 0
        with self._store.read() as unit:
            made = [f"{row.id} {row.tool or row.actor}" for row in unit.review.children(run)]
        report = render(
            "review_report",
            run=run,
            day=self._clock.now().astimezone(self._settings.zone).date().isoformat(),
            patterns=[pattern.text for pattern in patterns],
            said=outcome.text,
            why=outcome.why,
            counts=counts,
            usage=str(usage) if usage.calls else "",
            model=self._llm.name if self._llm is not None and usage.calls else "",
            made=made,
        )
        review: Json = {"report": self._store.redact(report), "counts": dict(counts), "ended": outcome.why}
        noted = Change(Actor.AUTOMATION, TOOL, "report", parent=change.parent)
        with self._store.write(noted, {"review": review}):
            pass


def _summary(counts: Mapping[str, int], outcome: Outcome, run: int) -> str:
    told = (
        f"{counts['patterns']} patterns: {counts['insights_added']} new, {counts['insights_changed']} changed, "
        f"{counts['insights_ended']} ended."
    )
    if "edits" in counts:
        told += f" The model made {counts['edits']} edits in {counts['steps']} steps."
    if outcome.why is not None:
        told += f" Note: {outcome.why}."
    return f"{told} Undo all of it with: undo {run}."


def _as_review(row: Any) -> Review:
    counts = {str(name): int(number) for name, number in row.review.get("counts", {}).items()}
    return Review(row.run, row.at, str(row.review.get("report", "")), counts)
