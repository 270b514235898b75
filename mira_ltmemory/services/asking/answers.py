"""Answers of a language model as values: JSON of a given form, checked, and asked for again once."""

from __future__ import annotations

import json
import re
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from mira_ltmemory.errors import BudgetSpent, LLMBadAnswer, LLMError, one_line
from mira_ltmemory.protocols import LLM, Json, LLMReply
from mira_ltmemory.services.text import storable
from mira_ltmemory.store.storable import each_text

Answer = TypeVar("Answer", bound=BaseModel)

_MARK = re.compile(r"\{|<(?P<closing>/?)(?:think|thinking|thought_process)>")
_DECODER = json.JSONDecoder()
_FORM = "Answer with one JSON object of this JSON Schema, and with nothing else:"
_AGAIN = "That answer cannot be used: {why} Answer again with the JSON object only, of the form that was asked for."
_SHOWN_ERRORS = 5


def ask(llm: LLM, *, system: str, prompt: str, answer: type[Answer], max_tokens: int = 2048) -> Answer:
    """Ask for a value of the pydantic model ``answer``; what it cannot read is asked for once more, with the reason.

    So are several values that differ: one of them may be a draft, or the form as an example.

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
    return _read(llm.complete(messages, system=told, max_tokens=max_tokens), answer, again=True)


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


def _read(reply: LLMReply, answer: type[Answer], *, again: bool = False) -> Answer:
    """The value in a reply: of several that differ the last, but only where it was asked ``again``."""
    if reply.stop_reason == "refusal":
        raise LLMBadAnswer(f"The model refused to answer: {one_line(reply.text, 200)}")
    cut = " It was cut off: make it shorter." if reply.stop_reason == "max_tokens" else ""
    good: list[Answer] = []
    why = "There is no JSON object in it."
    for found in objects_in(reply.text):
        try:
            good.append(answer.model_validate(found))
        except ValidationError as error:
            why = f"It is not of the form that was asked for: {one_line(_told(error), 400)}."
    if not good:
        raise LLMBadAnswer(why + cut)
    if not again and any(each != good[-1] for each in good):
        raise LLMBadAnswer(f"There are {len(good)} such JSON objects in it, and they differ.{cut}")
    return good[-1]


def _told(error: ValidationError) -> str:
    errors = error.errors()[:_SHOWN_ERRORS]
    return "; ".join(f"{'.'.join(map(str, each['loc'])) or 'the answer'}: {each['msg']}" for each in errors)


def objects_in(text: str) -> list[Json]:
    """The JSON objects in a text that stand in no other one, in order; there may be words or code fences around them.

    Those that a model only thought of are left out. Its thoughts may have no opening tag, which then stands in the
    prompt, and no closing one where it was cut off. Characters that cannot be stored are made visible.
    """
    found: list[Json] = []
    thinking = False
    at = 0
    while match := _MARK.search(text, at):
        at = match.end()
        if match.group() != "{":
            if match["closing"] and not thinking:
                found.clear()
            thinking = not match["closing"]
            continue
        try:
            value, end = _DECODER.raw_decode(text, match.start())
            if not thinking:
                found.append(each_text(value, storable))
        except (ValueError, RecursionError):  # the latter: nested beyond all reason
            continue
        at = end
    return found
