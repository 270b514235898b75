"""Text on its way in: what a tool may hand over, and how captured text is made storable without loss."""

from __future__ import annotations

import re

from mira_ltmemory.errors import InvalidArgument, OverLimit

# Postgres cannot store NUL, and UTF-8 has no lone surrogates.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


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
    found = _UNSTORABLE.search(value)
    if found is not None:
        what = "a NUL byte" if found.group() == "\x00" else f"a lone surrogate ({_escape(found)})"
        raise InvalidArgument(f"{field} holds {what} at character {found.start()}; remove it and try again.")
    if not empty and not value.strip():
        raise InvalidArgument(f"{field} is empty; give the text.")
    return value


def storable(text: str) -> str:
    r"""Return captured text with what cannot be stored turned into visible escapes, such as ``\u0000``."""
    return _UNSTORABLE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found.group()):04x}"
