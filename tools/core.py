"""Tools that edit core memory, named and shaped as models know them from Letta, and two over its versions."""

from __future__ import annotations

from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from mira_ltmemory.errors import InvalidArgument
from mira_ltmemory.protocols import Json, in_zone
from mira_ltmemory.services.block_history import BlockVersionView
from mira_ltmemory.services.block_work import BlockEdit
from mira_ltmemory.services.blocks import BlockManager
from mira_ltmemory.tools.base import MemoryTool
from mira_ltmemory.tools.results import DATA_NOTE

_LABEL: Json = {"type": "string", "description": "Label of the block, such as 'human'."}
_EXPECTED: Json = {
    "type": "integer",
    "description": "Version of the block that you saw. If it was changed since, nothing is done and you get the diff.",
}
_SHOWN_VERSIONS = 20
_SHOWN_DIFFS = 10
_SHOWN_CHARS = 1000


class _BlockTool(MemoryTool):
    def __init__(self, blocks: BlockManager) -> None:
        self.blocks = blocks


def _result(edit: BlockEdit) -> Json:
    block = edit.block
    result: Json = {
        "message": f"Block {block.label!r} is now at version {block.version}: "
        f"{block.used} of {block.limit} characters.",
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
        "expected_version": _EXPECTED,
    }
    required = ("label", "content")

    def perform(self, **arguments: Any) -> Json:
        """Append."""
        expected = arguments.get("expected_version")
        return _result(
            self.blocks.append(arguments["label"], arguments["content"], self.change, expected_version=expected)
        )


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
        "expected_version": _EXPECTED,
    }
    required = ("label", "old_content", "new_content")

    def perform(self, **arguments: Any) -> Json:
        """Replace."""
        old, new = arguments["old_content"], arguments["new_content"]
        expected = arguments.get("expected_version")
        return _result(self.blocks.replace(arguments["label"], old, new, self.change, expected_version=expected))


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
        "expected_version": _EXPECTED,
    }
    required = ("label", "new_str")

    def perform(self, **arguments: Any) -> Json:
        """Insert."""
        line = arguments.get("insert_line", -1)
        expected = arguments.get("expected_version")
        return _result(
            self.blocks.insert(arguments["label"], arguments["new_str"], line, self.change, expected_version=expected)
        )


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
        "expected_version": _EXPECTED,
    }
    required = ("label", "new_memory")

    def perform(self, **arguments: Any) -> Json:
        """Rewrite."""
        if not arguments["new_memory"].strip():
            raise InvalidArgument(
                "new_memory is empty; give the block's whole new text. To take something out, use core_memory_replace "
                "with an empty new_content."
            )
        expected = arguments.get("expected_version")
        return _result(
            self.blocks.rethink(arguments["label"], arguments["new_memory"], self.change, expected_version=expected)
        )


class MemoryHistory(_BlockTool):
    """``memory_history``."""

    name = "memory_history"
    description = (
        "Show the versions of a block of core memory: who made each, when and why, and what it changed. "
        "memory_rollback brings one back."
    )
    properties: ClassVar[Json] = {"label": _LABEL}
    required = ("label",)

    def __init__(self, blocks: BlockManager, zone: ZoneInfo) -> None:
        super().__init__(blocks)
        self._zone = zone

    def perform(self, **arguments: Any) -> Json:
        """Show the newest versions, newest first."""
        label = arguments["label"]
        versions = self.blocks.history(label, _SHOWN_VERSIONS)
        steps = self.blocks.steps(label, [version.version for version in versions[:_SHOWN_DIFFS]])
        newest = versions[0]
        state = "removed" if newest.ended_by is not None else "present"
        return {
            "message": f"The {state} version of block {label!r} is {newest.version}; "
            f"{len(versions)} shown, newest first.",
            "label": label,
            "versions": [self._shown(version, steps.get(version.version)) for version in versions],
            "note": DATA_NOTE.replace("content", "diff"),
        }

    def _shown(self, version: BlockVersionView, diff: str | None) -> Json:
        by = version.actor if version.tool is None else f"{version.actor}, {version.tool}"
        shown: Json = {
            "version": version.version,
            "change_set": version.change_set_id,
            "by": by,
            "at": in_zone(version.at, self._zone).isoformat(timespec="minutes"),
            "chars": version.used,
        }
        if version.reason:
            shown["reason"] = version.reason
        if version.undoes is not None:
            shown["undoes"] = version.undoes
        if version.untrusted_source:
            shown["untrusted"] = "repeats text of a tool or a web page"
        if diff:
            shown["diff"] = diff[:_SHOWN_CHARS] + (" [...]" if len(diff) > _SHOWN_CHARS else "")
        return shown


class MemoryRollback(_BlockTool):
    """``memory_rollback``."""

    name = "memory_rollback"
    description = (
        "Bring back the exact text of an earlier version of a block of core memory, as a new version. "
        "memory_history shows the versions."
    )
    properties: ClassVar[Json] = {
        "label": _LABEL,
        "version": {"type": "integer", "description": "Number of the version whose text the block is to hold again."},
        "expected_version": _EXPECTED,
    }
    required = ("label", "version")

    def perform(self, **arguments: Any) -> Json:
        """Roll back."""
        expected = arguments.get("expected_version")
        return _result(
            self.blocks.rollback(arguments["label"], arguments["version"], self.change, expected_version=expected)
        )
