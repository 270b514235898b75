"""Puts candidates in order, by features that explain the order. Pure numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mira_ltmemory.store.search import Candidates

if TYPE_CHECKING:
    from numpy.typing import NDArray

WEIGHTS = {"meaning": 1.0, "words": 1.0, "words_around": 0.5}
"""What one standard deviation of each feature among the candidates adds to the score."""

_SHORT_WORDS = 60.0


@dataclass(frozen=True, slots=True)
class Ranking:
    """Scores of shape ``(n,)``, higher is better, and the raw features of each row by name, each ``(n,)``."""

    scores: NDArray[np.float64]
    features: dict[str, NDArray[np.float64]]

    def of(self, index: int) -> dict[str, float]:
        """The features of one row; what is unknown is left out."""
        return {name: float(values[index]) for name, values in self.features.items() if not np.isnan(values[index])}


def rank(found: Candidates) -> Ranking:
    """Score candidates by meaning (cosine), words (BM25), and the words of the messages beside short ones."""
    words = found.term_scores().sum(axis=1) if found.words else np.zeros(len(found.rows))
    features = {"cosine": found.cosine, "bm25": words, "bm25_around": _around(found, words)}
    parts = (found.cosine, words, features["bm25_around"])
    scores = sum(
        (weight * standardised(part) for weight, part in zip(WEIGHTS.values(), parts, strict=True)),
        np.zeros(len(found.rows)),
    )
    return Ranking(np.asarray(scores), features)


def standardised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance from the mean in standard deviations; 0 for what is unknown, and where all are equal."""
    known = ~np.isnan(values)
    result = np.zeros(len(values))
    if known.any() and (spread := values[known].std()) > 1e-9:
        result[known] = (values[known] - values[known].mean()) / spread
    return result


def _around(found: Candidates, words: NDArray[np.float64]) -> NDArray[np.float64]:
    """BM25 of the previous and the next message, as far as they and the row itself are short.

    A short answer holds few words of its own subject; a long message needs no help, and gives much by chance.
    """
    shortness = _SHORT_WORDS / (_SHORT_WORDS + found.lengths)
    lent = np.append(words * shortness, 0.0)  # index -1, an unknown neighbour, lends nothing
    return np.asarray((lent[found.previous] + lent[found.next]) * shortness)
