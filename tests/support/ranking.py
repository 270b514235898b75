"""Candidates made by hand, to explain one feature each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from mira_ltmemory.store.postings import Corpus
from mira_ltmemory.store.search import Candidate, Candidates

START = datetime(2025, 1, 1, 12, tzinfo=UTC)


def candidate(content: str = "well", *, speaker: str | None = None, role: str | None = None, hours: float = 0.0,
              conversation: str | None = "talk") -> Candidate:  # fmt: skip
    return Candidate(
        "id", content, START + timedelta(hours=hours), "user", True, role=role, speaker=speaker,
        conversation_id=conversation,
    )  # fmt: skip


def candidates(*rows: Candidate, counts: list[list[float]] | None = None, cosine: list[float] | None = None,
               linked: bool = True) -> Candidates:  # fmt: skip
    """Candidates that follow each other in one conversation; ``counts`` of words of a corpus of 100 documents."""
    n = len(rows)
    held = np.array(counts if counts is not None else [[0.0]] * n, dtype=np.float64)
    held = held.reshape(n, -1) if n else np.zeros((0, 1))
    corpus = Corpus(100, 1_000, dict.fromkeys(range(held.shape[1]), 5))
    return Candidates(
        rows=list(rows), words=["w"] * held.shape[1], corpus=corpus, idf=corpus.idf(range(held.shape[1])),
        cosine=np.array(cosine if cosine is not None else [np.nan] * n, dtype=np.float64), counts=held,
        lengths=np.array([len(row.excerpt.split()) for row in rows], dtype=np.float64),
        previous=np.arange(n) - 1 if linked else np.full(n, -1),
        next=np.array([*range(1, n), -1])[:n] if linked else np.full(n, -1),
        first=np.array([linked and place == 0 for place in range(n)], dtype=bool), total=n, exact=True,
    )  # fmt: skip
