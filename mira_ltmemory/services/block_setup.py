"""Makes the configured blocks exist, with their limits, order, descriptions and locks."""

from __future__ import annotations

from collections.abc import Sequence

from mira_ltmemory.config import MemoryConfig
from mira_ltmemory.protocols import Actor, Change, Origin
from mira_ltmemory.store.models import Block
from mira_ltmemory.store.unit_of_work import SqlUnitOfWork, Store


def ensure_blocks(store: Store, settings: MemoryConfig) -> list[str]:
    """Make the configured blocks exist as configured; return sentences about what could not be.

    One change set, and none where everything is as configured. Blocks that are configured no longer stay.
    """
    return _Setup(settings, store).run()


class _Setup:
    def __init__(self, settings: MemoryConfig, store: Store) -> None:
        self._settings = settings
        self._store = store

    def run(self) -> list[str]:
        with self._store.read() as unit:
            if not self._stale(unit.blocks.all()):
                return []
        remarks: list[str] = []
        with self._store.write(Change(Actor.SYSTEM, "configure", "core memory blocks as configured")) as unit:
            present = {block.label: block for block in unit.blocks.all()}
            for position, label in enumerate(self._settings.core_memory_blocks):
                if label in present:
                    remarks += self._adjust(unit, present[label], position)
                else:
                    unit.blocks.add(self._new(unit, label, position))
        return remarks

    def _stale(self, blocks: Sequence[Block]) -> bool:
        present = {block.label: block for block in blocks}
        return any(
            label not in present or self._differs(present[label], position)
            for position, label in enumerate(self._settings.core_memory_blocks)
        )

    def _differs(self, block: Block, position: int) -> bool:
        label = block.label
        limit = max(self._settings.core_memory_blocks[label], len(block.content))
        read_only = label in self._settings.core_memory_read_only
        wanted = (limit, position, read_only, self._description(label))
        return wanted != (block.char_limit, block.position, block.read_only, block.description)

    def _adjust(self, unit: SqlUnitOfWork, block: Block, position: int) -> list[str]:
        if self._differs(block, position):
            configured = self._settings.core_memory_blocks[block.label]
            block.char_limit = max(configured, len(block.content))
            block.position = position
            block.read_only = block.label in self._settings.core_memory_read_only
            block.description = self._description(block.label)
            unit.blocks.save(block)
            if block.char_limit > configured:
                return [
                    f"Block {block.label!r} holds {block.char_limit} characters, more than its configured limit of "
                    f"{configured}: it keeps them and takes no more until it is shortened."
                ]
        return []

    def _new(self, unit: SqlUnitOfWork, label: str, position: int) -> Block:
        key, version = unit.blocks.next_key(label)
        return Block(
            user_id=unit.user_id,
            id=key,
            version=version,
            change_set_id=unit.change_set_id,
            origin=Origin.USER.value,
            label=label,
            description=self._description(label),
            content="",
            char_limit=self._settings.core_memory_blocks[label],
            read_only=label in self._settings.core_memory_read_only,
            position=position,
        )

    def _description(self, label: str) -> str:
        return self._store.redact(self._settings.core_memory_descriptions.get(label, ""))
