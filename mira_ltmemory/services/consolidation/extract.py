"""Summaries in the conversation's own words: the most central sentences, each of another thing. Pure."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mira_ltmemory.services.consolidation.texts import sentences
from mira_ltmemory.store.analysis import STOP_WORDS, bare, words

if TYPE_CHECKING:
    from numpy.typing import NDArray

LINE_CHARS = 240
MIN_WORDS = 2
"""Words that say something which a message needs to stand in a summary."""

_DIFFERENT = 0.5
"""How much a sentence loses by being like one that was taken: with less, one subject takes every line."""

_BLANKS = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Said:
    """Something that may stand in a summary. ``weight`` lifts what counts more; ``vector`` is a unit vector."""

    text: str
    weight: float = 1.0
    vector: NDArray[np.float32] | None = None


def central(texts: Sequence[Said], number: int) -> list[int]:
    """Indexes of the most central texts, at most ``number``, in their order.

    A text is central where it is like many others; what is like a text that was taken counts less. Likeness is that of
    the vectors where every text has one, else that of the words.
    """
    if not texts:
        return []
    alike = _alike(texts)
    weights = np.array([each.weight for each in texts])
    worth = weights * (alike.sum(axis=1) - 1) / max(1, len(texts) - 1)
    # Something said once, at length, tells more than a short word that is like everything.
    worth = worth * np.array([min(1.0, _telling(each.text) / 6) for each in texts])
    taken: list[int] = []
    open_ = set(range(len(texts)))
    while open_ and len(taken) < number:
        best = max(open_, key=lambda index: (_rest(worth, alike, index, taken), -index))
        taken.append(best)
        open_.remove(best)
    return sorted(taken)


def _rest(worth: NDArray[np.float64], alike: NDArray[np.float64], index: int, taken: Sequence[int]) -> float:
    repeated = max((float(alike[index, other]) for other in taken), default=0.0)
    return float(worth[index]) - _DIFFERENT * max(0.0, repeated)


def best_sentence(text: str, frequent: Counter[str]) -> str:
    """The sentence of a text that holds most of what is frequent around it, not longer than a line."""
    parts = sentences(text) or [text]

    def worth(sentence: str) -> float:
        found = set(content_words(sentence))
        return sum(math.log1p(frequent[word]) for word in found) / (3 + len(found)) if len(found) > 1 else 0.0

    return cut(max(parts, key=worth))


def cut(text: str) -> str:
    """A text on one line, not longer than a line may be."""
    flat = _BLANKS.sub(" ", text).strip()
    return flat if len(flat) <= LINE_CHARS else flat[: LINE_CHARS - 3].rsplit(" ", 1)[0] + "..."


def frequencies(texts: Sequence[str]) -> Counter[str]:
    """In how many texts each word stands."""
    return Counter(word for text in texts for word in set(content_words(text)))


def content_words(text: str) -> list[str]:
    """The words of a text that say something."""
    return [plain for word in words(text) if (plain := bare(word)) not in STOP_WORDS and len(plain) > 1]


def tells(text: str) -> bool:
    """Whether a text says enough to stand in a summary."""
    return _telling(text) >= MIN_WORDS


def _telling(text: str) -> int:
    return len(set(content_words(text)))


def _alike(texts: Sequence[Said]) -> NDArray[np.float64]:
    if all(each.vector is not None for each in texts):
        table = np.stack([each.vector for each in texts if each.vector is not None]).astype(np.float64)
        return np.asarray(np.clip(table @ table.T, 0.0, 1.0))
    bags = [set(content_words(each.text)) for each in texts]
    alike = np.eye(len(bags))
    for one in range(len(bags)):
        for other in range(one):
            both = len(bags[one] & bags[other]) / math.sqrt(max(1, len(bags[one])) * max(1, len(bags[other])))
            alike[one, other] = alike[other, one] = both
    return alike
