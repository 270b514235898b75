"""Lets a language model work with tools, step by step, until it has nothing more to do or may go on no further."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mira_ltmemory.errors import BudgetSpent, LLMError, one_line
from mira_ltmemory.protocols import LLM, Json, LLMReply
from mira_ltmemory.services.review.toolbox import Toolbox

_MAX_TOKENS = 2048
_LAST = "One step is left. Answer now with your summary, and call no tool."


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it: ``text`` is what the model said at the end, ``why`` is why it ended otherwise than by itself.

    ``failed`` tells that the model gave no answer.
    """

    text: str
    steps: int
    why: str | None = None
    failed: bool = False


def work(
    llm: LLM, toolbox: Toolbox, *, system: str, task: str, max_steps: int, may_go_on: Callable[[], bool]
) -> Outcome:
    """Give the model a task. One step is one answer of the model and the calls in it. Never raises ``LLMError``."""
    messages: list[Json] = [{"role": "user", "content": task}]
    tools, text = toolbox.definitions(), ""
    for step in range(1, max_steps + 1):
        if not may_go_on():
            return Outcome(text, step - 1, "another process has taken the run over")
        try:
            reply = llm.complete(messages, system=system, tools=tools, max_tokens=_MAX_TOKENS)
        except BudgetSpent as error:
            return Outcome(text, step - 1, str(error))
        except LLMError as error:
            return Outcome(text, step - 1, f"the model gave no answer: {one_line(error, 300)}", failed=True)
        text = reply.text.strip() or text
        if reply.stop_reason == "refusal":
            return Outcome(text, step, "the model refused to go on")
        if not reply.tool_calls:
            cut = reply.stop_reason == "max_tokens"
            return Outcome(text, step, "the model's last answer was cut off" if cut else None)
        messages += _answered(reply, toolbox, last=step + 1 == max_steps)
    return Outcome(text, max_steps, f"all {max_steps} steps were used")


def _answered(reply: LLMReply, toolbox: Toolbox, *, last: bool) -> list[Json]:
    """The model's answer and the results of its calls, as the next messages."""
    said: list[Json] = [{"type": "text", "text": reply.text}] if reply.text.strip() else []
    said += [{"type": "tool_use", "id": one.id, "name": one.name, "input": one.arguments} for one in reply.tool_calls]
    results: list[Json] = []
    for one in reply.tool_calls:
        text, is_error = toolbox.run(one.name, one.arguments)
        results.append({"type": "tool_result", "tool_use_id": one.id, "content": text, "is_error": is_error})
    if last:
        results.append({"type": "text", "text": _LAST})
    return [{"role": "assistant", "content": said}, {"role": "user", "content": results}]
