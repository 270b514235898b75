"""The hourly job: embeds what waits, makes facts, passages and the graph of new windows, packs the word index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from mira_ltmemory.protocols import LLM, Change, JobReport, JobRun
from mira_ltmemory.services.asking import RunBudget, answers
from mira_ltmemory.services.batch import OwnWords, WindowStep
from mira_ltmemory.services.facts import FactStep
from mira_ltmemory.services.graph.notes import NotesReader
from mira_ltmemory.services.graph.step import GraphStep

if TYPE_CHECKING:
    from mira_ltmemory.composition.manager import MemoryManager
    from mira_ltmemory.services.redaction import Redactor


def process_conversations(memory: MemoryManager, run: JobRun) -> JobReport:
    """Do what the job does."""
    changes = memory.models.work(run.progress, run.may_go_on)
    done = memory.process_pending(run.progress)
    report = memory.batches.run(run.change, run.progress, run.may_go_on)
    done += memory.process_pending(run.progress)
    packed = memory.recall.pack_words() + memory.archival.pack_words()
    counts = {"embedded": done, "packed": packed, **changes, **report.as_counts()}
    notes = _read_notes(memory, run, report.change_set_id)
    if notes:
        counts |= {name: counts.get(name, 0) + number for name, number in notes.items()}
    if (report.windows or notes) and memory.settings.entity_extraction_enabled:
        within = Change(run.change.actor, "entity_resolution", parent=report.change_set_id)
        counts["merged_entities"] = len(memory.entity_merges.resolve(within))
    return JobReport(summary=f"{report.summary} Embedded {done} texts.{_consolidate_if_due(memory)}", counts=counts)


def _read_notes(memory: MemoryManager, run: JobRun, parent: int | None) -> Mapping[str, int]:
    """Read what was kept on purpose since the last run for entities."""
    settings = memory.settings
    if not settings.entity_extraction_enabled:
        return {}
    reader = NotesReader(
        memory.store, memory.clock, memory.embeddings, settings.zone, lambda: run_budget(memory), _model_of(memory)
    )
    return reader.run(replace(run.change, parent=parent or run.change.parent), run.progress, run.may_go_on)


def window_steps(memory: MemoryManager, redactor: Redactor) -> list[WindowStep]:
    """What is made of each window of a conversation."""
    settings = memory.settings
    steps: list[WindowStep] = []
    llm = _model_of(memory)
    if llm is None:
        steps.append(OwnWords(memory.store.user_id, memory.clock, memory.embeddings, settings.zone))
    else:
        untrusted = memory.blocks.untrusted
        steps.append(
            FactStep(memory.store, llm, memory.archival, memory.embeddings, redactor, untrusted, settings.zone)
        )
    if settings.entity_extraction_enabled:
        steps.append(GraphStep(memory.store, memory.embeddings, settings.zone, llm))
    return steps


def _model_of(memory: MemoryManager) -> LLM | None:
    """The language model that reads what was said; none where it may not."""
    return memory.llm if memory.settings.batch_use_model else None


def run_budget(memory: MemoryManager) -> RunBudget:
    """What one run may take of time and tokens."""
    settings = memory.settings
    return RunBudget(
        memory.clock,
        minutes=settings.batch_max_minutes,
        tokens=settings.batch_max_tokens,
        prices=settings.prices,
    )


def model_answers(memory: MemoryManager) -> bool:
    """Whether there is a language model that answers."""
    return memory.llm is not None and answers(memory.llm)


def _consolidate_if_due(memory: MemoryManager) -> str:
    """Consolidate before its hour where so many messages came in that it should not wait; tell what was done.

    Not while the user is there: the nightly run is near enough.
    """
    name = "consolidate_memory"
    if name not in memory.runner or not memory.consolidation.is_due() or memory.runner.is_busy_hour():
        return ""
    # Asked again when it is sure that none is under way: the nightly one may end meanwhile, and have done it all.
    result = memory.runner.run(name, only_if=memory.consolidation.is_due_in)
    return f" {result['report']['summary']}" if result["success"] and not result.get("skipped") else ""
