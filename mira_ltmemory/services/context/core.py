"""Core memory for the prompt: read anew only when memory has changed by more than what was said."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from mira_ltmemory.services.block_work import BlockView
from mira_ltmemory.services.blocks import BlockManager
from mira_ltmemory.store.unit_of_work import Store


class CoreBlocks:
    """Reads the blocks of core memory. Thread-safe."""

    def __init__(self, store: Store, blocks: BlockManager) -> None:
        self._store = store
        self._blocks = blocks
        self._kept: tuple[int, tuple[BlockView, ...]] | None = None
        self._lock = threading.Lock()

    def current(self) -> Sequence[BlockView]:
        """Every block, in the order of the prompt. Raises ``StoreError``."""
        with self._lock, self._store.reading():
            with self._store.read() as unit:
                version = unit.journal.last_edit_id()
            if self._kept is None or self._kept[0] != version:
                self._kept = version, tuple(self._blocks.all())
            return self._kept[1]

    def forget(self) -> None:
        """Forget what was read."""
        with self._lock:
            self._kept = None
