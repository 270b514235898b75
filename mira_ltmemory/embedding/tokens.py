"""Vectors of a text's words, out of the pass that makes the text's own vector: which are kept, and in which space.

The last hidden states of a model are wide and share a few strong directions. A `TokenSpace` takes their mean away and
keeps the directions in which the model's own vocabulary differs most; no corpus is needed to make one.
"""

from __future__ import annotations

import random
import re
from bisect import bisect_right
from collections.abc import Callable, Container, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mira_ltmemory.errors import EmbeddingError
from mira_ltmemory.protocols import TokenSpace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TOKEN_DIMENSIONS = 128
"""Dimensions of a token's vector: of 384, these lose nothing that was seen in what is found."""

FILE = "token_space.npz"
"""The space that a model's folder may bring along, so that it need not be made."""

_SAMPLES, _WORDS, _SEED = 1_200, 14, 0
_WORD = re.compile(r"[^\W_]+")
_SHORTEST = 3


def told(text: str, offsets: Sequence[tuple[int, int]], skip: Container[str]) -> tuple[list[int], list[str]]:
    """Which tokens of a text are part of a word that tells something, and that word, in lower case.

    ``offsets`` are where each token begins and ends in the text. Left out are marks, tokens that the model adds, and
    the words of ``skip``.
    """
    words = [(match.start(), match.end(), match.group().lower()) for match in _WORD.finditer(text)]
    starts = [start for start, _, _ in words]
    places: list[int] = []
    found: list[str] = []
    for place, (begin, end) in enumerate(offsets):
        while begin < end and text[begin].isspace():  # some tokenizers count the space before a word to it
            begin += 1
        number = bisect_right(starts, begin) - 1
        if begin >= end or number < 0 or end > words[number][1] or words[number][2] in skip:
            continue
        places.append(place)
        found.append(words[number][2])
    return places, found


def places_of(text: str, words: Sequence[str]) -> list[int] | None:
    """Where the words of `told` stand among all words of their text; none where one is cut off."""
    every = _words(text)
    places: list[int] = []
    at = 0
    for word in words:
        try:
            at = every.index(word, at)
        except ValueError:
            return None
        places.append(at)
    return places


def words_at(text: str, places: Iterable[int]) -> tuple[str, ...]:
    """The words that `places_of` told the places of."""
    every = _words(text)
    return tuple(every[place] for place in places)


def _words(text: str) -> list[str]:
    return [match.group().lower() for match in _WORD.finditer(text)]


def make_space(vocabulary: Iterable[str], states_of: Callable[[list[str]], NDArray[np.float32]]) -> TokenSpace:
    """Make a space from random words of a model's vocabulary; ``states_of`` gives all states of texts, ``(n, hidden)``.

    The same model gives the same space. Raises ``EmbeddingError`` where the vocabulary holds too few words.
    """
    import numpy as np

    plain = {word.lstrip("▁Ġ") for word in vocabulary}
    words = sorted(word for word in plain if word.isalpha() and len(word) >= _SHORTEST)
    if len(words) < _WORDS:
        raise EmbeddingError("The tokenizer's vocabulary holds too few words to make a token space from.")
    choose = random.Random(_SEED)  # noqa: S311
    states = states_of([" ".join(choose.choices(words, k=_WORDS)) for _ in range(_SAMPLES)]).astype(np.float64)
    mean = states.mean(axis=0)
    values, directions = np.linalg.eigh(np.cov(states - mean, rowvar=False))
    basis = directions[:, np.argsort(-values)[:TOKEN_DIMENSIONS]].T
    return TokenSpace(mean.astype(np.float32), basis.astype(np.float32))


def read_space(folder: Path, hidden: int) -> TokenSpace | None:
    """The space that a model's folder brings along; none where there is none. Raises ``EmbeddingError``."""
    import numpy as np

    path = folder / FILE
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as held:
            space = TokenSpace(held["mean"].astype(np.float32), held["basis"].astype(np.float32))
    except (OSError, ValueError, KeyError) as error:
        raise EmbeddingError(f"The token space {path} cannot be read: {error}") from error
    if space.mean.shape != (hidden,) or space.basis.ndim != 2 or space.basis.shape[1] != hidden:
        raise EmbeddingError(f"The token space {path} is not for states of {hidden} dimensions.")
    return space


def write_space(folder: Path, space: TokenSpace) -> Path:
    """Write a space into a model's folder, at half precision, and return the file."""
    import numpy as np

    path = folder / FILE
    np.savez(path, mean=space.mean.astype(np.float16), basis=space.basis.astype(np.float16))
    return path
