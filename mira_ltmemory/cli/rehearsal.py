"""Rehearsals: a service does its work in a transaction that is rolled back, so that a person sees it first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.protocols import Change, Json
from mira_ltmemory.services.edits import unified_diff
from mira_ltmemory.services.history import HistoryService
from mira_ltmemory.store.unit_of_work import SqlUnitOfWork, Store

T = TypeVar("T")


@dataclass(frozen=True)
class Rehearsed(Generic[T]):
    """What a service answered, and the diff of each core memory block that it would change."""

    answer: T
    blocks: Mapping[str, str]


def rehearse(memory: MemoryManager, act: Callable[[Store, HistoryService], T]) -> Rehearsed[T]:
    """Let ``act`` build its service on a store whose writing transactions all end in a rollback, and use it once.

    Raises whatever the service raises: a refusal comes before anybody is asked.
    """
    store = _Rehearsal(memory)
    history = HistoryService(store, memory.clock, max_embedded_chars=memory.settings.max_embedded_chars)
    answer = act(store, history)
    return Rehearsed(answer, store.changed)


class _RollBack(Exception):
    """Ends a rehearsal."""


class _Rehearsal(Store):
    def __init__(self, memory: MemoryManager) -> None:
        super().__init__(memory.store.database, memory.store.user_id, memory.clock)
        self.changed: dict[str, str] = {}

    @contextmanager
    def write(self, change: Change, metadata: Json | None = None) -> Iterator[SqlUnitOfWork]:
        try:
            with super().write(change, metadata) as unit:
                before = _texts(unit)
                yield unit
                unit.session.flush()
                unit.session.expire_all()
                after = _texts(unit)
                self.changed = {
                    label: unified_diff(before.get(label, ""), after.get(label, ""), f"{label} now", f"{label} then")
                    for label in [*before, *(label for label in after if label not in before)]
                    if before.get(label) != after.get(label)
                }
                raise _RollBack
        except _RollBack:
            pass


def _texts(unit: SqlUnitOfWork) -> dict[str, str]:
    return {block.label: block.content for block in unit.blocks.all()}
