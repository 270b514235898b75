"""Patience: further attempts after passing failures, pauses, and the rate limit."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from doubles import ListedLLM

from mira_ltmemory.errors import LLMBadAnswer, LLMError, LLMRejected, LLMUnavailable
from mira_ltmemory.llm.patient import PatientLLM, RateLimit

HELLO = [{"role": "user", "content": "Hello"}]


def patient(steps: Sequence[str | Exception], attempts: int = 4) -> tuple[PatientLLM, ListedLLM, list[float]]:
    asked, slept = ListedLLM(steps), list[float]()
    return PatientLLM(asked, attempts=attempts, sleep=slept.append), asked, slept


def test_passing_failures_are_waited_out() -> None:
    llm, asked, slept = patient([LLMUnavailable(), LLMUnavailable("x", retry_after=7), LLMUnavailable(), "there"])
    assert llm.complete(HELLO).text == "there"
    assert slept == [2.0, 7.0, 8.0]
    assert len(asked.requests) == 4
    assert llm.name == asked.name


def test_it_gives_up_in_the_end() -> None:
    llm, asked, slept = patient([LLMUnavailable(str(number)) for number in range(9)], attempts=3)
    with pytest.raises(LLMUnavailable, match="2"):
        llm.complete(HELLO)
    assert (len(asked.requests), slept) == (3, [2.0, 4.0])


@pytest.mark.parametrize("error", [LLMRejected(), LLMBadAnswer(), LLMError()])
def test_what_does_not_pass_is_not_tried_again(error: LLMError) -> None:
    llm, asked, slept = patient([error, "never"])
    with pytest.raises(type(error)):
        llm.complete(HELLO)
    assert (len(asked.requests), slept) == (1, [])


def test_a_long_wait_is_left_to_a_later_run() -> None:
    llm, asked, slept = patient([LLMUnavailable("busy", retry_after=3600), "never"])
    with pytest.raises(LLMUnavailable, match="busy"):
        llm.complete(HELLO)
    assert (len(asked.requests), slept) == (1, [])


def test_the_rate_limit_spreads_calls() -> None:
    at, slept = [0.0], list[float]()

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        at[0] += seconds

    limit = RateLimit(6, burst=2, sleep=sleep, now=lambda: at[0])
    for _ in range(5):
        limit.wait()
    assert slept == [pytest.approx(10)] * 3
    at[0] += 1000
    limit.wait()
    limit.wait()
    assert len(slept) == 3, "after a pause there are two turns at once"
    limit.wait()
    assert slept[3] == pytest.approx(10)
