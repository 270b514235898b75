"""What a block may be called and described as, and what a conflict tells."""

from __future__ import annotations

from collections.abc import Sequence

from mira_ltmemory.config import is_label
from mira_ltmemory.errors import InvalidArgument
from mira_ltmemory.services.block_history import diff_of_versions
from mira_ltmemory.services.text import require_text
from mira_ltmemory.store.models import Block
from mira_ltmemory.store.unit_of_work import SqlUnitOfWork

_MAX_DESCRIPTION = 500


def conflict(unit: SqlUnitOfWork, block: Block, expected: int) -> str:
    """What somebody who edited version ``expected`` has to know of the present one."""
    head = f"Block {block.label!r} is at version {block.version}, not {expected}"
    holds = f"It holds:\n{block.content}"
    seen = unit.blocks.texts(block.id, [expected]).get(expected) if 0 < expected < block.version else None
    if seen is None:
        return f"{head}; nothing was changed. No version {expected} is known. {holds}"
    diff = diff_of_versions(block.label, expected, seen.content, block.version, block.content)
    changes = f"The changes since version {expected}:\n{diff}" if diff else "Its text is the same as then."
    return f"{head}: it was changed since; nothing was changed now. {holds}\n{changes}"


def require_label(label: object) -> None:
    """Raise ``InvalidArgument`` where a text may not label a block."""
    if not isinstance(label, str) or not is_label(label):
        raise InvalidArgument(
            f"Label {str(label)[:80]!r} must be 1 to 64 lower-case letters, digits and _, beginning with a letter."
        )


def require_description(description: str) -> None:
    """Raise ``RefusedEdit`` where a text may not describe a block: one line of at most 500 characters."""
    # It stands in the prompt outside of the block's fence.
    require_text("description", description, limit=_MAX_DESCRIPTION, empty=True)
    if not description.isprintable():
        raise InvalidArgument("description must be one line of printable text.")


def require_free(present: Sequence[Block], label: str) -> None:
    """Raise ``InvalidArgument`` where one of the blocks bears that label."""
    if any(block.label == label for block in present):
        raise InvalidArgument(f"There is a block {label!r} already; nothing was changed.")
