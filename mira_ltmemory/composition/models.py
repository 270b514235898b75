"""Opens embedding models: the one that the settings name, and others by their files."""

from __future__ import annotations

from pathlib import Path

from mira_ltmemory.config import MemoryConfig
from mira_ltmemory.embedding.folder import hidden_size
from mira_ltmemory.embedding.onnx import OnnxEmbedder
from mira_ltmemory.store.embedding_models import UserModel


def open_embedder(settings: MemoryConfig) -> OnnxEmbedder:
    """The model that the settings name. Raises ``EmbeddingError`` where it cannot be used."""
    model_path = settings.onnx_model_path or Path(__file__).parents[1] / "onnx" / "model.onnx"
    tokenizer = settings.onnx_tokenizer or model_path.parent
    return open_files(settings, model_path, tokenizer, settings.embedding_dim, settings.embedding_max_tokens)


def open_known(settings: MemoryConfig, known: UserModel) -> OnnxEmbedder:
    """A model that vectors are stored of, by its files. Raises ``EmbeddingError``."""
    path = Path(known.path or "")
    tokenizer = Path(known.tokenizer) if known.tokenizer else path.parent
    return open_files(settings, path, tokenizer, known.model.dimension, known.model.max_tokens)


def open_path(settings: MemoryConfig, path: Path, tokenizer: Path | None, dimension: int | None) -> OnnxEmbedder:
    """A model by its file or folder; its dimension is that which its folder says. Raises ``EmbeddingError``."""
    if path.is_dir():
        path = next((each for each in (path / "model.onnx", path / "onnx" / "model.onnx") if each.is_file()), path)
    folders = (tokenizer,) if tokenizer else (path.parent, path.parent.parent)
    found = next((each for each in folders if (each / "tokenizer.json").is_file()), folders[0])
    wide = dimension or hidden_size(path) or settings.embedding_dim
    return open_files(settings, path, found, wide, settings.embedding_max_tokens)


def open_files(
    settings: MemoryConfig, model_path: Path, tokenizer: Path, dimension: int, max_tokens: int
) -> OnnxEmbedder:
    """A model by its files. Raises ``EmbeddingError``."""
    return OnnxEmbedder(
        model_path,
        tokenizer,
        dimension=dimension,
        max_tokens=max_tokens,
        batch_size=settings.embedding_batch_size,
        threads=settings.embedding_threads,
    )
