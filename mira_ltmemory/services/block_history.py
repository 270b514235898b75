"""The versions of core memory blocks: who made each, what stood in it, and how two differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from mira_ltmemory.errors import InvalidArgument, UnknownLabel
from mira_ltmemory.services.edits import unified_diff
from mira_ltmemory.store.blocks import VersionEntry, VersionText
from mira_ltmemory.store.models import Block
from mira_ltmemory.store.unit_of_work import SqlUnitOfWork, Store

_MAX_SHOWN = 1000


@dataclass(frozen=True, slots=True)
class BlockVersionView:
    """One version of a block. ``used`` and ``limit`` are in characters, ``at`` is aware, in UTC.

    ``ended_by`` is the change set that followed it or removed the block; none: it is the present version.
    ``untrusted_source`` holds the ids of tool or web messages, and passages made from such, whose
    text the edit repeated.
    """

    version: int
    change_set_id: int
    label: str
    used: int
    limit: int
    actor: str
    tool: str | None
    reason: str | None
    undoes: int | None
    at: datetime
    ended_by: int | None
    untrusted_source: tuple[str, ...] = ()


class BlockHistory:
    """Reads the versions of one user's blocks. A removed block's label keeps answering."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def versions(self, label: str, limit: int = 20) -> list[BlockVersionView]:
        """The newest versions of a block, newest first; ``limit`` is 1 to 1000.

        Raises ``UnknownLabel`` and ``InvalidArgument``.
        """
        if not 1 <= limit <= _MAX_SHOWN:
            raise InvalidArgument(f"limit must be between 1 and {_MAX_SHOWN}, not {limit}.")
        with self._store.read() as unit:
            return [_view(entry) for entry in unit.blocks.versions(_key(unit, label), limit)]

    def text(self, label: str, version: int) -> str:
        """What a version of a block held. Raises ``UnknownLabel`` and ``InvalidArgument``."""
        with self._store.read() as unit:
            return version_text(unit, label, _key(unit, label), version).content

    def diff(self, label: str, a: int, b: int) -> str:
        """The unified diff from version ``a`` to version ``b``; empty where they hold the same text.

        Raises ``UnknownLabel`` and ``InvalidArgument``.
        """
        with self._store.read() as unit:
            key = _key(unit, label)
            before, after = (version_text(unit, label, key, number).content for number in (a, b))
        return diff_of_versions(label, a, before, b, after)

    def steps(self, label: str, versions: Sequence[int]) -> Mapping[int, str]:
        """For each of these versions the unified diff from the one before it, where that one is kept."""
        with self._store.read() as unit:
            wanted = {*versions, *(number - 1 for number in versions)}
            texts = unit.blocks.texts(_key(unit, label), sorted(wanted))
        return {
            number: diff_of_versions(label, number - 1, texts[number - 1].content, number, texts[number].content)
            for number in versions
            if number in texts and number - 1 in texts
        }


def find_block(unit: SqlUnitOfWork, label: str) -> Block:
    """The block of that label. Raises ``UnknownLabel`` with the labels that there are."""
    block = unit.blocks.get(label) if may_be_label(label) else None
    if block is not None:
        return block
    gone = unit.blocks.removed(label) if may_be_label(label) else None
    labels = ", ".join(repr(known.label) for known in unit.blocks.all()) or "none"
    hint = "" if gone is None else f" It was removed by change set {gone.ended_by}: undo that to bring it back."
    raise UnknownLabel(f"There is no core memory block {str(label)[:80]!r}. The blocks are: {labels}.{hint}")


def version_text(unit: SqlUnitOfWork, label: str, block_id: UUID, version: int) -> VersionText:
    """What exactly that version of a block held. Raises ``InvalidArgument`` with the versions that are kept."""
    found = unit.blocks.texts(block_id, [version]).get(version) if _may_be_version(version) else None
    if found is None:
        kept = _ranges(unit.blocks.numbers(block_id))
        raise InvalidArgument(f"Block {label!r} has no version {str(version)[:40]}; versions kept: {kept}.")
    return found


def diff_of_versions(label: str, a: int, before: str, b: int, after: str) -> str:
    """The unified diff of two versions of a block; empty where they hold the same text."""
    return unified_diff(before, after, f"{label} version {a}", f"{label} version {b}")


def _key(unit: SqlUnitOfWork, label: str) -> UUID:
    block = unit.blocks.get(label) if may_be_label(label) else None
    if block is not None:
        return block.id
    gone = unit.blocks.removed(label) if may_be_label(label) else None
    return find_block(unit, label).id if gone is None else gone.id


def may_be_label(label: object) -> bool:
    """Whether the database can be asked for a block of that label."""
    return isinstance(label, str) and len(label) <= 200 and label.isascii() and "\x00" not in label


def _may_be_version(version: object) -> bool:
    return isinstance(version, int) and not isinstance(version, bool) and 0 < version < 2**31


def _ranges(numbers: Sequence[int]) -> str:
    """``1 to 4, 7``."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in runs[-20:])


def _view(entry: VersionEntry) -> BlockVersionView:
    sources: Any = entry.metadata.get("untrusted_source", ())
    return BlockVersionView(
        version=entry.version,
        change_set_id=entry.change_set_id,
        label=entry.label,
        used=entry.used,
        limit=entry.limit,
        actor=entry.actor,
        tool=entry.tool,
        reason=entry.reason,
        undoes=entry.undoes,
        at=entry.at,
        ended_by=entry.ended_by,
        untrusted_source=tuple(sources),
    )
