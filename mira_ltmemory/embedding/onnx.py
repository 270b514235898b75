"""Sentence embeddings by ONNX Runtime from a local sentence-transformers folder; nothing is downloaded."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Container, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from mira_ltmemory.embedding.folder import check_dimension, check_readable, model_name, pools_by_first_token, sha256
from mira_ltmemory.embedding.runtime import Runtime, foreign_errors, shared_runtime
from mira_ltmemory.embedding.tokens import make_space, project, read_space, told
from mira_ltmemory.errors import EmbeddingError
from mira_ltmemory.protocols import EmbeddingModel, TokenSpace, TokenVectors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mira_ltmemory.protocols import Vectors

    # Called with a text's index, itself, its tokens' offsets and its hidden states, padded.
    _Keep = Callable[[int, str, Sequence[tuple[int, int]], NDArray[np.float32]], None]

_BATCH_TOKENS = 1024
"""Tokens of one run at most: what the model's widest layer makes of them stays near the processor."""

_CHUNK = 512
"""Texts that are tokenised at once."""

_CHARS_PER_TOKEN = 16
"""Characters kept for each token before tokenising: a token of more would be a rare long word."""


@dataclass(slots=True, eq=False)
class _Batch:
    """Texts of a call that are run together, and where each of their tokens begins and ends."""

    indexes: list[int] = field(default_factory=list)
    tokens: list[list[int]] = field(default_factory=list)
    offsets: list[list[tuple[int, int]]] = field(default_factory=list)


class OnnxEmbedder:
    """Pooled, normalised embeddings of a sentence-transformers model in ONNX form. Thread-safe.

    Pooled by mean, or by the first token where the model's ``1_Pooling/config.json`` says so.

    ``max_tokens`` is where a text is cut, ``batch_size`` the texts of one run at most, ``threads`` how many
    run at once (0: half the machine's processors, at least one). It keeps no text: users may share it, and all
    embedders of the same files share one session.
    Raises ``EmbeddingError`` at once where files are missing or of another dimension; the session itself
    is made when the first text is embedded.
    """

    def __init__(
        self,
        model_path: Path,
        tokenizer_path: Path,
        *,
        dimension: int = 384,
        max_tokens: int = 256,
        batch_size: int = 32,
        threads: int = 0,
    ) -> None:
        self._model_path = model_path
        self._tokenizer_path = tokenizer_path
        self._batch_size = batch_size
        check_dimension(model_path, dimension)
        self._by_first_token = pools_by_first_token(model_path)
        check_readable(model_path)
        self._shape = (dimension, max_tokens)
        self._runtime = shared_runtime(
            model_path,
            lambda: self.model.sha256,
            tokenizer_path,
            max_tokens,
            threads or max(1, (os.cpu_count() or 2) // 2),
        )

    @cached_property
    def model(self) -> EmbeddingModel:
        """Identity of the model: folder name, dimension, hash of the file, tokens. Raises ``EmbeddingError``.

        The whole file is read for the hash, so not before it is asked for: a host that starts waits for nothing.
        """
        dimension, max_tokens = self._shape
        return EmbeddingModel(model_name(self._model_path), dimension, sha256(self._model_path), max_tokens)

    @property
    def files(self) -> tuple[str, str, str]:
        """The model's file, the tokenizer's folder, and a stamp that changes with the file. Raises ``OSError``."""
        path = self._model_path.absolute()
        found = path.stat()
        return str(path), str(self._tokenizer_path.absolute()), f"{found.st_size}:{found.st_mtime_ns}"

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return float32 of shape ``(len(texts), dimension)``, rows of length 1. Raises ``EmbeddingError``."""
        return self._embed(texts, None)

    def embed_tokens(
        self, texts: Sequence[str], space: TokenSpace, skip: Container[str] = ()
    ) -> tuple[Vectors, list[TokenVectors]]:
        """Return what ``embed`` does, and the vectors of each text's words. Raises ``EmbeddingError``."""
        tokens: dict[int, TokenVectors] = {}

        def keep(index: int, text: str, offsets: Sequence[tuple[int, int]], states: NDArray[np.float32]) -> None:
            places, words = told(text, offsets, skip)
            tokens[index] = TokenVectors(tuple(words), project(states[places], space))

        vectors = self._embed(texts, keep)
        return vectors, [tokens[index] for index in range(len(texts))]

    def token_space(self) -> TokenSpace:
        """The space that the model's folder brings along, or one made now (some seconds). Raises ``EmbeddingError``."""
        import numpy as np

        known = read_space(self._model_path.parent, self.model.dimension)
        if known is not None:
            return known
        parts: list[NDArray[np.float32]] = []

        def keep(index: int, text: str, offsets: Sequence[tuple[int, int]], states: NDArray[np.float32]) -> None:
            parts.append(states[[place for place, (begin, end) in enumerate(offsets) if begin < end]])

        def states_of(samples: list[str]) -> NDArray[np.float32]:
            self._embed(samples, keep)
            return np.concatenate(parts)

        runtime = self._runtime()
        with foreign_errors("make a token space"):
            return make_space(runtime.tokenizer.get_vocab(), states_of)

    def _embed(self, texts: Sequence[str], keep: _Keep | None) -> Vectors:
        import numpy as np

        result = np.zeros((len(texts), self.model.dimension), dtype=np.float32)
        if not texts:
            return result
        runtime = self._runtime()
        cut = [text[: self.model.max_tokens * _CHARS_PER_TOKEN] for text in texts]

        def take(batch: _Batch, states: NDArray[np.float32]) -> None:
            result[batch.indexes] = self._pool(states)
            for row, index in enumerate(batch.indexes if keep is not None else ()):
                keep(index, cut[index], batch.offsets[row], states[row])  # type: ignore[misc]

        with foreign_errors("embed a text"):
            batches = self._batches(runtime, cut, offsets=keep is not None)
            if len(texts) == 1:
                [batch] = batches
                take(batch, runtime.run(batch.tokens))
                return result
            # While batches run, the next are tokenised here, and what came out of earlier ones is taken.
            running: deque[tuple[_Batch, Future[NDArray[np.float32]]]] = deque()
            for batch in batches:
                running.append((batch, runtime.submit(batch.tokens)))
                if len(running) > 2 * runtime.threads:
                    done, states = running.popleft()
                    take(done, states.result())
            for done, states in running:
                take(done, states.result())
        return result

    def _batches(self, runtime: Runtime, texts: Sequence[str], *, offsets: bool) -> Iterator[_Batch]:
        """Texts with the same number of tokens together, at most ``batch_size`` and `_BATCH_TOKENS` at once.

        So nothing is padded: no work is lost, and no vector depends on what was embedded beside it.
        """
        by_length = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        groups: dict[int, _Batch] = {}
        for begin in range(0, len(texts), _CHUNK):
            chunk = by_length[begin : begin + _CHUNK]
            for index, encoded in zip(chunk, runtime.encode([texts[i] for i in chunk], offsets=offsets), strict=True):
                length = len(encoded.ids)
                group = groups.setdefault(length, _Batch())
                group.indexes.append(index)
                group.tokens.append(encoded.ids)
                if offsets:
                    group.offsets.append(encoded.offsets)
                if len(group.indexes) == self._batch_size or (len(group.indexes) + 1) * length > _BATCH_TOKENS:
                    yield groups.pop(length)
        # The longest first: the threads then end at about the same time.
        for length in sorted(groups, reverse=True):
            yield groups[length]

    def _pool(self, states: NDArray[np.float32]) -> Vectors:
        import numpy as np

        if states.shape[-1] != self.model.dimension:
            raise EmbeddingError(
                f"The model {self._model_path} makes vectors of {states.shape[-1]} dimensions, but embedding_dim is "
                f"{self.model.dimension}: set it to {states.shape[-1]}. Nothing was stored."
            )
        pooled = states[:, 0] if self._by_first_token else states.mean(axis=1)
        norms = np.linalg.norm(pooled, axis=1, keepdims=True)
        return np.asarray(pooled / np.maximum(norms, 1e-12), dtype=np.float32)
