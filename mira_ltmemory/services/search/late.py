"""Late interaction: each word of a query against every word of a row, not one vector against another.

A vector of a whole text says what it is about on the whole; the words say whether what was asked for is in it. The
answer to a question often leaves out what the question said, so the message before lends its words, and so does the one
after. A word that one candidate holds and most do not tells them apart; one that all or none hold does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mira_ltmemory.protocols import TokenVectors
from mira_ltmemory.services.search import english as en
from mira_ltmemory.store.analysis import STOP_WORDS
from mira_ltmemory.store.search import Candidates
from mira_ltmemory.store.tokens import TokenTable

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

_CONTRACTED = "s t d ll m re ve don didn doesn isn aren wasn weren won wouldn couldn shouldn hasn haven hadn ain"
UNTOLD = STOP_WORDS | frozenset(_CONTRACTED.split())
"""Words whose tokens are not kept, of texts and queries alike: frequent ones, and what is left of contractions."""

_SCALE = 127.0
_UNTHREADED = 200_000  # multiplications; OpenBLAS works in the calling thread up to 262,144
_SHORT_WORDS = 60.0
_PREVIOUS, _OWN_PREVIOUS, _NEXT = 0.8, 0.7, 0.7
_ANY_WORD = 0.3  # the weight of a word that tells no candidate from another
# What the words' share and the meaning of a row tell of its match, where no row's words have vectors.
_GUESS_BASE, _GUESS_WORDS, _GUESS_MEANING = 0.45, 0.15, 0.3
# The same of a row among others whose words have some: one with every word asked for matched .87, one without .27.
_ROUGH_HELD, _ROUGH_MEANING = 0.7, 0.3


@dataclass(frozen=True, slots=True, eq=False)
class Late:
    """Tokens of a query, int8 ``(words, dimensions)``, and those of the rows that it is held against."""

    query: NDArray[np.int8]
    table: TokenTable


def asked_tokens(tokens: TokenVectors) -> NDArray[np.int8]:
    """The tokens of a query that tell what it asks for: without words about conversations, where others remain."""
    telling = [place for place, word in enumerate(tokens.words) if word not in en.META_WORDS]
    return tokens.vectors[telling] if telling else tokens.vectors


def word_matches(late: Late, rows: int) -> Numbers:
    """The best cosine of each query word among a row's words, ``(rows, words)``; nan where a row has no vectors."""
    found = np.full((rows, len(late.query)), np.nan)
    table = late.table
    found[table.places] = 0.0
    filled = table.sizes > 0
    if filled.any():
        products = _products(table.vectors, late.query.astype(np.float32) / _SCALE**2)
        starts = np.cumsum(table.sizes) - table.sizes
        found[table.places[filled]] = np.maximum.reduceat(products, starts[filled])
    return found


def _products(tokens: NDArray[np.int8], query: NDArray[np.float32]) -> NDArray[np.float32]:
    """Inner products ``(tokens, words)``, in pieces that are too small for numpy to wake threads of its own for.

    Those wait in a loop for more work, and take the second core from the database.
    """
    wide = np.ascontiguousarray(np.resize(query, (max(2, len(query)), query.shape[1])).T)  # one alone wakes them sooner
    found = np.empty((len(tokens), wide.shape[1]), np.float32)
    step = max(8, _UNTHREADED // wide.size)
    for start in range(0, len(tokens), step):
        np.matmul(tokens[start : start + step].astype(np.float32), wide, out=found[start : start + step])
    return found[:, : len(query)]


def token_match(late: Late, found: Candidates, roughly: Callable[[], Numbers]) -> Numbers | None:
    """How well each row holds what is asked for, about 0 to 1, ``(n,)``; none where no row has token vectors.

    A word counts for a row where the message before it holds it, the more so if that asks a question, or the
    speaker's last message does, or the next one; less between long ones. It weighs what `telling` says. Of rows without
    token vectors, such as what was just said, get what is ``roughly`` their match, moved so that on the rows that have
    them it is right on the whole.
    """
    own = word_matches(late, len(found.rows))
    known = ~np.isnan(own[:, 0]) if own.shape[1] else np.zeros(len(own), dtype=bool)
    if not known.any():
        return None
    lent = np.vstack([np.nan_to_num(own), np.zeros((1, own.shape[1]))])
    previous, following = found.previous, found.next
    before = np.where(previous >= 0, np.append(previous, -1)[previous], -1)
    short = np.append(_SHORT_WORDS / (_SHORT_WORDS + found.lengths), 0.0)
    asks = np.array([_PREVIOUS + (1 - _PREVIOUS) * ("?" in row.excerpt) for row in found.rows] + [0.0])
    voice = [(row.role, row.speaker) for row in found.rows]
    again = np.array([place >= 0 and voice[place] == voice[number] for number, place in enumerate(before)])
    near = np.sqrt(short[:-1] * short[previous]) * asks[previous]
    far = np.sqrt(short[:-1] * short[before]) * _OWN_PREVIOUS * again
    best = np.maximum(lent[:-1], near[:, None] * lent[previous])
    best = np.maximum(best, far[:, None] * lent[before])
    beside = _NEXT * np.sqrt(short[:-1] * short[following])
    best = np.maximum(best, beside[:, None] * lent[following])
    match = np.asarray(best @ telling(best[known & found.eligible]))
    if known.all():
        return match
    guess = roughly()
    return np.where(known, match, np.clip(guess + float((match - guess)[known].mean()), 0, 1))


def telling(matches: Numbers) -> Numbers:
    """The weight of each query word among rows, given their matches ``(rows, words)``; together 1.

    A word weighs by how far its best match stands out of the middle.
    """
    spread = np.zeros(matches.shape[1])
    if len(matches):
        spread = matches.max(axis=0) - np.median(matches, axis=0)
    weights = spread + _ANY_WORD
    return np.asarray(weights / weights.sum())


def rough(held: Numbers, meaning: Numbers) -> Numbers:
    """What the match of words differs by, from the share of the query that a row holds, and the cosine."""
    return _ROUGH_HELD * held + _ROUGH_MEANING * meaning


def guess(words: Numbers, meaning: Numbers) -> Numbers:
    """What the match of words is on the whole, from BM25's share and the cosine."""
    return _GUESS_BASE + _GUESS_WORDS * words + _GUESS_MEANING * meaning
