"""Puts candidates in order, by a sum of features that explain the order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mira_ltmemory.services.search.features import features
from mira_ltmemory.services.search.late import Late
from mira_ltmemory.services.search.query import Query
from mira_ltmemory.store.search import Candidates

if TYPE_CHECKING:
    from numpy.typing import NDArray

WEIGHTS = {
    # What the text says. Both are about 0 to 1; words and meaning find different rows, so neither may rule.
    "meaning": 6.5,
    "bm25": 3.0,
    # A short message shares the subject of those beside it; half of their words' worth, because others share it too.
    "bm25_around": 1.5,
    # The answer to a question says what the question leaves out.
    "reply": 4.0,
    # Evidence comes in clusters: a talk about the subject lifts its short messages, which say little by themselves.
    "session_cosine": 6.0,
    "session_bm25": 3.5,
    # A question resembles the query most and answers it least.
    "question": -0.75,
    # People are asked about what they said of themselves; what others said to them still counts.
    "speaker": 1.0,
    "other_speaker": -0.75,
    # An assistant writes much about everything; what is remembered is mostly what the user told,
    "user": 3.0,
    # but its long answers sum things up, and what it advised is in them: these take back what "user" gave.
    "assistant_summary": 4.0,
    "assistant_asked": 2.0,
    # "I" and "my": the message tells of its speaker.
    "first_person": 0.5,
    # The day that is asked for beats any likeness of words, and what was said beside it fades.
    "date": 5.5,
    # An answer to "when" holds a time, and one to "who" or "where" a name.
    "time_told": 1.25,
    "name_told": 1.25,
    # People are asked about what happened to them, and what happened is told with its time,
    "happened": 0.6,
    # mostly when a talk begins; what follows is talk about it.
    "opening": 0.75,
    # "Always ..." applies to whatever comes near its subject, and says little of that in its own words.
    "instruction": 6.0,
    # A message of two words seldom answers anything.
    "words": 0.3,
}
"""What one unit of each feature adds to the score. Fitted on public conversations, then rounded by hand."""

LATE_WEIGHTS = {
    # Each word of the query among the words of the row: it says all that BM25 and the cosine say, and more.
    "tokens": 10.5,
    # A talk that holds them lifts all that was said in it.
    "session_tokens": 8.0,
    # The very word, number or name that was asked for: to vectors, 7 and 8 are nearly the same.
    "bm25": 1.5,
    "bm25_around": 2.0,
    "meaning": 2.5,
    "reply": 5.5,
    "session_bm25": 2.5,
    "question": -0.6,
    "speaker": 1.1,
    "other_speaker": -0.75,
    "user": 3.5,
    "assistant_summary": 4.5,
    "assistant_asked": 1.5,
    "first_person": 0.5,
    "date": 5.5,
    "time_told": 1.0,
    "name_told": 1.0,
    "happened": 0.5,
    "opening": 0.75,
    "instruction": 10.0,
}
"""The same, where the words of the rows have vectors."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """Scores of shape ``(n,)``, higher is better, and the raw features of each row by name, each ``(n,)``."""

    scores: NDArray[np.float64]
    features: dict[str, NDArray[np.float64]]

    def of(self, index: int) -> dict[str, float]:
        """The features of one row; what is unknown is left out."""
        return {name: float(values[index]) for name, values in self.features.items() if not np.isnan(values[index])}


def rank(found: Candidates, query: Query | None = None, late: Late | None = None) -> Ranking:
    """Score candidates for a query; without one, by words and meaning alone, and with ``late`` by each word."""
    known = features(found, query or Query(), late)
    weights = LATE_WEIGHTS if "tokens" in known else WEIGHTS
    scores = sum((weight * known[name] for name, weight in weights.items()), np.zeros(len(found.rows)))
    return Ranking(np.asarray(scores), known)
