"""What Postgres can store of a text, and how all else is made visible."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

# Postgres cannot store NUL, and UTF-8 has no lone surrogates.
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def storable(text: str) -> str:
    r"""Return captured text with what cannot be stored turned into visible escapes, such as ``\u0000``."""
    return UNSTORABLE.sub(escape, text)


def escape(found: re.Match[str]) -> str:
    """How a character that cannot be stored is written."""
    return f"\\u{ord(found.group()):04x}"


def each_text(value: Any, clean: Callable[[str], str]) -> Any:
    """Return a JSON value with every text in it, names of members too, as ``clean`` gives it."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {each_text(name, clean): each_text(member, clean) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [each_text(member, clean) for member in value]
    return value
