"""Parts of the system prompt: each renders one template from what memory holds."""

from __future__ import annotations

from mira_ltmemory.providers.active_entities import ActiveEntitiesProvider
from mira_ltmemory.providers.core_memory import CoreMemoryProvider, render_blocks
from mira_ltmemory.providers.memory_status import MemoryStatusProvider
from mira_ltmemory.providers.recent_insights import RecentInsightsProvider
from mira_ltmemory.providers.relevant_memories import RelevantMemoriesProvider

__all__ = [
    "ActiveEntitiesProvider",
    "CoreMemoryProvider",
    "MemoryStatusProvider",
    "RecentInsightsProvider",
    "RelevantMemoriesProvider",
    "render_blocks",
]
