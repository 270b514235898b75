"""Rows of core memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from sqlmodel import col, select

from mira_ltmemory.store.models import Block
from mira_ltmemory.store.rows import Rows

_VERSIONS = """
SELECT every.*, c.actor, c.tool, c.reason, c.undoes, c.created_at AS at, c.metadata
FROM (
    SELECT version, change_set_id, label, char_length(content) AS used, char_limit AS "limit",
        NULL::bigint AS ended_by
    FROM ltmemory.blocks WHERE user_id = :user_id AND id = :id
    UNION ALL
    SELECT version, change_set_id, label, char_length(content), char_limit, ended_by
    FROM ltmemory.blocks_versions WHERE user_id = :user_id AND id = :id
) every
JOIN ltmemory.change_sets c ON c.user_id = :user_id AND c.id = every.change_set_id
ORDER BY version DESC LIMIT :limit
"""

_TEXTS = """
SELECT version, content, origin FROM ltmemory.blocks
WHERE user_id = :user_id AND id = :id AND version = ANY(:versions)
UNION ALL
SELECT version, content, origin FROM ltmemory.blocks_versions
WHERE user_id = :user_id AND id = :id AND version = ANY(:versions)
"""

_NUMBERS = """
SELECT version FROM ltmemory.blocks WHERE user_id = :user_id AND id = :id
UNION ALL SELECT version FROM ltmemory.blocks_versions WHERE user_id = :user_id AND id = :id
ORDER BY version
"""

# A removed block's label is the one that its last version had.
_REMOVED = """
SELECT id, version, ended_by FROM (
    SELECT DISTINCT ON (v.id) v.id, v.label, v.version, v.ended_by FROM ltmemory.blocks_versions v
    WHERE v.user_id = :user_id
      AND NOT EXISTS (SELECT FROM ltmemory.blocks b WHERE b.user_id = :user_id AND b.id = v.id)
    ORDER BY v.id, v.ended_by DESC
) last
WHERE label = :label ORDER BY ended_by DESC LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Removed:
    """A block that is no more: its row, the number of its last version, and the change set that removed it."""

    id: UUID
    version: int
    ended_by: int


@dataclass(frozen=True, slots=True)
class VersionText:
    """What one version of a block held, and where that text came from."""

    content: str
    origin: str


@dataclass(frozen=True, slots=True)
class VersionEntry:
    """One version of a block and the change set that made it. ``used`` and ``limit`` are in characters."""

    version: int
    change_set_id: int
    label: str
    used: int
    limit: int
    ended_by: int | None
    actor: str
    tool: str | None
    reason: str | None
    undoes: int | None
    at: datetime
    metadata: dict[str, Any]


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

    def remove(self, block: Block) -> None:
        """Delete a block; the trigger keeps its versions."""
        self.session.delete(block)
        self.session.flush()

    def removed(self, label: str) -> Removed | None:
        """The block that bore a label when it was removed last, and was not brought back since."""
        row = self.execute(_REMOVED, label=label).one_or_none()
        return None if row is None else Removed(row.id, row.version, row.ended_by)

    def next_key(self, label: str) -> tuple[UUID, int]:
        """Key and first version number for a new block: one that was removed under that label goes on."""
        gone = self.removed(label)
        if gone is not None:
            return gone.id, gone.version + 1
        derived = uuid5(self.user_id, f"block:{label}")
        if self.numbers(derived):  # that row bears another label now
            derived = uuid5(derived, str(self._unit.change_set_id))
        return derived, 1

    def versions(self, block_id: UUID, limit: int) -> list[VersionEntry]:
        """The newest versions of a block, newest first."""
        rows = self.execute(_VERSIONS, id=block_id, limit=limit)
        return [VersionEntry(**row._mapping) for row in rows]

    def texts(self, block_id: UUID, versions: Sequence[int]) -> dict[int, VersionText]:
        """What versions of a block held, by number; those that are not kept are left out."""
        rows = self.execute(_TEXTS, id=block_id, versions=list(versions))
        return {row.version: VersionText(row.content, row.origin) for row in rows}

    def numbers(self, block_id: UUID) -> list[int]:
        """The numbers of a block's versions, lowest first."""
        return [row.version for row in self.execute(_NUMBERS, id=block_id)]
