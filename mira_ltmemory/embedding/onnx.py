"""Sentence embeddings by ONNX Runtime from a local sentence-transformers folder; nothing is downloaded."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Container, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mira_ltmemory.embedding.folder import check_dimension, check_readable, model_name, pools_by_first_token, sha256
from mira_ltmemory.embedding.runtime import Runtime, foreign_errors, shared_runtime
from mira_ltmemory.embedding.tokens import make_space, read_space, told
from mira_ltmemory.errors import EmbeddingError
from mira_ltmemory.protocols import EmbeddingModel, TokenSpace, TokenVectors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mira_ltmemory.protocols import Vectors

    # Which tokens of a text are wanted, and their words; given the text and where its tokens begin and end.
    _Choose = Callable[[str, Sequence[tuple[int, int]]], tuple[list[int], list[str]]]

_T = TypeVar("_T")

_BATCH_TOKENS = 256
"""Tokens of one run at most: what the model's widest layer makes of them stays near the processor."""

_CHUNK = 512
"""Texts that are tokenised at once."""

_CHARS_PER_TOKEN = 16
"""Characters kept for each token before tokenising: a token of more would be a rare long word."""


@dataclass(slots=True, eq=False)
class _Batch:
    """Texts of a call that are run together.

    ``places`` are the chosen tokens among all of the batch, one text after the other, and ``words`` theirs by text.
    """

    indexes: list[int] = field(default_factory=list)
    tokens: list[list[int]] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    words: list[tuple[str, ...]] = field(default_factory=list)

    def add(self, index: int, tokens: list[int], chosen: tuple[list[int], list[str]] | None) -> None:
        """Add a text, as long as those that are there."""
        if chosen is not None:
            begin = len(tokens) * len(self.indexes)
            self.places += [begin + place for place in chosen[0]]
            self.words.append(tuple(chosen[1]))
        self.indexes.append(index)
        self.tokens.append(tokens)


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
        import numpy as np

        result = np.zeros((len(texts), self.model.dimension), dtype=np.float32)
        for batch, vectors in self._run(texts, None, lambda batch, states: self._pool(states)):
            result[batch.indexes] = vectors
        return result

    def embed_tokens(
        self, texts: Sequence[str], space: TokenSpace, skip: Container[str] = ()
    ) -> tuple[Vectors, list[TokenVectors]]:
        """Return what ``embed`` does, and the vectors of each text's words. Raises ``EmbeddingError``."""
        import numpy as np

        def finish(batch: _Batch, states: NDArray[np.float32]) -> tuple[Vectors, NDArray[np.int8]]:
            pooled = self._pool(states)
            return pooled, self._runtime().project(states.reshape(-1, states.shape[-1]), batch.places, space)

        result = np.zeros((len(texts), self.model.dimension), dtype=np.float32)
        tokens: dict[int, TokenVectors] = {}
        for batch, (vectors, projected) in self._run(texts, partial(told, skip=skip), finish):
            result[batch.indexes] = vectors
            end = 0
            for index, words in zip(batch.indexes, batch.words, strict=True):
                begin, end = end, end + len(words)
                tokens[index] = TokenVectors(words, projected[begin:end])
        return result, [tokens[index] for index in range(len(texts))]

    def token_space(self) -> TokenSpace:
        """The space that the model's folder brings along, or one made now (some seconds). Raises ``EmbeddingError``."""
        import numpy as np

        known = read_space(self._model_path.parent, self.model.dimension)
        if known is not None:
            return known

        def every(text: str, offsets: Sequence[tuple[int, int]]) -> tuple[list[int], list[str]]:
            return [place for place, (begin, end) in enumerate(offsets) if begin < end], []

        def states_of(samples: list[str]) -> NDArray[np.float32]:
            ran = self._run(samples, every, lambda batch, states: states.reshape(-1, states.shape[-1])[batch.places])
            return np.concatenate([states for _, states in ran])

        runtime = self._runtime()
        with foreign_errors("make a token space"):
            return make_space(runtime.tokenizer.get_vocab(), states_of)

    def _run(
        self, texts: Sequence[str], choose: _Choose | None, finish: Callable[[_Batch, NDArray[np.float32]], _T]
    ) -> Iterator[tuple[_Batch, _T]]:
        """Run all texts in batches; what ``finish`` makes of a batch's hidden states, in the thread that ran it."""
        if not texts:
            return
        runtime = self._runtime()
        cut = [text[: self.model.max_tokens * _CHARS_PER_TOKEN] for text in texts]

        def work(batch: _Batch) -> _T:
            return finish(batch, runtime.run(batch.tokens))

        with foreign_errors("embed a text"):
            batches = self._batches(runtime, cut, choose)
            if len(texts) == 1:
                [batch] = batches
                yield batch, work(batch)
                return
            # While batches run, the next are tokenised here, and what came out of earlier ones is taken.
            running: deque[tuple[_Batch, Future[_T]]] = deque()
            for batch in batches:
                running.append((batch, runtime.submit(partial(work, batch))))
                if len(running) > 2 * runtime.threads:
                    done, made = running.popleft()
                    yield done, made.result()
            for done, made in running:
                yield done, made.result()

    def _batches(self, runtime: Runtime, texts: Sequence[str], choose: _Choose | None) -> Iterator[_Batch]:
        """Texts with the same number of tokens together, at most ``batch_size`` and `_BATCH_TOKENS` at once.

        So nothing is padded: no work is lost, and no vector depends on what was embedded beside it.
        """
        by_length = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        groups: dict[int, _Batch] = {}
        for begin in range(0, len(texts), _CHUNK):
            chunk = by_length[begin : begin + _CHUNK]
            encodings = runtime.encode([texts[i] for i in chunk], offsets=choose is not None)
            for index, encoded in zip(chunk, encodings, strict=True):
                length = len(encoded.ids)
                group = groups.setdefault(length, _Batch())
                chosen = None if choose is None else choose(texts[index], encoded.offsets)
                group.add(index, encoded.ids, chosen)
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
