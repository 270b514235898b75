"""Builds the consolidation of one user's memory from its settings."""

from __future__ import annotations

from collections.abc import Callable

from mira_ltmemory.config import MemoryConfig
from mira_ltmemory.protocols import LLM, Clock
from mira_ltmemory.services.asking import RunBudget
from mira_ltmemory.services.consolidation import ConsolidationEngine
from mira_ltmemory.services.consolidation.cooling import Bounds, Cooling
from mira_ltmemory.services.consolidation.duplicates import Duplicates
from mira_ltmemory.services.consolidation.engine import Step
from mira_ltmemory.services.consolidation.summaries import Summaries
from mira_ltmemory.services.consolidation.topics import Topics
from mira_ltmemory.services.embeddings import EmbeddingService
from mira_ltmemory.services.problems import Problems
from mira_ltmemory.store.unit_of_work import Store


def build_consolidation(
    settings: MemoryConfig,
    store: Store,
    clock: Clock,
    embeddings: EmbeddingService,
    problems: Problems,
    llm: LLM | None,
    budget: Callable[[], RunBudget],
) -> ConsolidationEngine:
    """Return the engine with its steps, in their order: what is merged is not summed up, what is summed up may cool."""
    bounds = Bounds(
        max_age=settings.max_memory_age_days,
        least=settings.cold_below_importance,
        max_passages=settings.max_hot_passages,
        max_messages=settings.max_hot_messages,
        max_chars=settings.max_embedded_chars,
    )
    summaries = Summaries(store, clock, embeddings, settings.timezone, llm)
    steps: list[Step] = [
        Duplicates(store, clock, embeddings, settings.zone, llm),
        summaries,
        Topics(store, clock, embeddings, settings.timezone, summaries, llm),
        Cooling(store, clock, embeddings, problems, settings.timezone, bounds),
    ]
    return ConsolidationEngine(store, clock, embeddings, steps, budget, settings.consolidation_threshold)
