"""Searching: any string is a query, filters and limits hold, the order is explained and repeatable."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mira_ltmemory.errors import InvalidArgument
from mira_ltmemory.protocols import Actor, Change, EmbeddingModel, Filter, Kind, Origin, Role, SearchResult
from mira_ltmemory.services.search import EmbeddedQuery, Searcher
from mira_ltmemory.services.search import searcher as notes
from mira_ltmemory.store.database import Database
from mira_ltmemory.store.models import Conversation, Message, Passage, content_hash
from mira_ltmemory.store.search import register_model
from mira_ltmemory.store.unit_of_work import Store
from mira_ltmemory.store.vectors import PendingText

CHANGE = Change(Actor.SYSTEM, "test")
START = datetime(2025, 1, 1, tzinfo=UTC)
SUBJECTS = ("river", "coffee", "guitar")
MODEL = EmbeddingModel("test-subjects", len(SUBJECTS) + 1, "0" * 64, 32)


def meaning(content: str) -> NDArray[np.float32]:
    """One axis a subject, also where it is told in other words, and one for everything."""
    told = {"stream": "river", "espresso": "coffee", "strings": "guitar"}
    words = [told.get(word, word) for word in content.lower().split()]
    vector = np.array([*(words.count(subject) for subject in SUBJECTS), 0.2], np.float32)
    return np.asarray(vector / np.linalg.norm(vector))


class Meanings:
    """A query embedder of four dimensions."""

    def __init__(self, model_id: int) -> None:
        self.model_id = model_id

    def embed_query(self, text: str) -> EmbeddedQuery | None:
        return EmbeddedQuery(self.model_id, meaning(text))


@pytest.fixture(scope="module")
def meanings(database: Database) -> Meanings:
    return Meanings(register_model(database, MODEL))


@pytest.fixture
def searcher(store: Store, meanings: Meanings) -> Searcher:
    return Searcher(store, meanings)


def keep_messages(store: Store, contents: Sequence[str], meanings: Meanings | None = None) -> list[UUID]:
    with store.write(CHANGE) as unit:
        own = {"user_id": store.user_id, "change_set_id": unit.change_set_id}
        key = uuid.uuid4()
        unit.messages.ensure_conversation(Conversation(**own, id=key, origin="user", external_id="talk"))
        rows = [
            Message(
                **own, id=uuid.uuid4(), conversation_id=key, external_id=f"m{number}", position=number, content=content,
                content_hash=content_hash(content), said_at=START + timedelta(days=number), speaker="Ann",
                role=("user", "assistant")[number % 2], origin=("user", "assistant")[number % 2],
            )
            for number, content in enumerate(contents)
        ]  # fmt: skip
        unit.messages.add(rows, [])
        unit.words.add(Kind.MESSAGE, [(row.id, row.content) for row in rows])
        if meanings is not None:
            items = [PendingText(Kind.MESSAGE, row.id, row.content_hash, row.content) for row in rows]
            unit.vectors.add(items, np.stack([meaning(content) for content in contents]), meanings.model_id)
    return [row.id for row in rows]


def keep_passage(store: Store, content: str, tags: Sequence[str] = ()) -> UUID:
    with store.write(CHANGE) as unit:
        row = Passage(
            user_id=store.user_id, change_set_id=unit.change_set_id, id=uuid.uuid4(), origin="user", content=content,
            content_hash=content_hash(content), tags=list(tags), said_at=START,
        )  # fmt: skip
        unit.passages.add([row])
        unit.words.add(Kind.PASSAGE, [(row.id, content)])
    return row.id


def contents(result: SearchResult) -> list[str]:
    return [hit.content for hit in result.hits]


def test_a_message_is_found_by_its_words_before_it_has_a_vector(store: Store, searcher: Searcher) -> None:
    keep_messages(store, ["we walked by the river", "tea"])
    result = searcher.search(Kind.MESSAGE, "walking", Filter(), 1)
    assert contents(result) == ["we walked by the river"]
    assert result.notes == (notes.NOT_EMBEDDED,)
    assert result.total == 2


def test_a_message_is_found_by_its_meaning(store: Store, searcher: Searcher, meanings: Meanings) -> None:
    keep_messages(store, ["nothing much", "espresso every morning", "new strings"], meanings)
    result = searcher.search(Kind.MESSAGE, "coffee", Filter(), 1)
    assert contents(result) == ["espresso every morning"]
    assert result.notes == ()
    assert result.hits[0].features["cosine"] > 0.9
    assert result.hits[0].features["bm25"] == 0


def test_without_a_model_words_do_and_a_note_says_so(store: Store) -> None:
    keep_messages(store, ["river", "tea"])
    for embeddings in (None, NoModel()):
        result = Searcher(store, embeddings).search(Kind.MESSAGE, "river", Filter(), 5)
        assert contents(result)[0] == "river"
        assert result.notes == (notes.WORDS_ONLY,)


class NoModel:
    """An embedder whose model cannot be used."""

    def embed_query(self, text: str) -> None:
        return None


def test_a_hit_says_all_that_is_known_of_its_row(store: Store, searcher: Searcher) -> None:
    ids = keep_messages(store, ["river"])
    (hit,) = searcher.search(Kind.MESSAGE, "river", Filter(), 5).hits
    assert (hit.kind, hit.id, hit.role, hit.origin) == (Kind.MESSAGE, ids[0], Role.USER, Origin.USER)
    assert (hit.speaker, hit.conversation_id, hit.external_id, hit.said_at) == ("Ann", "talk", "m0", START)
    passage = keep_passage(store, "river", ["travel"])
    (hit,) = searcher.search(Kind.PASSAGE, "river", Filter(), 5).hits
    assert (hit.kind, hit.id, hit.tags, hit.role) == (Kind.PASSAGE, passage, ("travel",), None)


def test_long_contents_come_whole(store: Store, searcher: Searcher) -> None:
    content = "river " + "x" * 50_000
    keep_messages(store, [content])
    assert contents(searcher.search(Kind.MESSAGE, "river", Filter(), 1)) == [content]


def test_the_words_around_a_short_message_speak_for_it(store: Store) -> None:
    keep_messages(store, ["tea", "yes", "where is the guitar", "in the attic", "tea", "tea"])
    result = Searcher(store, None).search(Kind.MESSAGE, "guitar", Filter(), 3)
    assert contents(result)[0] == "where is the guitar"
    assert set(contents(result)[1:]) == {"yes", "in the attic"}
    assert result.hits[1].features["bm25_around"] > 0


def test_equal_scores_put_the_newest_first_and_every_search_answers_alike(
    store: Store, searcher: Searcher, meanings: Meanings
) -> None:
    keep_messages(store, ["river", "tea", "river", "tea", "river", "tea"], meanings)
    results = [searcher.search(Kind.MESSAGE, "river", Filter(roles=(Role.USER,)), 10) for _ in range(3)]
    assert [hit.external_id for hit in results[0].hits] == ["m4", "m2", "m0"]
    assert len({hit.score for hit in results[0].hits}) == 1
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("query", ["", "   \n\t", "\0"])
def test_a_blank_query_lists_the_newest_rows_that_pass(store: Store, searcher: Searcher, query: str) -> None:
    keep_messages(store, ["one", "two", "three", "four"])
    result = searcher.search(Kind.MESSAGE, query, Filter(roles=(Role.USER,)), 5)
    assert contents(result) == ["three", "one"]
    assert (result.total, result.notes) == (2, (notes.NEWEST,))
    nothing = searcher.search(Kind.MESSAGE, query, Filter(), 5)
    assert (nothing.hits, nothing.notes, nothing.total) == ((), (notes.NOTHING_ASKED,), 4)


@pytest.mark.parametrize("limit", [0, -1, 1_001])
def test_an_impossible_limit_is_refused(searcher: Searcher, limit: int) -> None:
    with pytest.raises(InvalidArgument, match="limit"):
        searcher.search(Kind.MESSAGE, "river", Filter(), limit)


def test_a_query_that_is_too_long_is_cut_and_a_note_says_so(store: Store, searcher: Searcher) -> None:
    keep_messages(store, ["river"])
    result = searcher.search(Kind.MESSAGE, "river " + "word " * 20_000, Filter(), 5)
    assert contents(result) == ["river"]
    assert notes.CUT in result.notes


def test_a_floor_for_similarity_leaves_out_what_is_known_to_be_below(
    store: Store, searcher: Searcher, meanings: Meanings
) -> None:
    keep_messages(store, ["river", "coffee"], meanings)
    assert contents(searcher.search(Kind.MESSAGE, "river", Filter(), 5, min_cosine=0.5)) == ["river"]


@settings(max_examples=60)
@given(query=st.text(max_size=60))
@example(query="'; DROP TABLE ltmemory.messages; --")
@example(query="a & b | !c <-> d:* (")
@example(query="%s %(name)s :user_id {x}")
@example(query="the what of")
@example(query="東京 مرحبا 🎉 \ud800")
@example(query="!!!")
def test_any_string_is_a_query(store: Store, searcher: Searcher, meanings: Meanings, query: str) -> None:
    with store.read() as unit:
        stored = unit.messages.count()
    if not stored:
        keep_messages(store, ["river", "東京に行く", "a & b"], meanings)
    for asking in (searcher, Searcher(store, None)):
        result = asking.search(Kind.MESSAGE, query, Filter(), 5)
        assert len(result.hits) <= 3
        assert result.total == 3


def test_an_empty_memory_finds_nothing(searcher: Searcher) -> None:
    for kind in (Kind.MESSAGE, Kind.PASSAGE):
        result = searcher.search(kind, "river", Filter(start=START), 5)
        assert (result.hits, result.total) == ((), 0)


def test_no_connection_is_held_while_the_query_is_embedded(store: Store, meanings: Meanings) -> None:
    class Watching(Meanings):
        def embed_query(self, text: str) -> EmbeddedQuery | None:
            held.append(store.database.engine.pool.checkedout())  # type: ignore[attr-defined]
            return super().embed_query(text)

    held: list[int] = []
    Searcher(store, Watching(meanings.model_id)).search(Kind.MESSAGE, "river", Filter(), 5)
    assert held == [0]
