"""How names are compared."""

from __future__ import annotations

import unicodedata

import regex

_SPACE = regex.compile(r"[\s\u00a0]+")
_EDGE = regex.compile(r"\A[\W_]+|[^\w.!?&+#]+\Z")
_APOSTROPHE = regex.compile(r"['’`´]s\Z")


def fold(word: str) -> str:
    """A word without case and accents."""
    flat = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", word)).casefold()
    return "".join(letter for letter in flat if not unicodedata.combining(letter))


def key_of(name: str) -> str:
    """A name as it is compared: without case, accents, white space beside single blanks, and a possessive ending."""
    flat = _SPACE.sub(" ", _EDGE.sub("", name.strip()))
    return fold(_APOSTROPHE.sub("", flat)).strip(" .") or fold(name.strip())
