"""A cross-encoder that re-ranks the best hits, and what happens where it is late or broken."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tiny_onnx import write_word_counter
from tokenizers import Tokenizer

import mira_ltmemory
from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.embedding.reranker import OnnxReranker
from mira_ltmemory.errors import EmbeddingError
from mira_ltmemory.services.problems import Problems
from mira_ltmemory.services.search.rerank import PROBLEM, TOO_LATE, Reranking

FOLDER = Path(mira_ltmemory.__file__).parent / "onnx"
NOTES = ("a boat", "zebra boat zebra", "a red boat", "the boat and a zebra", "boats")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A cross-encoder that likes zebras."""
    shutil.copy(FOLDER / "tokenizer.json", tmp_path)
    token = Tokenizer.from_file(str(FOLDER / "tokenizer.json")).token_to_id("zebra")
    return write_word_counter(tmp_path / "model.onnx", token)


def test_texts_are_scored_with_the_query(model: Path) -> None:
    reranker = OnnxReranker(model, max_tokens=32)
    assert reranker.score("boat", NOTES, 60) == [0, 2, 0, 1, 0]
    assert reranker.score("zebra", ["", "zebra " * 1_000, "🎉 \0"], 60) == [1, pytest.approx(29, abs=2), 1]
    assert reranker.score("boat", [], 60) == []


def test_without_time_there_is_no_answer(model: Path) -> None:
    assert OnnxReranker(model).score("boat", NOTES, 0) is None


def test_what_is_missing_or_no_cross_encoder_is_told(model: Path, tmp_path: Path) -> None:
    with pytest.raises(EmbeddingError, match="is missing; set reranker_path"):
        OnnxReranker(tmp_path / "gone.onnx")
    two = write_word_counter(tmp_path / "two.onnx", 1, columns=2)
    assert OnnxReranker(two).score("boat", NOTES, 60) == [0.0] * 5
    three = write_word_counter(tmp_path / "three.onnx", 1, columns=3)
    with pytest.raises(EmbeddingError, match="no cross-encoder"):
        OnnxReranker(three).score("boat", NOTES, 60)
    (tmp_path / "broken.onnx").write_bytes(b"broken")
    with pytest.raises(EmbeddingError, match="Cannot load the model"):
        OnnxReranker(tmp_path / "broken.onnx").score("boat", NOTES, 60)


def keep(memory: MemoryManager) -> None:
    for note in NOTES:
        memory.archival.insert(note)


def test_the_best_hits_are_put_in_its_order(make_memory: Callable[..., MemoryManager], model: Path) -> None:
    plain, ranked = make_memory(), make_memory(reranker_path=model, reranker_ms=60_000)
    keep(plain)
    before, after = plain.archival.search("a boat", limit=2), ranked.archival.search("a boat", limit=2)
    assert before.hits[0].content == "a boat"
    assert [hit.content for hit in after.hits] == [NOTES[1], NOTES[3]]
    assert [hit.features["rerank"] for hit in after.hits] == [2, 1]
    assert [hit.score for hit in after.hits] == [hit.score for hit in before.hits]
    assert ranked.as_user("another").reranker is ranked.reranker


def test_where_it_cannot_be_loaded_search_goes_on_and_the_status_says_why(
    make_memory: Callable[..., MemoryManager], tmp_path: Path
) -> None:
    memory = make_memory(reranker_path=tmp_path / "gone.onnx")
    keep(memory)
    assert "is missing" in memory.problems.all()[PROBLEM]
    assert memory.archival.search("a boat").hits[0].content == "a boat"


class Slow:
    """A re-ranker that is never done."""

    def score(self, query: str, texts: Sequence[str], seconds: float) -> list[float] | None:
        return None


class Broken:
    """A re-ranker that fails."""

    def score(self, query: str, texts: Sequence[str], seconds: float) -> list[float] | None:
        raise EmbeddingError("out of order")


def test_late_or_broken_the_first_ranking_stands(memory: MemoryManager) -> None:
    keep(memory)
    hits = memory.archival.search("a boat").hits
    problems = Problems()
    assert Reranking(Slow(), problems, number=3, seconds=1).apply("a boat", hits) == (hits, (TOO_LATE,))
    assert Reranking(Broken(), problems, number=3, seconds=1).apply("a boat", hits) == (hits, ())
    assert problems.all()[PROBLEM] == "off: out of order"
