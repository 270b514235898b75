"""Keeps a part of the prompt within its budget: whole entries first, and each of them short."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from mira_ltmemory.services.text import one_spaced

Entry = TypeVar("Entry")

CUT = " [...]"


def shortened(text: str, limit: int) -> str:
    """A text on one line, of at most ``limit`` characters; where it is longer it ends at a word, with a mark."""
    line = one_spaced(text)
    if len(line) <= limit:
        return line
    kept = line[: max(0, limit - len(CUT))]
    at = kept.rfind(" ")
    return (kept[:at] if at > len(kept) // 2 else kept).rstrip() + CUT


def within(entries: Sequence[Entry], render: Callable[[Sequence[Entry]], str], limit: int) -> tuple[str, int]:
    """Render as many of the first entries as fit into ``limit`` characters, and tell how many; else empty, and 0."""
    for number in range(len(entries), 0, -1):
        text = render(entries[:number])
        if len(text) <= limit:
            return text, number
    return "", 0
