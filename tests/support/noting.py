"""A step of the processing that notes each window, and a processor of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.services.asking import RunBudget
from mira_ltmemory.services.batch import BatchProcessor, Window
from mira_ltmemory.store.models import Passage, content_hash
from mira_ltmemory.store.unit_of_work import SqlUnitOfWork


class Noting:
    """A step that notes each window as a passage; ``disturb`` is called first and may fail."""

    name = "noting"

    def __init__(self, memory: MemoryManager, disturb: Callable[[Window], object] = lambda _: None) -> None:
        self.memory = memory
        self.disturb = disturb
        self.windows: list[Window] = []

    def prepare(self, window: Window) -> str | None:
        self.windows.append(window)
        self.disturb(window)
        text = " | ".join(message.content for message in window.messages)
        return text if text.strip() else None

    def store(self, unit: SqlUnitOfWork, window: Window, prepared: Any) -> Mapping[str, int]:
        unit.passages.add(
            [
                Passage(
                    user_id=unit.user_id,
                    id=window.row_id(unit.user_id, self.name),
                    change_set_id=unit.change_set_id,
                    origin="user",
                    content=prepared,
                    content_hash=content_hash(prepared),
                    said_at=window.messages[-1].said_at,
                )
            ]
        )
        return {"noted": len(window.messages)}


def processor(memory: MemoryManager, step: Noting, **options: Any) -> BatchProcessor:
    budget = options.pop("budget", lambda: RunBudget(memory.clock))
    options.setdefault("answers", lambda: False)
    return BatchProcessor(memory.store, memory.clock, memory.problems, lambda: [step], budget, **options)
