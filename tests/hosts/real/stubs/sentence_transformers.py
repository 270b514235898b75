"""Stands in for the package of that name, which MIRA loads to sort messages by tool: words hashed to a vector."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np


class SentenceTransformer:
    def __init__(self, name: str, **_: Any) -> None:
        self.name = name

    def encode(self, sentences: Any, **_: Any) -> Any:
        if isinstance(sentences, str):
            return self._vector(sentences)
        return np.array([self._vector(one) for one in sentences])

    def _vector(self, text: str) -> Any:
        vector = np.full(384, 1e-6, dtype=np.float32)
        for word in text.lower().split():
            vector[zlib.crc32(word.encode()) % 384] += 1
        return vector / np.linalg.norm(vector)
