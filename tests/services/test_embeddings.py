"""Vectors of single texts are kept for each user alone, and forgotten when asked."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pytest
from doubles import WordEmbedder

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.errors import EmbeddingError
from mira_ltmemory.protocols import Actor, Change, EmbeddingModel, Kind
from mira_ltmemory.services.embeddings import EmbeddingService
from mira_ltmemory.services.problems import Problems
from mira_ltmemory.store import words as words_module
from mira_ltmemory.store.models import Passage, content_hash
from mira_ltmemory.store.search.index import register_model
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
    assert [embeddings.cache.holds(1, text) for text in "abc"] == [True, True, False]


def test_several_texts_at_once_and_a_cache_of_none_keep_nothing(store: Store, counting: Counting) -> None:
    service(store, counting).embed_now(["a", "b"])
    none = service(store, counting, cache_size=0)
    none.embed_query("a")
    none.embed_query("a")
    assert len(none.cache) == 0
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
    assert len(embeddings.cache) == 0
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
    assert len(embeddings.cache) == 0


def test_users_share_no_cached_text(memory: MemoryManager) -> None:
    other = memory.as_user("somebody else " + memory.settings.user_name)
    memory.recall.search("Mireille in Lyon")
    assert len(memory.embeddings.cache) > 0
    assert len(other.embeddings.cache) == 0
    other.recall.search("a walk")
    memory.embeddings.forget()
    assert len(other.embeddings.cache) > 0


def test_parts_are_stored_until_the_model_fails_and_the_rest_waits(store: Store, counting: Counting) -> None:
    ids = [uuid.uuid4() for _ in range(100)]
    texts = ["word" * (number + 1) for number in range(100)]  # the shortest are taken first
    with store.write(Change(Actor.SYSTEM, "test")) as unit:
        change = unit.change_set_id
        unit.passages.add(
            [
                Passage(user_id=store.user_id, id=id, change_set_id=change, origin="user", content=texts[number],
                        content_hash=content_hash(texts[number]), said_at=store.clock.now())
                for number, id in enumerate(ids)
            ]
        )  # fmt: skip
        unit.vectors.enqueue(Kind.PASSAGE, ids)
    inner = counting.inner.embed
    told: list[tuple[int, int]] = []

    def embed(part: Sequence[str]) -> Vectors:
        if texts[90] in part:
            raise EmbeddingError("broken")
        return inner(part)

    counting.inner.embed = embed  # type: ignore[method-assign]
    embeddings = EmbeddingService(
        store, counting, lambda model: register_model(store.database, model), Problems(), batch_size=32
    )
    assert embeddings.process_pending(lambda what, done, total: told.append((done, total))) == 80
    assert told == [(done, 100) for done in (16, 32, 48, 64, 80)]
    with store.read() as unit:
        assert (unit.vectors.count(), unit.vectors.pending_count()) == (80, 20)
    counting.inner.embed = inner  # type: ignore[method-assign]
    assert embeddings.process_pending() == 20
    expected = {id: inner([texts[number]])[0] for number, id in enumerate(ids)}
    with store.read() as unit:
        found = unit.vectors.execute("SELECT row_id, embedding FROM ltmemory.vectors WHERE user_id = :user_id").all()
    assert len(found) == 100
    for row in found:
        stored = np.array(json.loads(str(row.embedding)), np.float16)
        assert np.array_equal(stored, expected[row.row_id].astype(np.float16))


def test_words_are_packed_beside_the_model_before_a_writer_has_to(
    memory: MemoryManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(words_module, "PACK_EARLY", 2)
    for number in range(3):
        memory.archival.insert(f"note {number}")
    memory.process_pending()
    with memory.store.read() as unit:
        assert unit.words.fresh_count(Kind.PASSAGE) == 0
