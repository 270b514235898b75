"""Finds words that a model quotes in a text: as whole words, and as they are typed, on whatever keyboard."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

import regex

from mira_ltmemory.store.analysis import DENSE

_TYPED = str.maketrans(
    dict.fromkeys("’‘ʼ`´′", "'") | dict.fromkeys("“”„«»″「」『』", '"') | dict.fromkeys("‐‑–—−―", "-") | {"…": "..."}
)
_BESIDE = rf"[[\p{{L}}\p{{M}}\p{{N}}_]--[{DENSE}]]"
_FIRST = regex.compile(_BESIDE, regex.V1)
_DENSE = regex.compile(rf"[{DENSE}]")


def flat(text: str) -> str:
    """A text without what differs by keyboard: case, composition, typographic quotes, dashes and dots."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold()).translate(_TYPED)


def spans(quote: str, text: str) -> Iterator[tuple[int, int]]:
    """Where a quote stands in a text, both `flat`: white space may differ, and no word may go on at its ends."""
    words = quote.split()
    if not words:
        return
    pattern = r"\s+".join(map(regex.escape, words))
    before = rf"(?<!{_BESIDE})" if _FIRST.match(quote.strip()) else ""
    after = rf"(?!{_BESIDE})" if _FIRST.match(quote.strip()[-1]) else ""
    for match in regex.finditer(f"{before}{pattern}{after}", text, regex.V1):
        yield match.span()


def letters(text: str) -> int:
    """How long a text is; a letter of a script that writes a word in one or two counts as two."""
    return len(text) + sum(1 for _ in _DENSE.finditer(text))
