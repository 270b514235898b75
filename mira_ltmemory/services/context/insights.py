"""What was found out about the user lately: read anew only when memory has changed."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from mira_ltmemory.store.context import InsightRow
from mira_ltmemory.store.unit_of_work import Store

MOST = 12


class RecentInsights:
    """Reads the insights that hold, newest first. Thread-safe."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: tuple[int, tuple[InsightRow, ...]] | None = None
        self._lock = threading.Lock()

    def current(self) -> Sequence[InsightRow]:
        """At most 12 of them. Raises ``StoreError``."""
        with self._lock, self._store.read() as unit:
            version = unit.journal.last_edit_id()
            if self._kept is None or self._kept[0] != version:
                self._kept = version, tuple(unit.context.insights(MOST))
            return self._kept[1]

    def forget(self) -> None:
        """Forget what was read."""
        with self._lock:
            self._kept = None
