"""Core memory: blocks that are always in the prompt and that the model edits itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import uuid5

from mira_ltmemory.config import MemoryConfig
from mira_ltmemory.errors import Conflict, InvalidArgument, ReadOnly, UnknownLabel
from mira_ltmemory.protocols import Actor, Change, Origin
from mira_ltmemory.services import edits
from mira_ltmemory.services.redaction import Redactor
from mira_ltmemory.services.text import require_text
from mira_ltmemory.store.models import Block
from mira_ltmemory.store.unit_of_work import SqlUnitOfWork, Store


@dataclass(frozen=True, slots=True)
class BlockView:
    """A block as readers see it. ``used`` and ``limit`` are in characters."""

    label: str
    description: str
    content: str
    limit: int
    version: int
    read_only: bool

    @property
    def used(self) -> int:
        """Characters in the block."""
        return len(self.content)


@dataclass(frozen=True, slots=True)
class BlockEdit:
    """What an edit did: the block as it is now, and the kinds of secrets that were redacted on the way."""

    block: BlockView
    change_set_id: int
    redacted: tuple[str, ...] = ()


class BlockManager:
    """Reads and edits the blocks of one user. Each edit is one transaction and one change set."""

    def __init__(self, store: Store, settings: MemoryConfig, redactor: Redactor) -> None:
        self._store = store
        self._settings = settings
        self._redactor = redactor

    def ensure(self) -> list[str]:
        """Make the configured blocks exist with their limits; return sentences about what could not be."""
        wanted = self._settings.core_memory_blocks
        with self._store.read() as unit:
            if not self._stale(unit.blocks.all()):
                return []
        remarks: list[str] = []
        with self._store.write(Change(Actor.SYSTEM, "configure", "core memory blocks as configured")) as unit:
            present = {block.label: block for block in unit.blocks.all()}
            for position, label in enumerate(wanted):
                if label in present:
                    remarks += self._adjust(unit, present[label], position)
                else:
                    unit.blocks.add(self._new(unit, label, position))
        return remarks

    def all(self) -> list[BlockView]:
        """Every block, in the order of the prompt."""
        with self._store.read() as unit:
            return [_view(block) for block in unit.blocks.all()]

    def get(self, label: str) -> BlockView:
        """One block. Raises ``UnknownLabel``."""
        with self._store.read() as unit:
            return _view(_find(unit, label))

    def append(self, label: str, content: str, change: Change, *, expected_version: int | None = None) -> BlockEdit:
        """Add a line at the end of a block. Raises ``RefusedEdit``."""
        require_text("content", content)
        return self._edit(label, content, change, edits.append, expected_version)

    def replace(
        self, label: str, old_content: str, new_content: str, change: Change, *, expected_version: int | None = None
    ) -> BlockEdit:
        """Replace the one place where ``old_content`` stands. Raises ``RefusedEdit``."""
        require_text("old_content", old_content, empty=True)
        require_text("new_content", new_content, empty=True)

        def edit(text: str, new: str) -> str:
            return edits.replace(text, old_content, new)

        return self._edit(label, new_content, change, edit, expected_version)

    def insert(
        self, label: str, new_str: str, insert_line: int, change: Change, *, expected_version: int | None = None
    ) -> BlockEdit:
        """Insert after a line: 0 first, -1 last. Raises ``RefusedEdit``."""
        require_text("new_str", new_str)

        def edit(text: str, new: str) -> str:
            return edits.insert(text, new, insert_line)

        return self._edit(label, new_str, change, edit, expected_version)

    def rethink(self, label: str, new_memory: str, change: Change, *, expected_version: int | None = None) -> BlockEdit:
        """Write the whole block anew. Raises ``RefusedEdit``."""
        require_text("new_memory", new_memory, empty=True)
        return self._edit(label, new_memory, change, lambda _text, new: new, expected_version)

    def _edit(
        self, label: str, given: str, change: Change, edit: Callable[[str, str], str], expected_version: int | None
    ) -> BlockEdit:
        self._refuse_hopeless(label, given)
        redacted_text, redactions = self._redactor.redact(given)
        with self._store.write(change) as unit:
            block = _find(unit, label)
            if block.read_only:
                raise ReadOnly(f"Block {label!r} is read-only; nothing was changed.")
            if expected_version is not None and expected_version != block.version:
                raise Conflict(
                    f"Block {label!r} is at version {block.version}, not {expected_version}: it was changed since; "
                    f"nothing was changed now. It holds:\n{block.content}"
                )
            text = edit(block.content, redacted_text)
            edits.require_fit(label, text, block.char_limit)
            if text == block.content:
                raise InvalidArgument(f"Block {label!r} holds exactly this text already; there is nothing to change.")
            block.content = text
            block.origin = _origin(change).value
            unit.blocks.save(block)
            kinds = tuple(dict.fromkeys(redaction.kind for redaction in redactions))
            return BlockEdit(_view(block), unit.change_set_id, kinds)

    def _refuse_hopeless(self, label: str, given: str) -> None:
        """Refuse text that no block could hold before it is searched for secrets, which can shorten it."""
        largest = max(self._settings.core_memory_blocks.values(), default=0)
        if len(given) > largest + _MARK_ALLOWANCE:
            edits.require_fit(label, given, self._settings.core_memory_blocks.get(label, largest))

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
        return Block(
            user_id=unit.user_id,
            id=uuid5(unit.user_id, f"block:{label}"),
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
        return self._settings.core_memory_descriptions.get(label, "")


_MARK_ALLOWANCE = 100_000
"""Characters beyond the largest limit that an edit may come with: redaction can make a text shorter."""


def _find(unit: SqlUnitOfWork, label: str) -> Block:
    block = unit.blocks.get(label) if isinstance(label, str) and "\x00" not in label else None
    if block is None:
        labels = ", ".join(repr(known.label) for known in unit.blocks.all())
        raise UnknownLabel(f"There is no core memory block {str(label)[:80]!r}. The blocks are: {labels}.")
    return block


def _view(block: Block) -> BlockView:
    return BlockView(
        label=block.label,
        description=block.description,
        content=block.content,
        limit=block.char_limit,
        version=block.version,
        read_only=block.read_only,
    )


def _origin(change: Change) -> Origin:
    return Origin.USER if change.actor is Actor.USER else Origin.ASSISTANT
