"""Sentence embeddings by ONNX Runtime from a local sentence-transformers folder; nothing is downloaded."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mira_ltmemory.embedding.tokens import make_space, project, read_space, told
from mira_ltmemory.errors import EmbeddingError
from mira_ltmemory.protocols import EmbeddingModel, TokenSpace, TokenVectors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mira_ltmemory.protocols import Vectors

    # Called with a text's index, itself, its tokens' offsets and its hidden states, padded.
    _Keep = Callable[[int, str, Sequence[tuple[int, int]], NDArray[np.float32]], None]

_BATCH_TOKENS = 4096
"""Padded tokens of one run at most: bounds the memory that long texts take."""

_CHARS_PER_TOKEN = 16
"""Characters kept for each token before tokenising: a token of more would be a rare long word."""


class OnnxEmbedder:
    """Pooled, normalised embeddings of a sentence-transformers model in ONNX form. Thread-safe.

    Pooled by mean, or by the first token where the model's ``1_Pooling/config.json`` says so.

    ``max_tokens`` is where a text is cut, ``batch_size`` the texts of one run at most, ``threads`` those of
    the session (0: half the machine's, at least one). It keeps no text: users may share it.
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
        self._threads = threads or max(1, (os.cpu_count() or 2) // 2)
        self._lock = threading.Lock()
        self._loaded: tuple[Any, Any] | None = None
        _check_dimension(model_path, dimension)
        self._by_first_token = _pools_by_first_token(model_path)
        self._model = EmbeddingModel(_model_name(model_path), dimension, _sha256(model_path), max_tokens)

    @property
    def model(self) -> EmbeddingModel:
        """Identity of the model: folder name, dimension, hash of the file, tokens."""
        return self._model

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

        known = read_space(self._model_path.parent, self._model.dimension)
        if known is not None:
            return known
        parts: list[NDArray[np.float32]] = []

        def keep(index: int, text: str, offsets: Sequence[tuple[int, int]], states: NDArray[np.float32]) -> None:
            parts.append(states[[place for place, (begin, end) in enumerate(offsets) if begin < end]])

        def states_of(samples: list[str]) -> NDArray[np.float32]:
            self._embed(samples, keep)
            return np.concatenate(parts)

        _, tokenizer = self._load()
        with _foreign_errors("make a token space"):
            return make_space(tokenizer.get_vocab(), states_of)

    def _embed(self, texts: Sequence[str], keep: _Keep | None) -> Vectors:
        import numpy as np

        session, tokenizer = self._load()
        result = np.zeros((len(texts), self._model.dimension), dtype=np.float32)
        if not texts:
            return result
        with _foreign_errors("embed a text"):
            cut = [text[: self._model.max_tokens * _CHARS_PER_TOKEN] for text in texts]
            encoded = tokenizer(
                cut, truncation=True, max_length=self._model.max_tokens, return_offsets_mapping=keep is not None
            )
            tokens: list[list[int]] = encoded["input_ids"]
            # Texts of like length together: padding is work, and the longest text of a batch sets it.
            by_length = sorted(range(len(texts)), key=lambda index: len(tokens[index]))
            for chosen in self._batches(by_length, tokens):
                result[chosen], states = self._run(session, [tokens[index] for index in chosen])
                for row, index in enumerate(chosen if keep is not None else ()):
                    keep(index, cut[index], encoded["offset_mapping"][index], states[row])  # type: ignore[misc]
        return result

    def _batches(self, by_length: Sequence[int], tokens: Sequence[Sequence[int]]) -> Iterator[list[int]]:
        """Cut the order into batches of at most ``batch_size`` texts and `_BATCH_TOKENS` padded tokens."""
        batch: list[int] = []
        for index in by_length:
            if batch and (len(batch) == self._batch_size or (len(batch) + 1) * len(tokens[index]) > _BATCH_TOKENS):
                yield batch
                batch = []
            batch.append(index)
        if batch:
            yield batch

    def _run(self, session: Any, tokens: Sequence[Sequence[int]]) -> tuple[Vectors, NDArray[np.float32]]:
        """Vectors of the texts, and their last hidden states: ``(texts, tokens, hidden)``, padded."""
        import numpy as np

        width = max(len(text) for text in tokens)
        ids = np.zeros((len(tokens), width), dtype=np.int64)
        mask = np.zeros((len(tokens), width), dtype=np.int64)
        for row, text in enumerate(tokens):
            ids[row, : len(text)] = text
            mask[row, : len(text)] = 1
        every = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        wanted = {item.name: every[item.name] for item in session.get_inputs()}
        states: NDArray[np.float32] = session.run(None, wanted)[0]
        if states.shape[-1] != self._model.dimension:
            raise EmbeddingError(
                f"The model {self._model_path} makes vectors of {states.shape[-1]} dimensions, but embedding_dim is "
                f"{self._model.dimension}: set it to {states.shape[-1]}. Nothing was stored."
            )
        if self._by_first_token:
            pooled = states[:, 0]
        else:
            weights = mask[:, :, None].astype(np.float32)
            pooled = (states * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1e-9)
        norms = np.linalg.norm(pooled, axis=1, keepdims=True)
        return np.asarray(pooled / np.maximum(norms, 1e-12), dtype=np.float32), states

    def _load(self) -> tuple[Any, Any]:
        with self._lock:
            if self._loaded is None:
                self._loaded = (self._load_session(), self._load_tokenizer())
            return self._loaded

    def _load_session(self) -> Any:
        with _foreign_errors(f"load the model {self._model_path}"):
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = self._threads
            options.inter_op_num_threads = 1
            options.log_severity_level = 3
            # Threads that spin between two texts would burn a home machine's processor.
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
            return onnxruntime.InferenceSession(str(self._model_path), options, providers=["CPUExecutionProvider"])

    def _load_tokenizer(self) -> Any:
        with _foreign_errors(f"load the tokenizer in {self._tokenizer_path}"):
            file = self._tokenizer_path / "tokenizer.json"
            if not file.is_file():
                raise EmbeddingError(f"The tokenizer file {file} is missing; set onnx_tokenizer to its folder.")
            tokenizer = _quietly_import_tokenizer()(tokenizer_file=str(file))
            tokenizer.model_max_length = self._model.max_tokens
            return tokenizer


def _quietly_import_tokenizer() -> Any:
    """Import the tokenizer's class without the advice to install a framework that is not needed here."""
    name = "TRANSFORMERS_NO_ADVISORY_WARNINGS"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        from transformers import PreTrainedTokenizerFast
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
    return PreTrainedTokenizerFast


@contextmanager
def _foreign_errors(doing: str) -> Iterator[None]:
    """Turn what onnxruntime and the tokenizer raise into ours."""
    try:
        yield
    except (EmbeddingError, MemoryError):
        raise
    except Exception as error:
        # onnxruntime's errors share no base class but Exception.
        raise EmbeddingError(f"Cannot {doing}: {type(error).__name__}: {error}") from error


def _model_name(model_path: Path) -> str:
    """The name that the folder's manifest or config gives the model, else the folder's own."""
    for file, key in (("manifest.json", "model"), ("config.json", "_name_or_path")):
        name = _json(model_path.parent / file).get(key)
        if isinstance(name, str) and name:
            return name
    return model_path.parent.name


def _check_dimension(model_path: Path, dimension: int) -> None:
    if not model_path.is_file():
        raise EmbeddingError(
            f"The model file {model_path} is missing. Reinstall the package, or set onnx_model_path to a "
            "sentence-transformers model in ONNX form."
        )
    hidden = _json(model_path.parent / "config.json").get("hidden_size")
    if isinstance(hidden, int) and hidden != dimension:
        raise EmbeddingError(
            f"The model {model_path} makes vectors of {hidden} dimensions, but embedding_dim is {dimension}: "
            f"set it to {hidden}."
        )


def _pools_by_first_token(model_path: Path) -> bool:
    """Read how the model pools; its folder is that of the file or, as exports lay it out, the one above."""
    for folder in (model_path.parent, model_path.parent.parent):
        modes = _json(folder / "1_Pooling" / "config.json")
        chosen = [name for name, on in modes.items() if name.startswith("pooling_mode_") and on is True]
        if chosen == ["pooling_mode_cls_token"]:
            return True
        if chosen and chosen != ["pooling_mode_mean_tokens"]:
            raise EmbeddingError(
                f"The model {model_path} pools by {', '.join(chosen)}; "
                "only the mean and the first token are known here."
            )
    return False


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise EmbeddingError(f"The model file {path} cannot be read: {error}") from error
