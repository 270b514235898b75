"""What tests of consolidation share: a model that answers by a function, and an engine that asks it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.composition.consolidating import build_consolidation
from mira_ltmemory.protocols import LLM, Json, LLMReply
from mira_ltmemory.services.asking import MeteredLLM, RunBudget
from mira_ltmemory.services.consolidation import ConsolidationEngine

Answer = Callable[[str], str]


class ScriptedLLM:
    """A model that answers by a function of the question, and remembers what it was asked."""

    name = "scripted"

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[str] = []

    def complete(
        self,
        messages: Sequence[Json],
        *,
        system: str | None = None,
        tools: Sequence[Json] = (),
        max_tokens: int = 1024,
        temperature: float = 0.0,
    ) -> LLMReply:
        self.asked.append(str(messages[-1]["content"]))
        return LLMReply(self.answer(self.asked[-1]), input_tokens=10, output_tokens=10)


def engine(memory: MemoryManager, llm: LLM | None = None, tokens: int | None = None) -> ConsolidationEngine:
    metered = None if llm is None else MeteredLLM(llm)
    return build_consolidation(
        memory.settings, memory.store, memory.clock, memory.embeddings, memory.problems, metered,
        lambda: RunBudget(memory.clock, tokens=tokens),
    )  # fmt: skip
