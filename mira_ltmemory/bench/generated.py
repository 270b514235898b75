"""Generated memories: texts whose words are as frequent as words are, and vectors that lie in clusters.

A passage belongs to a topic, and that to a subject: it takes a third of its words from the topic and much of its
vector from both. How near the vectors are to each other and to questions, and in how many directions they spread, is
about what sentences of real conversations show: 20,000 of each are about as hard to search. Words come from the shipped
tokenizer's vocabulary, which is in the order of their frequency, and are drawn by Zipf's law, so that some are in every
second text and most in hardly any. The same seed gives the same rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import numpy as np

from mira_ltmemory.store.analysis import STOP_WORDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mira_ltmemory.protocols import Vectors

CHUNK = 20_000
"""Rows that are made at once."""

SHARES = {"half": 0.5, "tenth": 0.1, "hundredth": 0.01, "thousandth": 0.001}
"""Tags, and the share of the rows that bear each."""

_WORDS = 60_000
_TOPIC_WORDS = 40
_TOPIC_SHARE = 0.35
_FREQUENT = 150
_MEAN_WORDS, _MOST_WORDS = 22, 200
_COMMON, _SUBJECT, _OWN, _NEAR = 0.4, 0.9, 0.7, 1.0
_ROWS_OF_A_TOPIC, _TOPICS_OF_A_SUBJECT = 25, 30
_STEEPNESS = 0.5
_TOPICAL = 20_000


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows of one user: ids, texts, topics, tags, and unit vectors of shape ``(n, dimension)``."""

    ids: list[UUID]
    texts: list[str]
    tags: list[list[str]]
    vectors: Vectors


@dataclass(frozen=True, slots=True)
class Question:
    """A query and the vector that stands for it: near that of a row, and holding some of its words."""

    text: str
    vector: Vectors


@dataclass(frozen=True)
class Generator:
    """Makes the rows of users and questions about them. ``rows`` is the size of the greatest user."""

    rows: int
    dimension: int
    seed: int = 0
    words: list[str] = field(default_factory=lambda: vocabulary(_WORDS))

    @property
    def topics(self) -> int:
        """How many topics there are: many small ones and some large ones."""
        return max(20, self.rows // _ROWS_OF_A_TOPIC)

    @cached_property
    def _centres(self) -> Vectors:
        rng = np.random.default_rng([self.seed, 2])
        common = _unit(rng.standard_normal(self.dimension, dtype=np.float32))
        number = max(5, self.topics // _TOPICS_OF_A_SUBJECT)
        subjects = _unit(self._spread(rng, number))[_unequal(rng, self.topics, number)]
        return _unit(_unit(_SUBJECT * subjects + _unit(self._spread(rng, self.topics))) + _COMMON * common)

    @cached_property
    def _topic_words(self) -> NDArray[np.int64]:
        """Any words but the most frequent, those in front much more often than others."""
        rng = np.random.default_rng([self.seed, 3])
        return rng.integers(_FREQUENT, _TOPICAL, (self.topics, _TOPIC_WORDS))

    @cached_property
    def _frequencies(self) -> NDArray[np.float64]:
        return np.cumsum(1.0 / (np.arange(1, len(self.words) + 1) + 2.7) ** 1.05)

    def chunks(self, user: int, size: int) -> Iterator[Chunk]:
        """The ``size`` rows of a user, by number, a chunk at a time."""
        for number, start in enumerate(range(0, size, CHUNK)):
            yield self._chunk(user, number, min(CHUNK, size - start))

    def questions(self, user: int, size: int, count: int) -> list[Question]:
        """Questions about rows of a user who has ``size``; each takes three words of its row and one frequent word."""
        rng = np.random.default_rng([self.seed, user, 1_000_003])
        first = self._chunk(user, 0, min(CHUNK, size))
        made = []
        for row in rng.integers(0, len(first.ids), count):
            own = [word for word in dict.fromkeys(first.texts[row].split()) if word not in STOP_WORDS]
            told = rng.permutation(own)[:3].tolist() or ["nothing"]
            frequent = self.words[int(rng.integers(20, _FREQUENT))]
            vector = _unit(first.vectors[row] + _NEAR * _unit(self._spread(rng, 1))[0])
            made.append(Question(f"what did we say about {' '.join(told)} and {frequent}", vector))
        return made

    def _chunk(self, user: int, number: int, count: int) -> Chunk:
        rng = np.random.default_rng([self.seed, user, number])
        topics = _unequal(rng, count, self.topics)
        raw = rng.integers(0, 256, (count, 16), dtype=np.uint8)
        raw[:, 6], raw[:, 8] = raw[:, 6] & 0x0F | 0x40, raw[:, 8] & 0x3F | 0x80
        marked = {tag: rng.random(count) < share for tag, share in SHARES.items()}
        tags = [[tag for tag, found in marked.items() if found[row]] for row in range(count)]
        vectors = _unit(self._centres[topics] + _OWN * _unit(self._spread(rng, count)))
        return Chunk([UUID(bytes=bytes(row)) for row in raw], self._texts(rng, topics), tags, vectors)

    def _texts(self, rng: np.random.Generator, topics: NDArray[np.int64]) -> list[str]:
        lengths = np.clip(rng.lognormal(np.log(_MEAN_WORDS) - 0.2, 0.65, len(topics)), 3, _MOST_WORDS).astype(np.int64)
        drawn = np.searchsorted(self._frequencies, rng.random(int(lengths.sum())) * self._frequencies[-1])
        place = (_TOPIC_WORDS * rng.random(len(drawn)) ** 2).astype(np.int64)
        of_topic = self._topic_words[np.repeat(topics, lengths), place]
        chosen = np.where(rng.random(len(drawn)) < _TOPIC_SHARE, of_topic, drawn)
        words = np.array(self.words, dtype=object)[chosen].tolist()
        ends = np.cumsum(lengths).tolist()
        return [" ".join(words[start:end]) for start, end in zip([0, *ends], ends, strict=False)]

    def _spread(self, rng: np.random.Generator, count: int) -> Vectors:
        """Random vectors, wide in a few directions and narrow in most."""
        widths = (np.arange(self.dimension, dtype=np.float32) + 5) ** -_STEEPNESS
        order = np.random.default_rng(int(100 * _STEEPNESS)).permutation(self.dimension)
        return np.asarray(rng.standard_normal((count, self.dimension), dtype=np.float32) * widths[order])


def _unequal(rng: np.random.Generator, count: int, parts: int) -> NDArray[np.int64]:
    """Numbers of parts, the first drawn more often than the last."""
    return np.minimum((parts * rng.random(count) ** 1.5).astype(np.int64), parts - 1)


def sizes(rows: int, users: int) -> list[int]:
    """Rows of each user, the greatest first; the others share a fifth as many by Zipf's law, at least 8 each."""
    if users <= 1:
        return [rows]
    weights = 1.0 / np.arange(1, users)
    others = np.maximum(8, (rows / 5 * weights / weights.sum()).astype(np.int64))
    return [rows, *map(int, others)]


def vocabulary(count: int) -> list[str]:
    """English words by frequency, and behind them pairs of such words, which stand for all that is rare."""
    path = Path(__file__).parents[1] / "onnx" / "vocab.txt"
    known = [
        word for word in path.read_text("utf-8").split("\n") if len(word) > 1 and word.isascii() and word.isalpha()
    ]
    rng = np.random.default_rng(count)
    pairs = rng.integers(1_000, len(known), (max(0, count - len(known)), 2))
    return [*known, *(known[a] + known[b] for a, b in pairs)][:count]


def _unit(vectors: Vectors) -> Vectors:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), dtype=np.float32)
