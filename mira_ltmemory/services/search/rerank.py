"""Puts the best candidates in the order that a cross-encoder gives them, if it is there in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mira_ltmemory.errors import EmbeddingError
from mira_ltmemory.protocols import Hit, Reranker
from mira_ltmemory.services.problems import Problems

PROBLEM = "re-ranking"
TOO_LATE = "The re-ranker did not finish in time: the first ranking stands."

_QUERY_CHARS = 400


class Reranking:
    """Re-ranks the first ``number`` hits within ``seconds``; where that fails, the first ranking stands."""

    def __init__(self, reranker: Reranker, problems: Problems, *, number: int, seconds: float) -> None:
        self._reranker = reranker
        self._problems = problems
        self._number = number
        self._seconds = seconds

    @property
    def number(self) -> int:
        """How many hits are re-ranked at most."""
        return self._number

    def apply(self, query: str, hits: Sequence[Hit]) -> tuple[tuple[Hit, ...], tuple[str, ...]]:
        """The hits in their new order, and what the reader has to know. Holds no connection.

        The scores stay where they are: the best hit has the best score, and ``rerank`` among its features.
        """
        first, rest = hits[: self._number], hits[self._number :]
        if len(first) < 2:
            return tuple(hits), ()
        try:
            scores = self._reranker.score(query[:_QUERY_CHARS], [hit.content for hit in first], self._seconds)
        except EmbeddingError as error:
            self._problems.set(PROBLEM, f"off: {error}")
            return tuple(hits), ()
        self._problems.clear(PROBLEM)
        if scores is None:
            return tuple(hits), (TOO_LATE,)
        order = sorted(range(len(first)), key=lambda place: (-scores[place], place))
        ranked = [
            replace(
                first[place],
                score=first[rank].score,
                probability=first[rank].probability,
                features={**first[place].features, "rerank": scores[place]},
            )
            for rank, place in enumerate(order)
        ]
        return (*ranked, *rest), ()
