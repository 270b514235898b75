"""The core memory blocks in the prompt."""

from __future__ import annotations

from collections.abc import Sequence

from mira_ltmemory.services.blocks import BlockManager, BlockView
from mira_ltmemory.templates import render


class CoreMemoryProvider:
    """Renders every block with its label, description, use, limit and version."""

    name = "core_memory"

    def __init__(self, blocks: BlockManager) -> None:
        self._blocks = blocks

    def render(self) -> str:
        """Return the blocks, each fenced as data; empty where there are none."""
        return render_blocks(self._blocks.all())


def render_blocks(blocks: Sequence[BlockView]) -> str:
    """Return blocks as the prompt shows them; empty where there are none."""
    return render("core_memory", blocks=blocks) if blocks else ""
