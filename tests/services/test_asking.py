"""Asking a model for values of a given form, and the budget of a run."""

from __future__ import annotations

import json

import pytest
from doubles import FixedClock, ListedLLM
from pydantic import BaseModel, ConfigDict, Field

from mira_ltmemory.errors import BudgetSpent, LLMBadAnswer, LLMRejected, LLMUnavailable
from mira_ltmemory.protocols import LLMReply
from mira_ltmemory.services.asking import MeteredLLM, RunBudget, answers, ask


class Colours(BaseModel):
    model_config = ConfigDict(extra="forbid")

    colours: list[str] = Field(max_length=3)


class Loose(BaseModel):
    colours: list[str] = []


def asked(llm: ListedLLM) -> list[str]:
    return ask(llm, system="Name colours.", prompt="Now.", answer=Colours).colours


@pytest.mark.parametrize(
    "text",
    [
        '{"colours": ["red"]}',
        '```json\n{"colours": ["red"]}\n```',
        'Here {they} are: {"colours": ["red"]} I hope that helps.',
        '<think>{"colours": ["blue"]}?</think>{"colours": ["red"]}',
        'Weighing: perhaps {"colours": []} ... no.</think>{"colours": ["red"]}',
        '<thinking>{"colours": []}<think>{"x": 1}</think> or {"colours": ["blue"]}</thinking>{"colours": ["red"]}',
        '{"colours": ["red"]} As asked: {"colours": ["red"]}, in the form {} and {"json": true}.',
        '{"colours": ["red"]}<think>{"colours": []} would be wrong</think>',
        '{"colours": ["red"]}\n<think>And now {"colours": []}',
        '{"a": [{"a": ' * 9_999 + ' {"colours": ["red"]}',
    ],
)
def test_the_json_object_is_found(text: str) -> None:
    llm = ListedLLM([text])
    assert asked(llm) == ["red"]
    ((messages, system),) = llm.requests
    assert messages == [{"role": "user", "content": "Now."}]
    assert system is not None and json.dumps(Colours.model_json_schema()) in system


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ('{"colours": ["red"', "no JSON object"),
        ("I'd rather not.", "no JSON object"),
        ("", "no JSON object"),
        ('{"colours": "red"}', "colours: Input should be a valid list"),
        ('{"colours": ["red"], "more": 1}', "more: Extra inputs"),
        ('{"colours": ["a", "b", "c", "d"]}', "at most 3"),
        ('{"answer": {"colours": ["red"]', "colours: Extra inputs|no JSON object|answer"),
    ],
)
def test_what_cannot_be_read_is_asked_for_once_more(broken: str, why: str) -> None:
    llm = ListedLLM([broken, '{"colours": ["green"]}'])
    assert asked(llm) == ["green"]
    again = llm.requests[1][0]
    assert [message["role"] for message in again] == ["user", "assistant", "user"]
    assert again[1]["content"] == broken or not broken
    with pytest.raises(LLMBadAnswer, match=why):
        asked(ListedLLM([broken, broken, '{"colours": []}']))


def test_a_tag_in_the_answers_own_words_is_no_thought() -> None:
    for told in ("He wrote </think> there", "<think> is a tag", "<think>{}</think>"):
        assert asked(ListedLLM([json.dumps({"colours": [told]})])) == [told]


@pytest.mark.parametrize(
    "text",
    [
        'The form is {"colours": []}.\n{"colours": ["red"]}',
        '{"colours": []} No: {"colours": ["red"]}',
        '{"colours": ["blue"]} <think>no</think> {"colours": ["red"]}',
    ],
)
def test_of_values_that_differ_none_is_taken_before_it_was_asked_again(text: str) -> None:
    llm = ListedLLM([text, '{"colours": ["green"]}'])
    assert asked(llm) == ["green"]
    assert "2 such JSON objects" in str(llm.requests[1][0][-1]["content"])
    assert asked(ListedLLM([text, text])) == ["red"], "else the window would never be processed"


def test_what_cannot_be_stored_is_made_visible() -> None:
    assert asked(ListedLLM([r'{"colours": ["re\u0000d", "\ud83d", "gr\u00fcn"]}'])) == [r"re\u0000d", r"\ud83d", "grün"]


def test_a_part_of_a_broken_answer_never_passes_for_the_whole() -> None:
    with pytest.raises(LLMBadAnswer):
        asked(ListedLLM(default='{"outer": {"x": 1}, "colours": ["red"'))
    with pytest.raises(TypeError, match="forbid"):
        ask(ListedLLM(), system="", prompt="x", answer=Loose)


def test_a_refusal_and_a_cut_are_told() -> None:
    refused = LLMReply("I cannot do that.", stop_reason="refusal")
    with pytest.raises(LLMBadAnswer, match="refused to answer: I cannot"):
        asked(ListedLLM([refused, refused]))
    cut = ListedLLM([LLMReply('{"colours": ["re', stop_reason="max_tokens"), '{"colours": []}'])
    assert asked(cut) == []
    assert "make it shorter" in str(cut.requests[1][0][-1]["content"])
    part = '{"colours": [{"name": "red"}, {"name": "gre'
    cut = ListedLLM([LLMReply(part, stop_reason="max_tokens"), '{"colours": []}'])
    assert asked(cut) == []
    assert "make it shorter" in str(cut.requests[1][0][-1]["content"]), "a part that can be read is no whole answer"
    thought = ListedLLM([LLMReply('<think>Perhaps {"colours": []}', stop_reason="max_tokens"), '{"colours": ["red"]}'])
    assert asked(thought) == ["red"], "a thought that was cut off is no answer"


def test_a_model_that_is_away_is_not_a_bad_answer() -> None:
    llm = ListedLLM([LLMUnavailable("busy")])
    with pytest.raises(LLMUnavailable):
        asked(llm)


def test_tokens_end_a_run(clock: FixedClock) -> None:
    llm = MeteredLLM(ListedLLM(default="yes"))
    budget = RunBudget(clock, tokens=220, prices=(1.0, 10.0))
    with budget.spending():
        llm.complete([])
        llm.complete([])
        with pytest.raises(BudgetSpent, match="220 tokens"):
            llm.complete([])
    assert (budget.usage.calls, budget.usage.tokens) == (2, 220)
    assert budget.usage.cost == pytest.approx(2 * (100 * 1 + 10 * 10) / 1e6)
    assert str(budget.usage) == "2 model calls, 220 tokens, cost 0.0004"
    assert llm.complete([]).text == "yes", "outside of a run there is no limit"
    assert budget.usage.calls == 2


def test_time_ends_a_run(clock: FixedClock) -> None:
    llm = MeteredLLM(ListedLLM(default="yes"))
    budget = RunBudget(clock, minutes=20)
    with budget.spending():
        clock.advance(minutes=19)
        llm.complete([])
        clock.advance(minutes=1)
        with pytest.raises(BudgetSpent, match="20 minutes"):
            llm.complete([])
    assert str(budget.usage) == "1 model calls, 110 tokens"


def test_whether_a_model_answers_at_all() -> None:
    assert answers(ListedLLM(["yes"])) and answers(ListedLLM(["whatever"]))
    assert not answers(ListedLLM([LLMRejected("401")])) and not answers(ListedLLM([LLMUnavailable("busy")]))
