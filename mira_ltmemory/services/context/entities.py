"""Who and what is spoken of lately: read anew only when memory has changed by more than what was said."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from mira_ltmemory.services.graph.manager import EntityManager
from mira_ltmemory.services.graph.views import EntityBrief
from mira_ltmemory.store.unit_of_work import Store

MOST = 12


class ActiveEntities:
    """Reads the entities that are active. Thread-safe."""

    def __init__(self, store: Store, graph: EntityManager) -> None:
        self._store = store
        self._graph = graph
        self._kept: tuple[int, tuple[EntityBrief, ...]] | None = None
        self._lock = threading.Lock()

    def current(self) -> Sequence[EntityBrief]:
        """At most 12 of them, the most active first. Raises ``StoreError``."""
        with self._lock, self._store.reading():
            with self._store.read() as unit:
                version = unit.journal.last_edit_id()
            if self._kept is None or self._kept[0] != version:
                self._kept = version, tuple(self._graph.active(MOST))
            return self._kept[1]

    def forget(self) -> None:
        """Forget what was read."""
        with self._lock:
            self._kept = None
