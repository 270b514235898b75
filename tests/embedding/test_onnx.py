"""The shipped model and its runtime."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mira_ltmemory
from mira_ltmemory.embedding.onnx import OnnxEmbedder
from mira_ltmemory.embedding.runtime import check_release, clips_sums
from mira_ltmemory.errors import EmbeddingError

FOLDER = Path(mira_ltmemory.__file__).parent / "onnx"


def test_vectors_are_those_of_the_published_fp32_model(embedder: OnnxEmbedder) -> None:
    reference = json.loads((FOLDER / "reference_vectors.json").read_text("utf-8"))
    texts, wanted = list(reference["vectors"]), np.array(list(reference["vectors"].values()))
    near = np.sum(embedder.embed(texts) * wanted, axis=1)
    sentences = texts.index("Yes, please!")  # from there on exclamations, code and other scripts, which reach farther
    assert near[:sentences].min() >= 0.995
    assert near.min() >= 0.99
    assert near.mean() >= 0.997


def test_the_model_file_is_the_one_that_the_manifest_names(embedder: OnnxEmbedder) -> None:
    text = (FOLDER / "manifest.json").read_text("utf-8")
    assert embedder.model.sha256 in text
    assert embedder.model.dimension == 384
    assert embedder.model.max_tokens == 256


@settings(max_examples=30)
@given(texts=st.lists(st.text(max_size=80), min_size=1, max_size=6))
def test_any_text_gives_a_unit_vector_that_does_not_depend_on_its_batch(
    embedder: OnnxEmbedder, texts: list[str]
) -> None:
    vectors = embedder.embed(texts)
    assert vectors.shape == (len(texts), 384)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    alone = np.vstack([embedder.embed([text]) for text in texts])
    assert np.sum(alone * vectors, axis=1).min() > 0.9999


def test_a_long_text_is_cut_and_many_texts_keep_their_order(embedder: OnnxEmbedder) -> None:
    texts = [f"number {number} " + "word " * (number * 7 % 400) for number in range(70)]
    together = embedder.embed(texts)
    for number in (0, 13, 69):
        assert float(together[number] @ embedder.embed([texts[number]])[0]) > 0.9999
    assert embedder.embed([]).shape == (0, 384)


def test_meaning_is_near(embedder: OnnxEmbedder) -> None:
    cat, kitten, tax = embedder.embed(["Her cat is asleep", "the kitten sleeps", "the tax return is due"])
    assert float(cat @ kitten) > float(cat @ tax) + 0.2


def test_threads_share_one_model(embedder: OnnxEmbedder) -> None:
    results: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: results.append(embedder.embed(["a", "b c", "d"]))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.allclose(result, results[0], atol=1e-5) for result in results)
    assert len(results) == 6


def test_a_vector_cannot_be_spoiled_by_its_reader(embedder: OnnxEmbedder) -> None:
    first = embedder.embed(["spoiled?"])
    kept = first.copy()
    first[:] = 0
    assert np.allclose(embedder.embed(["spoiled?"]), kept)


def test_what_is_missing_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(EmbeddingError, match="is missing"):
        OnnxEmbedder(tmp_path / "model.onnx", tmp_path)
    with pytest.raises(EmbeddingError, match="384 dimensions, but embedding_dim is 768: set it to 384"):
        OnnxEmbedder(FOLDER / "model.onnx", FOLDER, dimension=768)
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    broken = OnnxEmbedder(tmp_path / "model.onnx", FOLDER)
    with pytest.raises(EmbeddingError, match="Cannot load the model"):
        broken.embed(["text"])
    without_tokenizer = OnnxEmbedder(FOLDER / "model.onnx", tmp_path)
    with pytest.raises(EmbeddingError, match=r"tokenizer\.json is missing"):
        without_tokenizer.embed(["text"])


def test_importing_and_opening_loads_no_heavy_library() -> None:
    code = (
        "import sys; from pathlib import Path; from mira_ltmemory.embedding.onnx import OnnxEmbedder;"
        f"OnnxEmbedder(Path({str(FOLDER)!r}) / 'model.onnx', Path({str(FOLDER)!r}));"
        "print(sorted({'onnxruntime', 'transformers', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=FOLDER.parents[1]
    )
    assert done.stdout.strip() == "[]"


def test_loading_prints_nothing() -> None:
    code = (
        "from pathlib import Path; from mira_ltmemory.embedding.onnx import OnnxEmbedder;"
        f"OnnxEmbedder(Path({str(FOLDER)!r}) / 'model.onnx', Path({str(FOLDER)!r})).embed(['x'])"
    )
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=FOLDER.parents[1])
    assert (done.stdout, done.stderr) == ("", "")


def test_a_folder_of_another_model_is_pooled_as_it_says(tmp_path: Path, embedder: OnnxEmbedder) -> None:
    (tmp_path / "onnx").mkdir()
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "onnx" / "model.onnx").symlink_to(FOLDER / "model.onnx")
    (tmp_path / "tokenizer.json").symlink_to(FOLDER / "tokenizer.json")
    pooling = tmp_path / "1_Pooling" / "config.json"
    pooling.write_text('{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}')
    by_first = OnnxEmbedder(tmp_path / "onnx" / "model.onnx", tmp_path).embed(["Her cat is asleep"])
    pooling.write_text('{"pooling_mode_cls_token": false, "pooling_mode_mean_tokens": true}')
    by_mean = OnnxEmbedder(tmp_path / "onnx" / "model.onnx", tmp_path).embed(["Her cat is asleep"])
    shipped = embedder.embed(["Her cat is asleep"])
    assert float(by_mean[0] @ shipped[0]) > 0.9999
    assert float(by_first[0] @ shipped[0]) < 0.999
    assert np.isclose(np.linalg.norm(by_first), 1)
    pooling.write_text('{"pooling_mode_max_tokens": true}')
    with pytest.raises(EmbeddingError, match="pooling_mode_max_tokens"):
        OnnxEmbedder(tmp_path / "onnx" / "model.onnx", tmp_path)


def test_embedders_of_the_same_files_share_one_session(embedder: OnnxEmbedder) -> None:
    embedder.embed(["x"])
    again = OnnxEmbedder(FOLDER / "model.onnx", FOLDER)
    again.embed(["y"])
    assert again._runtime() is embedder._runtime()
    other = OnnxEmbedder(FOLDER / "model.onnx", FOLDER, max_tokens=8)
    assert other._runtime() is not embedder._runtime()
    long = "one two three four five six seven eight nine ten eleven"
    assert float(other.embed([long])[0] @ embedder.embed(["one two three four five six"])[0]) > 0.9999


def test_an_older_folder_without_tokenizer_json_is_read_by_transformers(tmp_path: Path, embedder: OnnxEmbedder) -> None:
    for name in ("vocab.txt", "tokenizer_config.json", "special_tokens_map.json", "config.json"):
        (tmp_path / name).symlink_to(FOLDER / name)
    older = OnnxEmbedder(FOLDER / "model.onnx", tmp_path)
    text = "Unbelievably, her cat is asleep"
    assert float(older.embed([text])[0] @ embedder.embed([text])[0]) > 0.9999


def test_a_text_has_the_same_vector_to_the_last_bit_whatever_is_beside_it(embedder: OnnxEmbedder) -> None:
    texts = [f"{who} {did}." for who in ("She", "Tom", "Nobody") for did in ("slept", "left", "sang", "won 3-1")]
    alone = np.vstack([embedder.embed([text]) for text in texts])
    assert np.array_equal(embedder.embed(texts), alone)


@pytest.mark.parametrize(
    ("version", "old"), [("1.24.4", True), ("1.9.0", True), ("1.25.0", False), ("2.0.0rc1", False)]
)
def test_an_onnxruntime_that_gives_other_vectors_is_refused(version: str, old: bool) -> None:
    if not old:
        check_release(version)
        return
    with pytest.raises(EmbeddingError, match=r"onnxruntime>=1\.25"):
        check_release(version)


@pytest.mark.parametrize(
    ("machine", "flags", "clips"),
    [
        ("x86_64", "fpu sse2 avx2 avx512_vnni", False),
        ("x86_64", "fpu sse2 avx2 avx_vnni", False),
        ("x86_64", "fpu sse2 avx2", True),
        ("AMD64", None, True),
        ("arm64", None, False),
    ],
)
def test_the_exact_slow_way_is_for_processors_that_clip(
    tmp_path: Path, machine: str, flags: str | None, clips: bool
) -> None:
    told = tmp_path / "cpuinfo"
    if flags is not None:
        told.write_text(f"processor\t: 0\nflags\t\t: {flags}\n")
    assert clips_sums(machine, told) is clips
