"""Reads what was kept on purpose for entities: notes and imported documents, as the messages' windows are read."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import tzinfo
from uuid import UUID

from mira_ltmemory.errors import BudgetSpent, LLMBadAnswer, LLMError
from mira_ltmemory.protocols import LLM, Change, Clock, Kind, Origin, Progress, Role, no_progress
from mira_ltmemory.protocols.jobs import always
from mira_ltmemory.services.asking import RunBudget
from mira_ltmemory.services.batch.window import Window, WindowMessage
from mira_ltmemory.services.embeddings import EmbeddingService
from mira_ltmemory.services.graph.step import GraphStep, PreparedGraph
from mira_ltmemory.store.consolidation import Mark
from mira_ltmemory.store.graph_reads import UnreadPassage
from mira_ltmemory.store.unit_of_work import Store

STEP = "graph of notes"
BATCH = 32
REASON = "who and what notes speak of"
LAST = UUID(int=2**128 - 1)

logger = logging.getLogger(__name__)


class NotesReader:
    """Reads each passage of category ``note`` once: rows and the mark that it was read are one transaction.

    Text of tools and web pages is not read, nor a note that repeats it. ``budget`` makes what a run may spend.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        embeddings: EmbeddingService,
        zone: tzinfo,
        budget: Callable[[], RunBudget],
        llm: LLM | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._budget = budget
        self._by_rule = GraphStep(store, embeddings, zone)
        self._step = GraphStep(store, embeddings, zone, llm)

    def run(
        self, change: Change, progress: Progress = no_progress, may_go_on: Callable[[], bool] = always
    ) -> Mapping[str, int]:
        """Read what is new, and return counts by name. What a model that is away would have read waits for the next."""
        counts: Counter[str] = Counter()
        with self._store.read() as unit:
            mark, through = unit.consolidation.mark(STEP), unit.journal.last_id()
        change = replace(change, reason=REASON)
        with self._budget().spending():
            while may_go_on() and mark.through < through:
                with self._store.read() as unit:
                    rows = unit.graph_reads.unread_passages(mark.through, mark.row_id, through, BATCH)
                read = self._prepare(rows)
                mark = Mark(read[-1][0].change_set_id, read[-1][0].id) if read else mark
                if len(read) == len(rows) < BATCH:
                    mark = Mark(through, LAST)
                counts.update(self._store_all(change, read, mark))
                progress("notes", counts["notes"], 0)
                if len(read) < len(rows):
                    break
        return {name: number for name, number in counts.items() if number}

    def _prepare(self, rows: list[UnreadPassage]) -> list[tuple[UnreadPassage, Window, PreparedGraph]]:
        """Read passages, one window each: names in two notes are told apart like those of two conversations."""
        read: list[tuple[UnreadPassage, Window, PreparedGraph]] = []
        for row in rows:
            window = Window(row.id, (_as_message(row),))
            try:
                prepared = self._step.prepare(window)
            except LLMBadAnswer:
                prepared = self._by_rule.prepare(window)
            except (LLMError, BudgetSpent) as error:
                logger.info("notes wait to be read for entities: %s", error)
                break
            read.append((row, window, prepared))
        return read

    def _store_all(
        self, change: Change, read: list[tuple[UnreadPassage, Window, PreparedGraph]], mark: Mark
    ) -> Mapping[str, int]:
        counts: Counter[str] = Counter()
        if not any(prepared.messages for *_, prepared in read):
            with self._store.upkeep() as unit:
                unit.consolidation.set_mark(STEP, mark.through, mark.row_id, self._clock.now())
            return {"notes": len(read)}
        with self._store.write(change) as unit:
            there = unit.passages.stored([row.id for row, *_ in read])  # one may have been erased meanwhile
            for row, window, prepared in read:
                if row.id in there and prepared.messages:
                    counts.update(self._step.store(unit, window, prepared))
            unit.consolidation.set_mark(STEP, mark.through, mark.row_id, self._clock.now())
        return counts + Counter(notes=len(read))


def _as_message(row: UnreadPassage) -> WindowMessage:
    """A passage as a step reads it. "I" is the user where the user wrote it."""
    origin = Origin(row.origin)
    role = Role.USER if origin is Origin.USER else Role.ASSISTANT
    return WindowMessage(row.id, row.id, str(row.id), 0, role, None, origin, row.content, row.said_at, Kind.PASSAGE)
