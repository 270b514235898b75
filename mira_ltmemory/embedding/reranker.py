"""A cross-encoder by ONNX Runtime: query and text are read together, which tells more and costs a run for each text."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mira_ltmemory.embedding.runtime import foreign_errors, load_onnxruntime, load_session, load_tokenizer
from mira_ltmemory.errors import EmbeddingError

_BATCH = 4
_CHARS_PER_TOKEN = 16


class OnnxReranker:
    """A cross-encoder of a local folder; nothing is downloaded. Thread-safe. The model is loaded at the first use.

    Its output is ``(texts, 1)``, the relevance, or ``(texts, 2)``, where the second less the first is. Raises
    ``EmbeddingError`` at once where the file is missing.
    """

    def __init__(self, model_path: Path, tokenizer_path: Path | None = None, *, max_tokens: int = 256) -> None:
        if not model_path.is_file():
            raise EmbeddingError(f"The re-ranker's model file {model_path} is missing; set reranker_path to one.")
        self._model_path = model_path
        self._tokenizer_path = tokenizer_path or model_path.parent
        self._max_tokens = max_tokens
        self._lock = threading.Lock()
        self._loaded: tuple[Any, Any] | None = None

    def load(self) -> None:
        """Load the model now, so that no query pays for it. Raises ``EmbeddingError``."""
        self._load()

    def score(self, query: str, texts: Sequence[str], seconds: float) -> list[float] | None:
        """How relevant each text is, higher is better; none where ``seconds`` did not suffice.

        A run that takes too long is stopped in the middle. Loading the model is not counted. Raises
        ``EmbeddingError``.
        """
        session, tokenizer = self._load()
        until = time.monotonic() + seconds
        scores: list[float] = []
        pairs = [(query, text[: self._max_tokens * _CHARS_PER_TOKEN]) for text in texts]
        for start in range(0, len(pairs), _BATCH):
            left = until - time.monotonic()
            found = self._run(session, tokenizer, pairs[start : start + _BATCH], left) if left > 0 else None
            if found is None:
                return None
            scores += found
        return scores

    def _run(self, session: Any, tokenizer: Any, pairs: list[tuple[str, str]], seconds: float) -> list[float] | None:
        import numpy as np

        options = load_onnxruntime().RunOptions()

        def stop() -> None:
            options.terminate = True

        late = threading.Timer(seconds, stop)
        with foreign_errors("re-rank texts"):
            encoded = tokenizer.encode_batch(pairs)
            every = {
                "input_ids": np.array([each.ids for each in encoded], dtype=np.int64),
                "attention_mask": np.array([each.attention_mask for each in encoded], dtype=np.int64),
                "token_type_ids": np.array([each.type_ids for each in encoded], dtype=np.int64),
            }
            late.start()
            try:
                output = np.asarray(
                    session.run(None, {item.name: every[item.name] for item in session.get_inputs()}, options)[0]
                )
            except Exception:
                if options.terminate:
                    return None
                raise
            finally:
                late.cancel()
            if output.shape == (len(pairs), 2):
                return [float(value) for value in output[:, 1] - output[:, 0]]
            if output.shape not in ((len(pairs), 1), (len(pairs),)):
                raise EmbeddingError(
                    f"The re-ranker {self._model_path} gives {output.shape[1:]} numbers a text, not 1 or 2: "
                    "it is no cross-encoder."
                )
            return [float(value) for value in output.reshape(-1)]

    def _load(self) -> tuple[Any, Any]:
        with self._lock:
            if self._loaded is None:
                tokenizer = load_tokenizer(self._tokenizer_path, self._max_tokens)
                # The query is kept whole, and the text is cut.
                tokenizer.enable_truncation(self._max_tokens, strategy="only_second")
                tokenizer.enable_padding()
                self._loaded = (load_session(self._model_path), tokenizer)
            return self._loaded
