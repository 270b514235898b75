"""Turns text into terms: the words that a row is found by.

A term is a 64-bit hash of a stemmed, lower-cased word. No table of words is kept: nothing has to be looked up to
index a text or to read a query, and no readable word stays behind when its row is erased. Two of a million
words share a hash with probability 3e-8.

Words of spaced scripts are stemmed as English where they are ASCII; Chinese, Japanese, Korean, Thai, Lao, Khmer
and Burmese runs become overlapping pairs of letters, Han characters single ones too; each emoji is a word.
Accents, Arabic vowel marks and letter case make no difference. Nothing is left out: frequent words cost
little where the query drops them (`query_terms`).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from itertools import islice, pairwise
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
import regex

from mira_ltmemory.store.stemming import english_stemmer

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_CHARS = 500_000
"""Characters of a text that are indexed; the rest is stored and not found by its words."""

MAX_COUNT = 65_535
"""Counts and lengths are kept in 16 bits; greater ones stop here."""

FORWARD = np.dtype([("term", "<i8"), ("count", "<u2")])
"""One term of a document as it is stored: 10 bytes."""

_MAX_WORD = 64
_MAX_QUERY_TERMS = 64
_MAX_QUERY_CHARS = 4_000

_ASCII_WORD = re.compile(r"[a-z0-9]+(?:'[a-z0-9]+)*")
UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}ー"
"""Letters of scripts that put no blanks between words, for a character class."""

DENSE = rf"{UNSPACED}\p{{Hangul}}"
"""Letters that may stand beside a word without being a part of it, for a character class."""

_WORD = regex.compile(
    rf"(?P<emoji>\p{{RI}}{{2}}|\p{{Extended_Pictographic}})|(?P<dense>[{DENSE}][{DENSE}\p{{M}}]*)"
    rf"|[[\p{{L}}\p{{N}}]--[{DENSE}]][[\p{{L}}\p{{N}}\p{{M}}]--[{DENSE}]]*(?:'[[\p{{L}}\p{{N}}\p{{M}}]--[{DENSE}]]+)*",
    regex.VERSION1,
)
_HAN = regex.compile(r"\p{Han}")
_MARKS = re.compile("[\u0300-\u036f\u0610-\u061a\u0640\u064b-\u065f\u0670]")

STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
        a an the and or but if then than so as of at by for with about into to from in on off over under again is am
        are was were be been being do does did doing done have has had having will would shall should can could may
        might must i me my mine myself you your yours yourself he him his himself she her hers herself it its itself
        we us our ours they them their theirs this that these those there here what which who whom whose when where
        why how not no nor only just very too also any some such own same both each more most other because while
        during between out up down further once all dont doesnt didnt isnt arent wasnt werent wont wouldnt couldnt
        shouldnt hasnt havent hadnt cant im ive id ill youre youve hes shes theyre weve whats thats theres lets
        mention mentioned said say says tell told ok okay yeah yes oh hey hi wow
        """,
    )
)
"""English words that say nothing of what is looked for; a query that holds nothing else keeps them."""


@dataclass(frozen=True, slots=True)
class Document:
    """A text's terms: ``forward`` of dtype `FORWARD`, sorted by term; ``length`` counts its words."""

    forward: NDArray[np.void]
    length: int


def analyse(text: str) -> Document:
    """Count the terms of a text. Any string will do."""
    counts = Counter(map(term_of, words(text[:MAX_CHARS])))
    forward = np.empty(len(counts), FORWARD)
    if counts:
        terms, numbers = zip(*sorted(counts.items()), strict=True)
        forward["term"] = terms
        forward["count"] = np.minimum(numbers, MAX_COUNT)
    return Document(forward, min(counts.total(), MAX_COUNT))


def query_terms(text: str) -> dict[str, int]:
    """The words that a query asks for and their terms, in order, at most 64; a word of the same stem comes once."""
    asked: dict[int, str] = {}
    for word in words(text[:_MAX_QUERY_CHARS]):
        asked.setdefault(term_of(word), word)
    telling = {term: word for term, word in asked.items() if bare(word) not in STOP_WORDS} or asked
    return {word: term for term, word in islice(telling.items(), _MAX_QUERY_TERMS)}


def words(text: str) -> Iterator[str]:
    """The words of a text, folded, in order, not stemmed."""
    if text.isascii():
        yield from _ASCII_WORD.findall(text.lower())
        return
    for match in _WORD.finditer(fold(text)):
        if match["dense"]:
            yield from _dense(match.group())
        else:
            yield match.group()


def fold(text: str) -> str:
    """A text without what searching overlooks: case, accents, Arabic vowel marks, width, curly apostrophes."""
    flat = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    return unicodedata.normalize("NFC", _MARKS.sub("", unicodedata.normalize("NFD", flat)))


def bare(word: str) -> str:
    """A word without its possessive ending and its apostrophes."""
    return word.removesuffix("'s").replace("'", "")


@lru_cache(maxsize=1 << 17)
def term_of(word: str) -> int:
    """The term of a folded word: a signed 64-bit number."""
    plain = bare(word)[:_MAX_WORD]
    stemmed = _stem(plain) if plain.isascii() and plain.isalpha() else plain
    return int.from_bytes(blake2b(stemmed.encode("utf-8"), digest_size=8).digest(), "little", signed=True)


def forget_words() -> None:
    """Drop the words that this process remembers from texts and queries: some of them were erased."""
    term_of.cache_clear()


def _dense(run: str) -> Iterator[str]:
    letters = regex.findall(r"\X", run)
    for letter in letters:
        if len(letters) == 1 or _HAN.match(letter):
            yield letter
    for first, second in pairwise(letters):
        yield first + second


def _stem(word: str) -> str:
    with _STEMMING:  # the stemmer keeps the word that it works on in itself
        stem: str = _STEMMER.stemWord(word)
    return stem


_STEMMER = english_stemmer()
_STEMMING = Lock()
