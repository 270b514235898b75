"""Patience with a language model: a rate limit, and further attempts where one failed for a passing reason."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from mira_ltmemory.errors import LLMUnavailable
from mira_ltmemory.protocols import LLM, Json, LLMReply

logger = logging.getLogger(__name__)

FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 60.0
"""A server that asks for more is asked again by a later run."""


class RateLimit:
    """At most ``per_minute`` calls in any minute on average, ``burst`` of them at once. Thread-safe."""

    def __init__(
        self,
        per_minute: float,
        burst: int = 2,
        *,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_second = per_minute / 60
        self._burst = burst
        self._sleep = sleep
        self._now = now
        self._tokens = float(burst)
        self._seen = now()
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Take a turn, sleeping until there is one."""
        with self._lock:
            now = self._now()
            self._tokens = min(self._burst, self._tokens + (now - self._seen) * self._per_second) - 1
            self._seen = now
            debt = -self._tokens / self._per_second
        if debt > 0:
            self._sleep(debt)


class PatientLLM:
    """Asks another model within a rate limit, up to ``attempts`` times where it is unavailable.

    Pauses double from 2 to 60 seconds, or are what the server asks for; where that is longer, the error comes at once.
    """

    def __init__(
        self,
        llm: LLM,
        *,
        rate_limit: RateLimit | None = None,
        attempts: int = 4,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._llm = llm
        self._rate_limit = rate_limit
        self._attempts = attempts
        self._sleep = sleep

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
        """Answer once. Raises ``LLMError``."""
        pause = FIRST_PAUSE_S
        for attempt in range(1, self._attempts + 1):
            if self._rate_limit is not None:
                self._rate_limit.wait()
            try:
                return self._llm.complete(
                    messages, system=system, tools=tools, max_tokens=max_tokens, temperature=temperature
                )
            except LLMUnavailable as error:
                asked = error.retry_after
                if attempt == self._attempts or (asked is not None and asked > LONGEST_PAUSE_S):
                    raise
                wait = pause if asked is None else max(asked, 0.1)
                logger.info("the model is unavailable, attempt %d; asking again in %.1f s", attempt, wait)
                self._sleep(wait)
                pause = min(pause * 2, LONGEST_PAUSE_S)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def close(self) -> None:
        """Close the model's connections, where it has any."""
        close = getattr(self._llm, "close", None)
        if close is not None:
            close()


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds to wait as the header ``Retry-After`` says, as a number or as a date; none where it says nothing."""
    told = headers.get("retry-after", "").strip()
    if not told:
        return None
    try:
        return max(0.0, float(told))
    except ValueError:
        pass
    try:
        at = parsedate_to_datetime(told)
    except ValueError:
        return None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return max(0.0, (at - (now or datetime.now(UTC))).total_seconds())
