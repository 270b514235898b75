"""Answers of a language model as values: JSON of a given form, checked, and asked for again once."""

from __future__ import annotations

import json
import re
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from mira_ltmemory.errors import BudgetSpent, LLMBadAnswer, LLMError, one_line
from mira_ltmemory.protocols import LLM, Json, LLMReply

Answer = TypeVar("Answer", bound=BaseModel)

_THOUGHTS = re.compile(r"<(think|thinking|thought_process)>.*?</\1>", re.DOTALL)
_FORM = "Answer with one JSON object of this JSON Schema, and with nothing else:"
_AGAIN = "That answer cannot be used: {why} Answer again with the JSON object only, of the form that was asked for."
_SHOWN_ERRORS = 5


def ask(llm: LLM, *, system: str, prompt: str, answer: type[Answer], max_tokens: int = 2048) -> Answer:
    """Ask for a value of the pydantic model ``answer``; what it cannot read is asked for once more, with the reason.

    ``answer`` must forbid extra fields: else a part of a broken answer could pass for a whole one. Its validators take
    part. Raises ``LLMBadAnswer`` where the second answer is no better, and ``LLMError``.
    """
    if answer.model_config.get("extra") != "forbid":
        raise TypeError(f"{answer.__name__} must forbid extra fields")
    told = f"{system}\n\n{_FORM}\n{json.dumps(answer.model_json_schema(), ensure_ascii=False)}"
    messages: list[Json] = [{"role": "user", "content": prompt}]
    reply = llm.complete(messages, system=told, max_tokens=max_tokens)
    try:
        return _read(reply, answer)
    except LLMBadAnswer as error:
        # An empty message would be refused by the model's server.
        messages.append({"role": "assistant", "content": reply.text.strip() or "(nothing)"})
        messages.append({"role": "user", "content": _AGAIN.format(why=error)})
    return _read(llm.complete(messages, system=told, max_tokens=max_tokens), answer)


def answers(llm: LLM) -> bool:
    """Whether the model answers a question of a few words: then a refusal is about what was asked before.

    Raises ``BudgetSpent``.
    """
    try:
        llm.complete([{"role": "user", "content": "Answer with the word yes."}], max_tokens=16)
    except BudgetSpent:
        raise
    except LLMError:
        return False
    return True


def _read(reply: LLMReply, answer: type[Answer]) -> Answer:
    if reply.stop_reason == "refusal":
        raise LLMBadAnswer(f"The model refused to answer: {one_line(reply.text, 200)}")
    try:
        return answer.model_validate(json_in(reply.text))
    except ValidationError as error:
        told = "; ".join(
            f"{'.'.join(map(str, each['loc'])) or 'the answer'}: {each['msg']}"
            for each in error.errors()[:_SHOWN_ERRORS]
        )
        raise LLMBadAnswer(f"It is not of the form that was asked for: {one_line(told, 400)}.") from error
    except ValueError as error:
        cut = " It was cut off: make it shorter." if reply.stop_reason == "max_tokens" else ""
        raise LLMBadAnswer(f"There is no JSON object in it.{cut}") from error


def json_in(text: str) -> Json:
    """The JSON object in a text, which may have words or a code fence around it. Raises ``ValueError``."""
    text = _THOUGHTS.sub("", text).strip()
    decoder = json.JSONDecoder()
    at = text.find("{")
    while at >= 0:
        try:
            found, _ = decoder.raw_decode(text, at)
        except ValueError:
            at = text.find("{", at + 1)
            continue
        if isinstance(found, dict):
            return found
        at = text.find("{", at + 1)
    raise ValueError("no JSON object")
