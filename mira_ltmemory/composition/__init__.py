"""The composition root: the one place that builds database, embedder, services, tools and prompt parts."""

from __future__ import annotations

from mira_ltmemory.composition.degraded import DegradedMemory
from mira_ltmemory.composition.manager import MemoryManager
from mira_ltmemory.composition.opening import degraded, open_memory

__all__ = ["DegradedMemory", "MemoryManager", "degraded", "open_memory"]
