"""What a run may spend on a language model, and what it has spent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta

from mira_ltmemory.errors import BudgetSpent
from mira_ltmemory.protocols import LLM, Clock, Json, LLMReply


@dataclass(frozen=True, slots=True)
class Usage:
    """Calls of a model and their tokens; ``cost`` is in the currency of the configured prices, none without them."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None

    @property
    def tokens(self) -> int:
        """Tokens read and written."""
        return self.input_tokens + self.output_tokens

    def __str__(self) -> str:
        told = f"{self.calls} model calls, {self.tokens:,} tokens"
        return told if self.cost is None else f"{told}, cost {self.cost:.4f}"


class RunBudget:
    """The time and tokens of one run; none is no limit. Prices are per million tokens read and written.

    Both are checked before a call, and not within ``whole``: what was begun may go beyond.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        minutes: float | None = None,
        tokens: int | None = None,
        prices: tuple[float, float] | None = None,
    ) -> None:
        self._clock = clock
        self._minutes = minutes
        self._until = None if minutes is None else clock.now() + timedelta(minutes=minutes)
        self._limit = tokens
        self._prices = prices
        self._usage = Usage(cost=0.0 if prices is not None else None)
        self._begun: Callable[[], None] | None = None

    @property
    def usage(self) -> Usage:
        """What was spent so far."""
        return self._usage

    def check(self) -> None:
        """Raise ``BudgetSpent`` where nothing is left; what was begun goes on, and says that it does."""
        if self._begun is not None:
            self._begun()
            return
        if self._until is not None and self._clock.now() >= self._until:
            raise BudgetSpent(f"The run's {self._minutes:g} minutes are over; the next run goes on.")
        if self._limit is not None and self._usage.tokens >= self._limit:
            raise BudgetSpent(f"The run's {self._limit:,} tokens are used up; the next run goes on.")

    def count(self, reply: LLMReply) -> None:
        """Add an answer's tokens."""
        used, cost = self._usage, None
        if self._prices is not None and used.cost is not None:
            read, written = self._prices
            cost = used.cost + (reply.input_tokens * read + reply.output_tokens * written) / 1_000_000
        self._usage = Usage(
            used.calls + 1, used.input_tokens + reply.input_tokens, used.output_tokens + reply.output_tokens, cost
        )

    @contextmanager
    def whole(self, goes_on: Callable[[], None] = lambda: None) -> Iterator[None]:
        """A piece of work that is done to its end, once something is left: else what it cost would be lost.

        ``goes_on`` is called before each call of a model; what it raises ends the work.
        """
        self.check()
        self._begun = goes_on
        try:
            yield
        finally:
            self._begun = None

    @contextmanager
    def spending(self) -> Iterator[RunBudget]:
        """Count the calls of every `MeteredLLM` of this thread against this budget."""
        token = _CURRENT.set(self)
        try:
            yield self
        finally:
            _CURRENT.reset(token)


_CURRENT: ContextVar[RunBudget | None] = ContextVar("budget of the run", default=None)


class MeteredLLM:
    """Asks another model, within the budget of the run that is under way; without a run, without a limit."""

    def __init__(self, llm: LLM) -> None:
        self._llm = llm

    @property
    def name(self) -> str:
        """The model's name."""
        return self._llm.name

    def complete(
        self,
        messages: Sequence[Json],
        *,
        system: str | None = None,
        tools: Sequence[Json] = (),
        max_tokens: int = 1024,
        temperature: float = 0.0,
    ) -> LLMReply:
        """Answer once. Raises ``BudgetSpent`` and what the model raises."""
        budget = _CURRENT.get()
        if budget is not None:
            budget.check()
        reply = self._llm.complete(messages, system=system, tools=tools, max_tokens=max_tokens, temperature=temperature)
        if budget is not None:
            budget.count(reply)
        return reply
