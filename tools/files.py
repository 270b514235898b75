"""Core memory as files, for models that know Anthropic's memory tool ``memory_20250818``. Off by default."""

from __future__ import annotations

from typing import Any, ClassVar

from mira_ltmemory.protocols import Actor, Change, Json
from mira_ltmemory.services.memory_files import COMMANDS, MemoryFiles
from mira_ltmemory.tools.base import MemoryTool


class Memory(MemoryTool):
    """``memory``: one tool with a command, as `MemoryFiles` carries it out."""

    name = "memory"
    description = (
        "Your core memory as files under /memories, such as /memories/human.md. Commands: view (the directory, or a "
        "file with line numbers), create, str_replace, insert, delete, rename. There are no sub-directories."
    )
    properties: ClassVar[Json] = {
        "command": {"type": "string", "enum": list(COMMANDS), "description": "What to do."},
        "path": {"type": "string", "description": "/memories or a file in it. For every command but rename."},
        "view_range": {
            "type": "array",
            "items": {"type": "integer"},
            "description": "view: first and last line to show, from 1; -1 as the last is the end.",
        },
        "file_text": {"type": "string", "description": "create: text of the new file."},
        "old_str": {"type": "string", "description": "str_replace: exact text that stands in the file once."},
        "new_str": {"type": "string", "description": "str_replace: text to put in its place; empty to remove it."},
        "insert_line": {"type": "integer", "description": "insert: line after which to insert; 0 for the beginning."},
        "insert_text": {"type": "string", "description": "insert: text to insert."},
        "old_path": {"type": "string", "description": "rename: the file."},
        "new_path": {"type": "string", "description": "rename: its new path."},
    }
    required = ("command",)

    def __init__(self, files: MemoryFiles) -> None:
        self.files = files

    def perform(self, **arguments: Any) -> Json:
        """Carry out the command; ``message`` is that tool's answer."""
        command = arguments.pop("command")
        change = Change(Actor.MODEL, self.name, command)
        return {"message": self.files.run(command, arguments, change)}
