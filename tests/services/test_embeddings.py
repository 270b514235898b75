"""Vectors of single texts are kept for each user alone, and forgotten when asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pytest
from doubles import WordEmbedder

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.protocols import EmbeddingModel
from mira_ltmemory.services.embeddings import EmbeddingService
from mira_ltmemory.services.problems import Problems
from mira_ltmemory.store.unit_of_work import Store

if TYPE_CHECKING:
    from mira_ltmemory.protocols import Vectors


class Counting:
    """An embedder that notes what it was asked."""

    def __init__(self) -> None:
        self.inner = WordEmbedder()
        self.asked: list[str] = []

    @property
    def model(self) -> EmbeddingModel:
        return self.inner.model

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.asked += texts
        return self.inner.embed(texts)


@pytest.fixture(name="counting")
def counting_fixture() -> Counting:
    return Counting()


def service(store: Store, embedder: Counting, cache_size: int = 2) -> EmbeddingService:
    return EmbeddingService(store, embedder, lambda model: 1, Problems(), cache_size=cache_size)


def test_a_query_is_embedded_once_until_newer_ones_push_it_out(store: Store, counting: Counting) -> None:
    embeddings = service(store, counting)
    for text in ("a", "b", "a", "c", "a", "b"):
        embeddings.embed_query(text)
    assert counting.asked == ["a", "b", "c", "b"]
    assert embeddings.cached_texts() == ["a", "b"]


def test_several_texts_at_once_and_a_cache_of_none_keep_nothing(store: Store, counting: Counting) -> None:
    service(store, counting).embed_now(["a", "b"])
    none = service(store, counting, cache_size=0)
    none.embed_query("a")
    none.embed_query("a")
    assert none.cached_texts() == []
    assert counting.asked == ["a", "b", "a", "a"]


def test_a_cached_vector_cannot_be_spoiled_by_its_reader(store: Store, counting: Counting) -> None:
    embeddings = service(store, counting)
    first = embeddings.embed_query("spoiled?")
    assert first is not None
    kept = first[1].copy()
    for _ in range(2):
        again = embeddings.embed_query("spoiled?")
        assert again is not None
        assert np.allclose(again[1], kept)
        again[1][:] = 0
    first[1][:] = 0
    assert counting.asked == ["spoiled?"]


def test_forgetting_empties_it(store: Store, counting: Counting) -> None:
    embeddings = service(store, counting)
    embeddings.embed_query("a")
    embeddings.forget()
    assert embeddings.cached_texts() == []
    embeddings.embed_query("a")
    assert counting.asked == ["a", "a"]


def test_what_is_forgotten_while_it_is_embedded_is_not_kept(store: Store, counting: Counting) -> None:
    embeddings = service(store, counting)
    inner = counting.inner.embed

    def embed(texts: Sequence[str]) -> Vectors:
        embeddings.forget()
        return inner(texts)

    counting.inner.embed = embed  # type: ignore[method-assign]
    embeddings.embed_query("a")
    assert embeddings.cached_texts() == []


def test_users_share_no_cached_text(memory: MemoryManager) -> None:
    other = memory.as_user("somebody else " + memory.settings.user_name)
    memory.recall.search("Mireille in Lyon")
    assert memory.embeddings.cached_texts()
    assert other.embeddings.cached_texts() == []
    other.recall.search("a walk")
    memory.embeddings.forget()
    assert other.embeddings.cached_texts()
