"""Whether a search found what was asked for: "I don't know", told by numbers.

A search always finds something. What it finds for questions about things that this memory does not hold (`foreign.txt`)
shows how strong a find is by chance, in this store; a find that is not stronger is likely to be nothing. No question
with a known answer is needed. Until that was measured, the usual strength over several stores stands in for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mira_ltmemory.protocols import Kind
from mira_ltmemory.services.search.late import guess
from mira_ltmemory.services.search.query import Query
from mira_ltmemory.services.search.rank import Ranking
from mira_ltmemory.store.calibrations import Way
from mira_ltmemory.store.search import Candidates

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mira_ltmemory.store.unit_of_work import SqlUnitOfWork

    Numbers = NDArray[np.float64]

UNLIKELY = "Nothing of this is likely to be what was asked for."
# What one unit of each adds to the strength of a find: fitted on public conversations, then rounded by hand.
_MATCH, _BEST, _UNKNOWN = 10.0, 0.4, 2.5
_USUAL_MATCH, _USUAL_GUESS, _GUESS_DRAWN = 0.5, 0.59, 2.2

# The usual strength of a find by chance, and its spread. A memory's own is believed by a fifth only: some of the
# foreign questions may be answered in it after all, and then chance looks stronger than it is. By words alone, there
# is nothing usual.
_USUAL_MEAN, _USUAL_GUESSED, _USUAL_SPREAD, _OWN_SHARE = 8.7, 6.8, 2.0, 0.2

# By how many spreads a find has to be stronger than chance: messages of a user and an assistant are longer, and more
# of them hold all words of a question that they do not answer. What was not measured is doubted less.
_LINE, _LINE_OF_SIDES, _UNMEASURED = 0.6, 1.45, 0.1

# Log-odds that a hit is relevant: for the best of a find on the line, for each spread beyond, and behind the best
# score. Farther beyond, finds are no more often right.
_BASE, _BEYOND, _BEHIND = -2.3, 1.15, 0.75
_LEAST_BEYOND, _MOST_BEYOND = -4.0, 2.5

_ASKED_AS = "the user"


@dataclass(frozen=True, slots=True)
class Chance:
    """The strength of what is found by chance. ``measured`` in this memory, or usual for a ``way`` of searching."""

    mean: float
    measured: bool = True
    way: Way = Way.TOKENS

    def beyond(self, strength: float, *, sides: bool = False) -> float:
        """By how many spreads a find is beyond what chance reaches; 0 is the line.

        ``sides``: among messages of a user and an assistant.
        """
        usual = _usual(self.way)
        middle = self.mean if usual is None else usual + _OWN_SHARE * (self.mean - usual)
        line = (_LINE_OF_SIDES if sides else _LINE) - (0 if self.measured else _UNMEASURED)
        return (strength - middle) / _USUAL_SPREAD - line


def usual_chance(way: Way) -> Chance:
    """What stands in where nothing was measured."""
    return Chance(_usual(way) or _USUAL_GUESSED, measured=False, way=way)


def way_of(ranking: Ranking) -> Way:
    """What a ranking could go by."""
    if "tokens" in ranking.features:
        return Way.TOKENS
    return Way.WORDS if np.isnan(ranking.features["cosine"]).all() else Way.VECTORS


def chance_in(unit: SqlUnitOfWork, kind: Kind, way: Way) -> Chance:
    """What is known of finds by chance in a store, else what is usual."""
    known = unit.calibrations.of(kind, way)
    return usual_chance(way) if known is None else Chance(known.mean, way=way)


def strength(found: Candidates, ranking: Ranking, query: Query) -> float:
    """How strong a find is: about 8.5 for one by chance, 13.5 for an answer. Any number may come.

    Counted are the best match of the query's words, the best score, and the names that the query holds and the store
    does not.
    """
    shown = found.eligible
    if not shown.any():
        return 0.0
    match, best = float(_matches(ranking)[shown].max()), float(ranking.scores[shown].max())
    return _MATCH * match + _BEST * best - _UNKNOWN * unknown_names(found, query)


def unknown_names(found: Candidates, query: Query) -> float:
    """The share of the names in a query that no text of the store holds."""
    asked = [number for number, word in enumerate(found.words) if word in query.names]
    if not asked:
        return 0.0
    never = found.corpus.idf([-1])[0]  # no text holds this term
    return float((found.idf[asked] >= never - 1e-9).mean())


@dataclass(frozen=True, slots=True)
class Judged:
    """By how many spreads a find is beyond the line, whether it is, and the chance that it was held against."""

    beyond: float
    likely: bool
    chance: Chance


def judge(unit: SqlUnitOfWork, kind: Kind, found: Candidates, ranking: Ranking, query: Query) -> Judged:
    """Hold a find against what is found by chance.

    What is usual is known of the match of words by their vectors alone. By anything less, and before it was measured
    here, nothing is called unlikely.
    """
    way = way_of(ranking)
    chance = chance_in(unit, kind, way)
    beyond = chance.beyond(strength(found, ranking, query), sides=query.sides)
    told = chance.measured or way is Way.TOKENS
    return Judged(beyond, not told or beyond >= 0, chance)


def probabilities(scores: Sequence[float], beyond: float) -> list[float]:
    """How likely each hit is relevant, from the scores, best first, and by how much the find is beyond the line."""
    if not scores:
        return []
    behind = scores[0] - np.array(scores, dtype=np.float64)
    logits = _BASE + _BEYOND * np.clip(beyond, _LEAST_BEYOND, _MOST_BEYOND) - _BEHIND * behind
    return [float(value) for value in 1 / (1 + np.exp(-logits))]


def middle_and_spread(strengths: Sequence[float]) -> tuple[float, float]:
    """The median of strengths found by chance and their spread: a few that found something do not count."""
    values = np.array(strengths, dtype=np.float64)
    middle = float(np.median(values))
    return middle, 1.4826 * float(np.median(np.abs(values - middle)))


@cache
def foreign_questions() -> tuple[str, ...]:
    """The questions of `foreign.txt`."""
    lines = (Path(__file__).parent / "foreign.txt").read_text("utf-8").splitlines()
    return tuple(line for line in lines if line and not line.startswith("#"))


def foreign_to(people: Sequence[str]) -> list[str]:
    """The foreign questions, asked about the speakers of a store in turn."""
    questions = foreign_questions()
    names = people or [_ASKED_AS]
    return [question.replace("{name}", names[number % len(names)]) for number, question in enumerate(questions)]


def _usual(way: Way) -> float | None:
    return {Way.TOKENS: _USUAL_MEAN, Way.VECTORS: _USUAL_GUESSED}.get(way)


def _matches(ranking: Ranking) -> Numbers:
    known = ranking.features
    if "tokens" in known:
        return known["tokens"]
    # A guess tells less: answers and finds by chance lie nearer to each other, and are drawn apart.
    return _USUAL_MATCH + _GUESS_DRAWN * (guess(known["bm25"], known["meaning"]) - _USUAL_GUESS)
