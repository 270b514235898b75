"""Small real classes that tests give to constructors."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from mira_ltmemory.protocols import EmbeddingModel, Json, LLMReply

if TYPE_CHECKING:
    from mira_ltmemory.protocols import Vectors


class FixedClock:
    """A clock that stands until a test moves it."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment

    def advance(self, **duration: float) -> datetime:
        self.moment += timedelta(**duration)
        return self.moment


class WordEmbedder:
    """An embedding model without weights: texts that share words are near each other. Safe to use after a fork."""

    model = EmbeddingModel(name="words", dimension=384, sha256="0" * 64, max_tokens=10_000)

    def embed(self, texts: Sequence[str]) -> Vectors:
        vectors = np.full((len(texts), self.model.dimension), 1e-3, dtype=np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().split():
                vectors[row, zlib.crc32(word.encode()) % self.model.dimension] += 1.0
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


class ListedLLM:
    """A language model that answers from a list, texts and errors in turn; then with ``default``, if there is one."""

    name = "listed"

    def __init__(self, steps: Sequence[str | Exception | LLMReply] = (), default: str | None = None) -> None:
        self.steps = list(steps)
        self.default = default
        self.requests: list[tuple[list[Json], str | None]] = []

    def complete(
        self,
        messages: Sequence[Json],
        *,
        system: str | None = None,
        tools: Sequence[Json] = (),
        max_tokens: int = 1024,
        temperature: float = 0.0,
    ) -> LLMReply:
        self.requests.append((list(messages), system))
        step = self.steps.pop(0) if self.steps else self.default
        assert step is not None, "no answer is left for this request"
        if isinstance(step, Exception):
            raise step
        return LLMReply(step, input_tokens=100, output_tokens=10) if isinstance(step, str) else step
