"""The tools that the language model is offered, each with its own exact schema."""

from __future__ import annotations

from mira_ltmemory.tools.archival import ArchivalMemoryInsert, ArchivalMemorySearch
from mira_ltmemory.tools.base import MemoryTool
from mira_ltmemory.tools.core import (
    CoreMemoryAppend,
    CoreMemoryReplace,
    MemoryHistory,
    MemoryInsert,
    MemoryRethink,
    MemoryRollback,
)
from mira_ltmemory.tools.entities import EntityLookup, EntitySearch
from mira_ltmemory.tools.files import Memory
from mira_ltmemory.tools.recall import ConversationSearch

__all__ = [
    "ArchivalMemoryInsert",
    "ArchivalMemorySearch",
    "ConversationSearch",
    "CoreMemoryAppend",
    "CoreMemoryReplace",
    "EntityLookup",
    "EntitySearch",
    "Memory",
    "MemoryHistory",
    "MemoryInsert",
    "MemoryRethink",
    "MemoryRollback",
    "MemoryTool",
]
