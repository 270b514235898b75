"""One run of consolidation: its change sets below one parent, when it has to stop, and what it did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from mira_ltmemory.protocols import Change, Progress, no_progress
from mira_ltmemory.protocols.jobs import always
from mira_ltmemory.store.unit_of_work import Store

TOOL = "consolidate_memory"


@dataclass(slots=True)
class Run:
    """A run under way. Nothing is written in a ``dry`` one: it counts what it would do.

    ``change`` is what the journal says of it; its parent change set is made with the first thing that changes, so that
    a run with nothing to do leaves no trace. ``notes`` tells in sentences what limited it.
    """

    store: Store
    change: Change
    dry: bool = False
    progress: Progress = no_progress
    may_go_on: Callable[[], bool] = always
    counts: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    parent: int | None = None

    def part(self, reason: str) -> Change:
        """The change of one transaction of this run."""
        if self.parent is None:
            with self.store.write(self.change) as unit:
                self.parent = unit.change_set_id
        return replace(self.change, parent=self.parent, reason=reason)

    def note(self, sentence: str) -> None:
        """Tell something once."""
        if sentence not in self.notes:
            self.notes.append(sentence)
