"""The core memory blocks in the prompt."""

from __future__ import annotations

from collections.abc import Sequence

from mira_ltmemory.services.block_work import BlockView
from mira_ltmemory.services.context.core import CoreBlocks
from mira_ltmemory.templates import render


class CoreMemoryProvider:
    """Renders every block with its label, description, use, limit and version."""

    name = "core_memory"

    def __init__(self, blocks: CoreBlocks, edit_tools: Sequence[str] = ()) -> None:
        self._blocks = blocks
        self._edit_tools = tuple(edit_tools)

    def render(self) -> str:
        """Return the blocks, each fenced as data; empty where there are none."""
        return render_blocks(self._blocks.current(), self._edit_tools)


def render_blocks(blocks: Sequence[BlockView], edit_tools: Sequence[str] = ()) -> str:
    """Return blocks as the prompt shows them, with the tools that edit them; empty where there are none."""
    return render("core_memory", blocks=blocks, edit_tools=list(edit_tools)) if blocks else ""
