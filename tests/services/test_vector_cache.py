"""Vectors of queries outlast a process, and no erasure."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mira_ltmemory.composition import MemoryManager, open_memory
from mira_ltmemory.config import MemoryConfig
from mira_ltmemory.embedding.onnx import OnnxEmbedder
from mira_ltmemory.protocols import Clock, EmbeddingModel, TokenSpace, TokenVectors
from mira_ltmemory.services.search.late import UNTOLD

if TYPE_CHECKING:
    from mira_ltmemory.protocols import Vectors

QUERY = "Does Mireille's cat like the old cat next door?"


class Counting:
    """The real model, which notes what it was asked."""

    def __init__(self, inner: OnnxEmbedder) -> None:
        self.inner = inner
        self.asked: list[str] = []

    @property
    def model(self) -> EmbeddingModel:
        return self.inner.model

    def token_space(self) -> TokenSpace:
        return self.inner.token_space()

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.asked += texts
        return self.inner.embed(texts)

    def embed_tokens(
        self, texts: Sequence[str], space: TokenSpace, skip: Container[str] = ()
    ) -> tuple[Vectors, list[TokenVectors]]:
        self.asked += texts
        return self.inner.embed_tokens(texts, space, skip)


@pytest.fixture(name="counting")
def counting_fixture(embedder: OnnxEmbedder) -> Counting:
    return Counting(embedder)


Opening = Callable[..., MemoryManager]


@pytest.fixture(name="opened")
def opened_fixture(config: MemoryConfig, clock: Clock, counting: Counting) -> Opening:
    """Opens the same user's memory as another process would: nothing is shared but the database and the model."""

    def opened(**settings: object) -> MemoryManager:
        return open_memory(config.model_copy(update=settings), clock=clock, embedder=counting)

    return opened


def test_a_later_process_knows_the_query_and_its_words(opened: Opening, counting: Counting) -> None:
    first = opened()
    before = first.embeddings.embed_query(QUERY)
    first.close()
    second = opened()
    after = second.embeddings.embed_query(QUERY)
    assert counting.asked == [QUERY]
    assert before is not None and before.tokens is not None
    assert after is not None and after.tokens is not None
    assert np.abs(before.vector - after.vector).max() < 1e-3  # kept at half precision
    assert after.tokens.words == before.tokens.words
    assert after.tokens.words.count("cat") == 2
    assert np.array_equal(after.tokens.vectors, before.tokens.vectors)
    state = second.embeddings.cache.state()
    assert (state.entries, state.hits, state.misses) == (1, 1, 1)
    assert state.bytes > 384 * 2
    second.close()


def test_another_user_does_not(opened: Opening, counting: Counting) -> None:
    memory = opened()
    memory.embeddings.embed_query(QUERY)
    memory.embeddings.cache.save()
    other = memory.as_user(f"{memory.settings.user_name} other")
    other.embeddings.embed_query(QUERY)
    assert counting.asked == [QUERY, QUERY]
    other.embeddings.cache.save()
    with memory.store.read() as unit:
        keys = unit.passages.execute("SELECT text_key FROM ltmemory.cached_embeddings").scalars().all()
    with other.store.read() as unit:
        theirs = unit.passages.execute("SELECT text_key FROM ltmemory.cached_embeddings").scalars().all()
    assert len(keys) == len(theirs) == 1
    assert keys != theirs  # the same text has another key for each
    memory.close()


def test_an_erasure_empties_it_and_what_another_process_holds_is_not_stored(opened: Opening) -> None:
    mine, others = opened(), opened()
    for memory in (mine, others):
        memory.embeddings.embed_query(QUERY)
        memory.embeddings.cache.save()
    others.embeddings.embed_query("and where does Mireille live?")
    mine.archival.insert("Mireille lives in Lyon")
    mine.erasure.erase(mine.erasure.preview(subject="Mireille"))
    assert mine.embeddings.cache.state().entries == 0
    assert others.embeddings.cache.save() == 0
    assert len(others.embeddings.cache) == 0
    assert mine.embeddings.cache.state().entries == 0
    others.embeddings.embed_query("something else")
    assert others.embeddings.cache.save() == 1
    mine.close()
    others.close()


def test_it_is_bounded_by_use_and_can_be_off(opened: Opening, counting: Counting) -> None:
    memory = opened(embedding_cache_kept=2)
    for text in ("a cat", "a dog", "a cat", "a horse"):
        memory.clock.advance(seconds=1)  # type: ignore[attr-defined]
        memory.embeddings.embed_query(text)
    memory.close()
    counting.asked.clear()
    second = opened()
    for text in ("a cat", "a horse", "a dog"):
        second.embeddings.embed_query(text)
    assert counting.asked == ["a dog"]
    assert second.embeddings.cache.clear() == 2
    assert second.embeddings.cache.state() == type(second.embeddings.cache.state())()
    second.close()
    third = opened(embedding_cache_kept=0)
    third.embeddings.embed_query("a cat")
    assert third.embeddings.cache.save() == 0
    assert third.embeddings.cache.state().entries == 0
    third.close()


def test_a_text_that_was_a_query_is_not_embedded_again_when_it_is_stored(opened: Opening, counting: Counting) -> None:
    memory = opened()
    memory.embeddings.embed_query(QUERY)
    memory.archival.insert("a walk by the sea")
    counting.asked.clear()
    together = memory.embeddings.embed_now(["one more text", QUERY, "a walk by the sea"])
    assert together is not None and together.tokens is not None
    assert counting.asked == ["one more text"]
    alone = counting.inner.embed_tokens(["one more text", QUERY, "a walk by the sea"], counting.token_space(), UNTOLD)
    assert np.allclose(together.vectors, alone[0], atol=1e-3)
    assert [each.words for each in together.tokens] == [each.words for each in alone[1]]
    counting.asked.clear()
    memory.process_pending()
    assert counting.asked == []
    memory.close()


def test_a_dropped_model_takes_its_part_along(opened: Opening) -> None:
    memory = opened()
    memory.embeddings.embed_query(QUERY)
    memory.embeddings.cache.save()
    number = memory.embeddings.model_id()
    assert number is not None
    with memory.store.upkeep() as unit:
        unit.embedding_cache.drop_model(number)
    assert memory.embeddings.cache.state().entries == 0
    memory.close()


def test_a_damaged_row_is_no_more_than_a_text_that_is_not_known(opened: Opening, counting: Counting) -> None:
    first = opened()
    before = first.embeddings.embed_query(QUERY)
    first.close()
    damaging = opened()
    with damaging.store.upkeep() as unit:
        unit.search.execute("UPDATE ltmemory.cached_embeddings SET vector = substring(vector FROM 2)")
    damaging.close()
    counting.asked.clear()
    second = opened()
    after = second.embeddings.embed_query(QUERY)
    second.close()
    assert before is not None and after is not None
    assert len(counting.asked) == 1 and np.allclose(before.vector, after.vector)
