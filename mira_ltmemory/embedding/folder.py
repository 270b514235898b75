"""What a model's folder says of the model: its name, dimension, hash and way of pooling. Nothing heavy is loaded."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from mira_ltmemory.errors import EmbeddingError


def model_name(model_path: Path) -> str:
    """The name that the folder's manifest or config gives the model, else the folder's own."""
    for file, key in (("manifest.json", "model"), ("config.json", "_name_or_path")):
        name = _json(model_path.parent / file).get(key)
        if isinstance(name, str) and name:
            return name
    return model_path.parent.name


def check_dimension(model_path: Path, dimension: int) -> None:
    """Raise ``EmbeddingError`` where the model is missing, or its folder says that it is of another dimension."""
    if not model_path.is_file():
        raise EmbeddingError(
            f"The model file {model_path} is missing. Reinstall the package, or set onnx_model_path to a "
            "sentence-transformers model in ONNX form."
        )
    hidden = hidden_size(model_path)
    if hidden is not None and hidden != dimension:
        raise EmbeddingError(
            f"The model {model_path} makes vectors of {hidden} dimensions, but embedding_dim is {dimension}: "
            f"set it to {hidden}."
        )


def hidden_size(model_path: Path) -> int | None:
    """The dimension that the model's folder, or the one above it, tells; none where neither does."""
    for folder in (model_path.parent, model_path.parent.parent):
        hidden = _json(folder / "config.json").get("hidden_size")
        if isinstance(hidden, int):
            return hidden
    return None


def pools_by_first_token(model_path: Path) -> bool:
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


def check_readable(path: Path) -> None:
    """Raise ``EmbeddingError`` where a file cannot be read."""
    try:
        path.open("rb").close()
    except OSError as error:
        raise EmbeddingError(f"The model file {path} cannot be read: {error}") from error


def sha256(path: Path) -> str:
    """Hash of a file. Raises ``EmbeddingError`` where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise EmbeddingError(f"The model file {path} cannot be read: {error}") from error


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
