"""Rows of core memory."""

from __future__ import annotations

from collections.abc import Sequence

from sqlmodel import col, select

from mira_ltmemory.store.models import Block
from mira_ltmemory.store.rows import Rows


class BlockRows(Rows):
    """The user's core memory blocks."""

    def all(self) -> Sequence[Block]:
        """Every block, in the order in which the prompt shows them."""
        own = select(Block).where(Block.user_id == self.user_id)
        return self.session.exec(own.order_by(col(Block.position), col(Block.label))).all()

    def get(self, label: str) -> Block | None:
        """The block of that label."""
        own = select(Block).where(Block.user_id == self.user_id, Block.label == label)
        return self.session.exec(own).one_or_none()

    def add(self, block: Block) -> None:
        """Insert a block. Its key and change set are those of this transaction."""
        block.user_id = self.user_id
        block.change_set_id = self._unit.change_set_id
        self.session.add(block)
        self.session.flush()

    def save(self, block: Block) -> None:
        """Write a changed block; the trigger keeps its old version and counts the new one."""
        self.session.add(block)
        self.session.flush()
        self.session.refresh(block)
