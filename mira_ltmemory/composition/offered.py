"""What a memory offers to its host: tools for the model and parts of the prompt, as far as they are switched on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mira_ltmemory.protocols import Change, Provider, Tool
from mira_ltmemory.providers import (
    ActiveEntitiesProvider,
    CoreMemoryProvider,
    MemoryStatusProvider,
    RecentInsightsProvider,
    RelevantMemoriesProvider,
)
from mira_ltmemory.services.memory_files import MemoryFiles
from mira_ltmemory.tools import (
    ArchivalMemoryInsert,
    ArchivalMemorySearch,
    ConversationSearch,
    CoreMemoryAppend,
    CoreMemoryReplace,
    EntityLookup,
    EntitySearch,
    Memory,
    MemoryHistory,
    MemoryInsert,
    MemoryRethink,
    MemoryRollback,
    MemoryTool,
)

if TYPE_CHECKING:
    from mira_ltmemory.composition.manager import MemoryManager

_EDITS = ("core_memory_append", "core_memory_replace", "memory_insert", "memory_rethink", "memory")
_SEARCHES = ("archival_memory_search", "conversation_search")


def tools_of(memory: MemoryManager) -> list[Tool]:
    """The tools that are switched on."""
    zone, limit = memory.settings.zone, memory.settings.max_search_results
    every: list[Tool] = [
        CoreMemoryAppend(memory.blocks),
        CoreMemoryReplace(memory.blocks),
        MemoryInsert(memory.blocks),
        MemoryRethink(memory.blocks),
        MemoryHistory(memory.blocks, zone),
        MemoryRollback(memory.blocks),
        Memory(MemoryFiles(memory.blocks)),
        ArchivalMemoryInsert(memory.archival),
        ArchivalMemorySearch(memory.archival, zone, limit, memory.uses),
        ConversationSearch(memory.recall, zone, limit, memory.uses),
        EntityLookup(memory.graph, zone),
        EntitySearch(memory.graph, zone, limit),
    ]
    return [tool for tool in every if getattr(memory.settings.tools, tool.name)]


def review_tools_of(memory: MemoryManager, change: Change) -> list[Tool]:
    """The tools of the weekly review, as far as they are switched on; their edits belong to ``change``."""
    zone, limit = memory.settings.zone, memory.settings.max_search_results
    blocks = memory.blocks.unattended()
    every: list[MemoryTool] = [
        ArchivalMemorySearch(memory.archival, zone, limit),
        ConversationSearch(memory.recall, zone, limit),
        ArchivalMemoryInsert(memory.archival),
        CoreMemoryAppend(blocks),
        CoreMemoryReplace(blocks),
    ]
    return [tool.under(change) for tool in every if getattr(memory.settings.tools, tool.name)]


def providers_of(memory: MemoryManager) -> list[Provider]:
    """The parts of the prompt that are switched on."""
    settings = memory.settings
    zone, searches = settings.zone, _on(memory, _SEARCHES)
    lookup = "entity_lookup" if settings.tools.entity_lookup else ""
    every: list[Provider] = [
        CoreMemoryProvider(memory.core, edit_tools_of(memory)),
        RelevantMemoriesProvider(memory.relevant, zone, settings.prompt_relevant_chars, searches, memory.uses),
        RecentInsightsProvider(memory.insights, zone, settings.prompt_insights_chars),
        ActiveEntitiesProvider(memory.active, zone, settings.prompt_entities_chars, lookup),
        MemoryStatusProvider(memory.status, memory.problems, zone, searches, limit=settings.prompt_status_chars),
    ]
    return [provider for provider in every if getattr(settings.providers, provider.name)]


def edit_tools_of(memory: MemoryManager) -> list[str]:
    """The names of the tools that edit blocks and are switched on."""
    return _on(memory, _EDITS)


def _on(memory: MemoryManager, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if getattr(memory.settings.tools, name)]
