"""BatchProcessor: works through captured messages in windows, each message exactly once."""

from __future__ import annotations

import logging
import os
import socket
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from typing import Any

from mira_ltmemory.errors import (
    BudgetSpent,
    LLMRejected,
    LLMUnavailable,
    LtMemoryError,
    StoreUnavailable,
    one_line,
)
from mira_ltmemory.protocols import Actor, Change, Clock, Json, Progress, no_progress
from mira_ltmemory.services.asking import RunBudget, Usage
from mira_ltmemory.services.batch.forming import MAX_MESSAGES, form
from mira_ltmemory.services.batch.window import Window, WindowStep
from mira_ltmemory.services.problems import Problems
from mira_ltmemory.store.batches import BatchCounts, SetAside
from mira_ltmemory.store.unit_of_work import Store

logger = logging.getLogger(__name__)

JOB = "process_conversations"
LEASE = timedelta(minutes=30)
"""How long a worker that died keeps others from its conversation.

Renewed before each question to the model and after each step of a window: only one that is silent for so long is taken
for dead, and what it then still makes of the window is not stored.
"""

MOST_LOST = 3
"""A run that lost so many windows to other workers, or to erasures, ends: they do the work as well."""

SAME_AGAIN = 2
"""So many times a window is tried as it is; then in halves, down to single messages."""

ATTEMPTS = 3
"""A single message that failed so often is set aside."""

FIRST_PAUSE = timedelta(minutes=10)
LONGEST_PAUSE = timedelta(days=1)

SET_ASIDE = "processing of conversations"
MODEL_AWAY = "language model"

_CONTEXT = 4
_AWAY = (LLMUnavailable, LLMRejected)
"""The model is away, or it is the window: a question of a few words tells which. Only then the window is to blame."""


def always() -> bool:
    """Whether a run may go on where nobody else could have taken it over."""
    return True


@dataclass(frozen=True, slots=True)
class BatchReport:
    """What a run did. ``counts`` are those of the steps; ``stopped`` says why it ended before all was done."""

    messages: int = 0
    windows: int = 0
    failed: int = 0
    waiting: int = 0
    aside: int = 0
    counts: Json = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    change_set_id: int | None = None
    stopped: str | None = None

    @property
    def summary(self) -> str:
        """In one or a few sentences."""
        told = [f"Processed {self.messages} messages in {self.windows} windows"]
        told += [f"{number} {name.replace('_', ' ')}" for name, number in sorted(self.counts.items()) if number]
        if self.usage.calls:
            told.append(str(self.usage))
        sentences = [f"{', '.join(told)}."]
        if self.failed:
            sentences.append(f"{self.failed} windows failed and are tried again later.")
        if self.aside:
            sentences.append(f"{self.aside} messages are set aside.")
        if self.stopped:
            sentences.append(f"Stopped: {self.stopped}")
        if self.waiting:
            sentences.append(f"{self.waiting} messages wait.")
        return " ".join(sentences)

    def as_counts(self) -> dict[str, int]:
        """The numbers by name."""
        own = {
            "messages": self.messages,
            "windows": self.windows,
            "failed_windows": self.failed,
            "waiting": self.waiting,
            "aside": self.aside,
            "model_calls": self.usage.calls,
            "input_tokens": self.usage.input_tokens,
            "output_tokens": self.usage.output_tokens,
        }
        return {**own, **self.counts}


class BatchProcessor:
    """Processes the conversations of one user by ``steps``, windows in the order of time.

    A window's results and the marks of its messages are stored in one transaction, and each row's id follows from the
    window: a run that is killed anywhere leaves whole windows, and the next one goes on behind them. No transaction is
    open while a step prepares, which may take a model's time. ``hours`` bounds the time that a window spans; ``budget``
    makes the budget of a run; ``answers`` tells whether the language model answers at all.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        problems: Problems,
        steps: Callable[[], Sequence[WindowStep]],
        budget: Callable[[], RunBudget],
        *,
        answers: Callable[[], bool],
        hours: float = 1,
        lease: timedelta = LEASE,
        owner: str | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._problems = problems
        self._steps = steps
        self._budget = budget
        self._answers = answers
        self._span = timedelta(hours=hours)
        self._lease = lease
        self._owner = owner or f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4()}"

    def run(
        self,
        change: Change | None = None,
        progress: Progress = no_progress,
        may_go_on: Callable[[], bool] = always,
    ) -> BatchReport:
        """Process what waits, as parts of one change set. Raises ``StoreError`` where nothing could be begun.

        Ends early, and says so in the report, where the budget is spent, the model is away, or ``may_go_on`` says no.
        """
        run = _Run(self, change or Change(Actor.AUTOMATION, JOB), self._budget(), progress, may_go_on)
        return run.go()

    def counts(self) -> BatchCounts:
        """How many messages wait, and how many were set aside; those captured since the last run wait too."""
        with self._store.upkeep() as unit:
            unit.batches.enlist()
            return unit.batches.counts()

    def set_aside(self, limit: int = 50) -> list[SetAside]:
        """The messages that could not be processed, oldest first."""
        with self._store.read() as unit:
            return unit.batches.set_aside(limit)

    def retry(self) -> int:
        """Let everything that failed or was set aside wait again; return how many messages."""
        with self._store.upkeep() as unit:
            again = unit.batches.retry()
        self._problems.clear(SET_ASIDE)
        return again


class _Run:
    """One run: its parent change set, made when there is something to store, and what it has done."""

    def __init__(
        self,
        processor: BatchProcessor,
        change: Change,
        budget: RunBudget,
        progress: Progress,
        may_go_on: Callable[[], bool],
    ) -> None:
        self._of = processor
        self._store = processor._store
        self._clock = processor._clock
        self._owner = processor._owner
        self._lease = processor._lease
        self._steps = list(processor._steps())
        self._change = change
        self._budget = budget
        self._progress = progress
        self._may_go_on = may_go_on
        self._parent: int | None = None
        self._report = BatchReport()
        self._counts: Counter[str] = Counter()
        self._lost = 0

        @cache
        def begun() -> int:
            with self._store.write(change) as unit:
                self._parent = unit.change_set_id
            return self._parent

        self._begun = begun

    def go(self) -> BatchReport:
        """Process window after window."""
        with self._store.upkeep() as unit:
            unit.batches.enlist()
            unit.batches.drop_orphans()
            total = unit.batches.due(self._clock.now())
        stopped: str | None = None
        with self._budget.spending():
            while stopped is None:
                self._progress("processing", min(self._report.messages, total), total)
                if not self._may_go_on():
                    stopped = "another process has taken the run over."
                    break
                claimed = self._claim()
                if claimed is None:
                    break
                stopped = self._process(*claimed)
        with self._store.upkeep() as unit:
            counts = unit.batches.counts()
        if counts.aside:
            told = f"{counts.aside} messages could not be processed and are set aside: mira-ltmemory batch status."
            self._of._problems.set(SET_ASIDE, told)
        else:
            self._of._problems.clear(SET_ASIDE)
        return replace(
            self._report,
            waiting=counts.waiting,
            aside=counts.aside,
            counts=dict(self._counts),
            usage=self._budget.usage,
            change_set_id=self._parent,
            stopped=stopped,
        )

    def _claim(self) -> tuple[Window, int] | None:
        """The next window, and how often it failed; the lease of its conversation is taken."""
        while True:
            now = self._clock.now()
            with self._store.upkeep() as unit:
                conversation = unit.batches.claim(self._owner, now, now + self._lease)
                if conversation is None:
                    return None
                rows = unit.batches.members(conversation, now, MAX_MESSAGES)
                if rows:
                    chosen = form(rows, self._of._span)
                    context = unit.batches.before(conversation, chosen[0].position, _CONTEXT)
                    return Window.of(chosen, context), max(row.attempts for row in chosen)
                # All that waited there is gone since the run began.
                unit.batches.drop_orphans()
                unit.batches.release(conversation, self._owner)

    def _process(self, window: Window, attempts: int) -> str | None:
        """Process a window; return why the run has to stop, if it has to."""
        at = "forming"
        try:
            with self._budget.whole(lambda: self._renew(window)):
                prepared: list[Any] = []
                for step in self._steps:
                    at = step.name
                    prepared.append(step.prepare(window))
                    self._renew(window)
                at = "storing"
                self._finish(window, prepared)
        except (BudgetSpent, StoreUnavailable) as error:
            self._release(window)
            return str(error)
        except _AWAY as error:
            return self._refused(window, attempts, at, error)
        except _Lost:
            self._release(window)
            return self._was_lost()
        except Exception as error:
            known = isinstance(error, LtMemoryError)
            logger.log(
                logging.WARNING if known else logging.ERROR, "a window of %d messages failed at %s",
                len(window.messages), at, exc_info=None if known else error,
            )  # fmt: skip
            return self._fail(window, attempts + 1, f"{at}: {error if known else repr(error)}")
        else:
            if self._budget.usage.calls:
                self._of._problems.clear(MODEL_AWAY)
        return None

    def _was_lost(self) -> str | None:
        """Nothing failed: another has the window, or its messages are gone. Return why the run stops, if it has to."""
        logger.info("a window was taken over by another worker, or its messages are gone")
        self._lost += 1
        return None if self._lost < MOST_LOST else "other workers or erasures took what it worked on, again and again."

    def _refused(self, window: Window, attempts: int, at: str, error: LtMemoryError) -> str | None:
        """Count a failure where the model answers other questions; else nobody is to blame, and the run ends."""
        told = f"{at}: {error}"
        try:
            answers = self._of._answers()
        except BudgetSpent as spent:
            self._note(window, attempts, told, len(window.messages))
            return str(spent)
        if answers:
            logger.warning("a window of %d messages failed at %s", len(window.messages), at)
            return self._fail(window, attempts + 1, told)
        self._note(window, attempts, told, len(window.messages))
        waits = f"{one_line(str(error))} Conversations wait to be processed."
        self._of._problems.set(MODEL_AWAY, self._store.redact(waits))
        return str(error)

    def _finish(self, window: Window, prepared: Sequence[Any]) -> None:
        ids = [message.id for message in window.messages]
        if all(each is None for each in prepared):
            with self._store.upkeep() as unit:
                self._hold(unit, window)
                if not unit.batches.finish(ids, None):
                    raise _Lost
                unit.batches.release(window.conversation_id, self._owner)
        else:
            counts: Counter[str] = Counter()
            with self._store.write(replace(self._change, parent=self._begun())) as unit:
                self._hold(unit, window)
                if not unit.batches.finish(ids, unit.change_set_id):
                    raise _Lost
                for step, each in zip(self._steps, prepared, strict=True):
                    if each is not None:
                        counts.update(step.store(unit, window, each))
                unit.batches.release(window.conversation_id, self._owner)
            self._counts.update(counts)
        done = self._report
        self._report = replace(done, messages=done.messages + len(ids), windows=done.windows + 1)

    def _hold(self, unit: Any, window: Window) -> None:
        if not unit.batches.renew(window.conversation_id, self._owner, self._clock.now() + self._lease):
            raise _Lost

    def _renew(self, window: Window) -> None:
        with self._store.upkeep() as unit:
            self._hold(unit, window)

    def _release(self, window: Window) -> None:
        try:
            with self._store.upkeep() as unit:
                unit.batches.release(window.conversation_id, self._owner)
        except StoreUnavailable as error:
            logger.warning("a lease is kept until it ends: %s", error)

    def _fail(self, window: Window, attempts: int, told: str) -> str | None:
        """Count a failure: the window is tried again as it is, then in halves; a single message is set aside.

        Return why the run has to stop, if it has to: the window may be another's by now.
        """
        size = len(window.messages)
        if not self._note(window, attempts, told, size if attempts < SAME_AGAIN else max(1, (size + 1) // 2)):
            return self._was_lost()
        self._report = replace(self._report, failed=self._report.failed + 1)
        return None

    def _note(self, window: Window, attempts: int, told: str, limit: int) -> bool:
        """Note a failure and give the lease up; false where another worker has taken the window: it decides."""
        with self._store.upkeep() as unit:
            try:
                self._hold(unit, window)
            except _Lost:
                return False
            unit.batches.release(window.conversation_id, self._owner)
            unit.batches.fail(
                [message.id for message in window.messages],
                self._store.redact(one_line(told)),
                attempts=attempts,
                window_limit=limit,
                retry_at=self._clock.now() + min(FIRST_PAUSE * 2 ** max(0, attempts - 1), LONGEST_PAUSE),
                aside=len(window.messages) == 1 and attempts >= ATTEMPTS,
            )
        return True


class _Lost(Exception):
    """The window is no longer this worker's."""
