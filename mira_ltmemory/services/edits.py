"""Edits of a block's text, as pure functions: they return the new text or refuse."""

from __future__ import annotations

import difflib

from mira_ltmemory.errors import AmbiguousMatch, InvalidArgument, NoMatch, OverLimit

_SHOWN_LINES = 3
_SHOWN_CHARS = 120
_COMPARED_LINES = 2000


def append(text: str, addition: str) -> str:
    """Add a line at the end."""
    return f"{text}\n{addition}" if text else addition


def replace(text: str, old: str, new: str) -> str:
    """Replace the one place where ``old`` stands.

    Raises ``NoMatch`` with the nearest lines, or ``AmbiguousMatch`` with the lines of every place.
    """
    if not old:
        raise InvalidArgument("old_content is empty; give the exact text that is to be replaced.")
    if old == new:
        raise InvalidArgument("old_content and new_content are the same; there is nothing to change.")
    first = text.find(old)
    if first < 0:
        raise NoMatch(f"old_content is not in the block; nothing was changed. {_nearest(text, old)}")
    places = _places(text, old)
    if len(places) > 1:
        lines = ", ".join(str(text.count("\n", 0, place) + 1) for place in places[:10])
        raise AmbiguousMatch(
            f"old_content stands in the block {len(places)} times (beginning on lines {lines}); nothing was changed. "
            "Give more of the text around it, so that it stands once."
        )
    return text[:first] + new + text[first + len(old) :]


def insert(text: str, addition: str, line: int) -> str:
    """Insert ``addition`` after line ``line``: 0 puts it first, -1 last. Raises ``InvalidArgument``."""
    lines = text.split("\n") if text else []
    if not -1 <= line <= len(lines):
        raise InvalidArgument(
            f"insert_line is {line}, but the block has {len(lines)} lines: give 0 (before the first line) to "
            f"{len(lines)} (after the last), or -1 for the end."
        )
    at = len(lines) if line == -1 else line
    return "\n".join([*lines[:at], addition, *lines[at:]])


def require_fit(label: str, text: str, limit: int) -> None:
    """Raise ``OverLimit`` with the numbers where ``text`` is longer than the block's limit in characters."""
    if len(text) > limit:
        raise OverLimit(
            f"Block {label!r} would hold {len(text):,} of {limit:,} characters (over by {len(text) - limit:,}); "
            "nothing was changed. Shorten the text, condense the block with memory_rethink, or put details into "
            "archival memory."
        )


def _places(text: str, part: str) -> list[int]:
    """Every place where ``part`` begins, overlapping ones too: each would be a different edit."""
    found: list[int] = []
    at = text.find(part)
    while at >= 0:
        found.append(at)
        at = text.find(part, at + 1)
    return found


def _nearest(text: str, wanted: str) -> str:
    lines = [line for line in text.split("\n") if line.strip()][:_COMPARED_LINES]
    if not lines:
        return "The block is empty."
    first = next((line for line in wanted.split("\n") if line.strip()), wanted)[:_SHOWN_CHARS]
    near = difflib.get_close_matches(first, lines, n=_SHOWN_LINES, cutoff=0.3) or lines[:_SHOWN_LINES]
    shown = "\n".join(f"  {line[:_SHOWN_CHARS]}" for line in near)
    return f"The nearest lines are:\n{shown}"
