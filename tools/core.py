"""Tools that edit core memory, named and shaped as models know them from Letta."""

from __future__ import annotations

from typing import Any, ClassVar

from mira_ltmemory.protocols import Json
from mira_ltmemory.services.blocks import BlockEdit, BlockManager
from mira_ltmemory.tools.base import MemoryTool

_LABEL: Json = {"type": "string", "description": "Label of the block, such as 'human'."}


class _BlockTool(MemoryTool):
    def __init__(self, blocks: BlockManager) -> None:
        self.blocks = blocks


def _result(edit: BlockEdit) -> Json:
    block = edit.block
    result: Json = {
        "message": f"Block {block.label!r} is now at version {block.version}: {block.used} of {block.limit} characters.",
        "label": block.label,
        "version": block.version,
        "chars_used": block.used,
        "chars_left": max(0, block.limit - block.used),
        "change_set": edit.change_set_id,
    }
    if edit.redacted:
        result["redacted"] = (
            f"Secrets are never stored: {', '.join(edit.redacted)} was replaced by a mark. Do not write it again."
        )
    return result


class CoreMemoryAppend(_BlockTool):
    """``core_memory_append``."""

    name = "core_memory_append"
    description = "Append a line to a block of core memory."
    properties: ClassVar[Json] = {
        "label": _LABEL,
        "content": {"type": "string", "description": "Text to add at the end of the block."},
    }
    required = ("label", "content")

    def perform(self, **arguments: Any) -> Json:
        """Append."""
        return _result(self.blocks.append(arguments["label"], arguments["content"], self.change))


class CoreMemoryReplace(_BlockTool):
    """``core_memory_replace``."""

    name = "core_memory_replace"
    description = (
        "Replace text in a block of core memory. old_content must match exactly and stand there once; "
        "an empty new_content removes it."
    )
    properties: ClassVar[Json] = {
        "label": _LABEL,
        "old_content": {"type": "string", "description": "The exact text to replace, as it stands in the block."},
        "new_content": {"type": "string", "description": "The text to put in its place; empty to remove it."},
    }
    required = ("label", "old_content", "new_content")

    def perform(self, **arguments: Any) -> Json:
        """Replace."""
        old, new = arguments["old_content"], arguments["new_content"]
        return _result(self.blocks.replace(arguments["label"], old, new, self.change))


class MemoryInsert(_BlockTool):
    """``memory_insert``."""

    name = "memory_insert"
    description = "Insert a line into a block of core memory after a given line."
    properties: ClassVar[Json] = {
        "label": _LABEL,
        "new_str": {"type": "string", "description": "Text to insert."},
        "insert_line": {
            "type": "integer",
            "description": "Line after which to insert: 0 for the beginning, -1 (the default) for the end.",
        },
    }
    required = ("label", "new_str")

    def perform(self, **arguments: Any) -> Json:
        """Insert."""
        line = arguments.get("insert_line", -1)
        return _result(self.blocks.insert(arguments["label"], arguments["new_str"], line, self.change))


class MemoryRethink(_BlockTool):
    """``memory_rethink``."""

    name = "memory_rethink"
    description = (
        "Rewrite a whole block of core memory: to condense it, or to reorganise it. "
        "For small changes use core_memory_replace."
    )
    properties: ClassVar[Json] = {
        "label": _LABEL,
        "new_memory": {"type": "string", "description": "The block's new text, with everything that is to be kept."},
    }
    required = ("label", "new_memory")

    def perform(self, **arguments: Any) -> Json:
        """Rewrite."""
        return _result(self.blocks.rethink(arguments["label"], arguments["new_memory"], self.change))
