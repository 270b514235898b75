"""Vectors of a text's words."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mira_ltmemory
from mira_ltmemory.embedding.onnx import OnnxEmbedder
from mira_ltmemory.embedding.tokens import FILE, make_space, read_space, told, write_space
from mira_ltmemory.errors import EmbeddingError
from mira_ltmemory.protocols import TokenEmbedder, TokenSpace

FOLDER = Path(mira_ltmemory.__file__).parent / "onnx"


@pytest.fixture(scope="module")
def space(embedder: OnnxEmbedder) -> TokenSpace:
    return embedder.token_space()


def matches(embedder: OnnxEmbedder, space: TokenSpace, one: str, other: str) -> list[float]:
    """The best cosine of each token of one text among those of another."""
    _, (left, right) = embedder.embed_tokens([one, other], space, {"a", "the", "my", "did", "when"})
    products = (left.vectors.astype(np.float32) / 127) @ (right.vectors.astype(np.float32) / 127).T
    return [float(value) for value in products.max(axis=1)]


def test_the_model_gives_tokens(embedder: OnnxEmbedder) -> None:
    assert isinstance(embedder, TokenEmbedder)


def test_a_word_is_near_its_own_forms_and_far_from_others(embedder: OnnxEmbedder, space: TokenSpace) -> None:
    assert min(matches(embedder, space, "when did my sister adopt the cat", "My sister adopted a grey cat")) > 0.7
    assert max(matches(embedder, space, "when did my sister adopt the cat", "quarterly revenue rose")) < 0.4


def test_skipped_words_and_marks_have_no_tokens(embedder: OnnxEmbedder, space: TokenSpace) -> None:
    text = "The Cat, isn't (it) unbelievably... grey? 🎉"
    _, [found] = embedder.embed_tokens([text], space, {"the", "it", "isn", "t"})
    assert list(dict.fromkeys(found.words)) == ["cat", "unbelievably", "grey"]
    assert found.vectors.shape == (len(found.words), 128)
    assert found.vectors.dtype == np.int8


def test_the_text_vectors_are_those_of_embed(embedder: OnnxEmbedder, space: TokenSpace) -> None:
    texts = ["Her cat is asleep", "", "a much longer text about " + "tax returns " * 200]
    vectors, tokens = embedder.embed_tokens(texts, space)
    assert np.sum(vectors * embedder.embed(texts), axis=1).min() > 0.9999
    assert [len(each.words) > 0 for each in tokens] == [True, False, True]
    assert len(tokens[2].words) <= embedder.model.max_tokens
    assert embedder.embed_tokens([], space)[1] == []


def test_what_is_projected_is_the_state_less_the_mean_on_the_basis(embedder: OnnxEmbedder, space: TokenSpace) -> None:
    texts = ["Her grey cat is asleep", "tax returns are due", "one two", "three four", *(["a cat"] * 40)]
    _, found = embedder.embed_tokens(texts, space, {"a"})
    runtime = embedder._runtime()
    for text, tokens in zip(texts, found, strict=True):
        [encoded] = runtime.encode([text], offsets=True)
        places, words = told(text, encoded.offsets, {"a"})
        flat = (runtime.run([encoded.ids])[0][places] - space.mean) @ space.basis.T
        exact = flat * (127 / np.linalg.norm(flat, axis=1, keepdims=True))
        assert tokens.words == tuple(words)
        assert np.abs(tokens.vectors - exact).max() < 0.51  # rounded, and its sums in another order
    assert np.array_equal(found[-1].vectors, found[4].vectors)


@settings(max_examples=30)
@given(texts=st.lists(st.text(max_size=60), min_size=1, max_size=4))
def test_any_text_gives_vectors_of_length_one(embedder: OnnxEmbedder, space: TokenSpace, texts: list[str]) -> None:
    for text, tokens in zip(texts, embedder.embed_tokens(texts, space, {"the"})[1], strict=True):
        known = {match.lower() for match in re.findall(r"[^\W_]+", text)}
        assert set(tokens.words) <= known - {"the"}
        norms = np.linalg.norm(tokens.vectors.astype(np.float64), axis=1)
        assert np.all(np.abs(norms - 127) < 4)


def test_tokens_of_other_tokenizers_begin_with_the_space_before_the_word() -> None:
    assert told("my grey cat", [(0, 2), (2, 7), (7, 11), (0, 0)], {"my"}) == ([1, 2], ["grey", "cat"])


def test_a_space_is_made_from_the_vocabulary_alone_and_is_the_same_each_time(
    embedder: OnnxEmbedder, space: TokenSpace, tmp_path: Path
) -> None:
    rng = np.random.default_rng(1)
    table = {word: rng.normal(size=200).astype(np.float32) for word in map("word{:c}".format, range(97, 123))}

    def states_of(samples: list[str]) -> np.ndarray:
        return np.stack([table[word] for sample in samples for word in sample.split()])

    first, second = make_space(table, states_of), make_space(reversed(table), states_of)
    assert first.basis.shape == (128, 200)
    assert np.array_equal(first.basis, second.basis)
    assert np.allclose(first.basis @ first.basis.T, np.eye(128), atol=1e-4)
    with pytest.raises(EmbeddingError, match="too few words"):
        make_space(["one", "two", "##x"], states_of)
    written = write_space(tmp_path, first)
    again = read_space(tmp_path, 200)
    assert again is not None
    assert np.allclose(again.basis, first.basis, atol=1e-3)
    with pytest.raises(EmbeddingError, match="not for states of 384"):
        read_space(tmp_path, 384)
    written.write_bytes(b"no zip")
    with pytest.raises(EmbeddingError, match="cannot be read"):
        read_space(tmp_path, 200)


def test_a_folder_without_a_space_has_one_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, space: TokenSpace
) -> None:
    monkeypatch.setattr("mira_ltmemory.embedding.tokens._SAMPLES", 60)
    for name in ("model.onnx", "tokenizer.json", "config.json"):
        shutil.copy(FOLDER / name, tmp_path)
    made = OnnxEmbedder(tmp_path / "model.onnx", tmp_path).token_space()
    assert made.basis.shape == space.basis.shape
    assert (FOLDER / FILE).is_file()
    # Both keep nearly the same directions of the model.
    assert np.linalg.norm(made.basis @ space.basis.T) ** 2 / 128 > 0.75
