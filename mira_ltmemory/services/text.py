"""Text on its way in: what a tool may hand over, and how captured text is made storable without loss."""

from __future__ import annotations

import re

import regex

from mira_ltmemory.errors import InvalidArgument, OverLimit
from mira_ltmemory.store.analysis import UNSPACED
from mira_ltmemory.store.storable import UNSTORABLE, escape, storable

__all__ = ["cut", "folded", "one_spaced", "parts_of", "require_text", "storable", "word_count"]

_SPACE = re.compile(r"\s+")
_WORD = regex.compile(rf"[{UNSPACED}]|[^\s{UNSPACED}]+")
_SAYS = regex.compile(r"[\p{L}\p{N}]")
_MARK = regex.compile(r"\p{M}")


def require_text(field: str, value: object, *, limit: int | None = None, empty: bool = False) -> str:
    """Return ``value`` where it is text that can be stored as it is; ``limit`` is in characters.

    Raises ``InvalidArgument`` naming the field, or ``OverLimit`` with the numbers.
    """
    if not isinstance(value, str):
        raise InvalidArgument(f"{field} must be text, not {type(value).__name__}.")
    if limit is not None and len(value) > limit:
        raise OverLimit(
            f"{field} is {len(value):,} characters; at most {limit:,} fit (over by {len(value) - limit:,}). "
            "Shorten it, or store it in several parts."
        )
    found = UNSTORABLE.search(value)
    if found is not None:
        what = "a NUL byte" if found.group() == "\x00" else f"a lone surrogate ({escape(found)})"
        raise InvalidArgument(f"{field} holds {what} at character {found.start()}; remove it and try again.")
    if not empty and not value.strip():
        raise InvalidArgument(f"{field} is empty; give the text.")
    return value


def one_spaced(text: str) -> str:
    """A text on one line, with one blank between its words."""
    return _SPACE.sub(" ", text).strip()


def folded(text: str) -> str:
    """A text without what makes no difference to what it says: line breaks, blanks, case."""
    return one_spaced(text).casefold()


def word_count(text: str) -> int:
    """How many words a text has; each letter of a script without blanks between words counts as one."""
    return sum(1 for match in _WORD.finditer(_MARK.sub("", text)) if _SAYS.search(match.group()))


def cut(text: str, limit: int) -> str:
    """A text of at most ``limit`` characters and a mark, where it is longer."""
    return text if len(text) <= limit else f"{text[:limit]} [...]"


def parts_of(text: str, size: int, most: int) -> list[str]:
    """A text in up to ``most`` parts of at most ``size`` characters, cut behind a line or a word if it can be.

    What is behind them is left out.
    """
    parts: list[str] = []
    start = 0
    while start < len(text) and len(parts) < most:
        end = start + size
        if end < len(text):
            found = text.rfind("\n", start + size // 2, end)
            found = found if found >= 0 else text.rfind(" ", start + size // 2, end)
            end = found + 1 if found >= 0 else end
        parts.append(text[start:end])
        start = end
    return parts
