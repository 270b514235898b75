"""Searches that read their query: people, dates and time zones, and who speaks in the store, kept up to date."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from mira_ltmemory.protocols import Actor, Change, EmbeddingModel, Filter, Kind, SearchResult
from mira_ltmemory.services.search import EmbeddedQuery, Searcher
from mira_ltmemory.store.database import Database
from mira_ltmemory.store.models import Conversation, Message, content_hash
from mira_ltmemory.store.search import Speakers, register_model
from mira_ltmemory.store.unit_of_work import Store
from mira_ltmemory.store.vectors import PendingText

CHANGE = Change(Actor.SYSTEM, "test")
START = datetime(2025, 1, 1, 12, tzinfo=UTC)
MODEL = EmbeddingModel("test-directions", 4, "1" * 64, 32)


def keep(
    store: Store,
    said: Sequence[tuple[str, str | None, str]],
    *,
    step: timedelta = timedelta(days=1),
    vectors: tuple[int, NDArray[np.float32]] | None = None,
) -> list[UUID]:
    """Messages of one conversation: role, speaker and text."""
    with store.write(CHANGE) as unit:
        own = {"user_id": store.user_id, "change_set_id": unit.change_set_id}
        key = uuid.uuid4()
        unit.messages.ensure_conversation(Conversation(**own, id=key, origin="user", external_id=str(key)))
        rows = [
            Message(
                **own, id=uuid.uuid4(), conversation_id=key, external_id=f"m{number}", position=number, content=content,
                content_hash=content_hash(content), said_at=START + number * step, speaker=speaker, role=role,
                origin="user",
            )
            for number, (role, speaker, content) in enumerate(said)
        ]  # fmt: skip
        unit.messages.add(rows, [])
        unit.words.add(Kind.MESSAGE, [(row.id, row.content) for row in rows])
        if vectors is not None:
            items = [PendingText(Kind.MESSAGE, row.id, row.content_hash, row.content) for row in rows]
            unit.vectors.add(items, vectors[1], vectors[0])
    return [row.id for row in rows]


def contents(result: SearchResult) -> list[str]:
    return [hit.content for hit in result.hits]


def speakers(store: Store, known: Speakers | None = None) -> Speakers:
    with store.read() as unit:
        return unit.search.speakers(known or Speakers())


def test_the_person_asked_about_comes_before_others_who_say_the_same(store: Store) -> None:
    keep(store, [("user", "Ann", "sailing is fun"), ("user", "Benedict", "sailing is fun")])
    for query, speaker in (("Does Ben like sailing?", "Benedict"), ("Does Ann like sailing?", "Ann")):
        hits = Searcher(store, None).search(Kind.MESSAGE, query, Filter(), 2).hits
        assert hits[0].speaker == speaker
        assert hits[0].features["speaker"] == 1


def test_what_was_said_by_the_side_that_is_named_comes_first(store: Store) -> None:
    keep(store, [("user", None, "a boat trip"), ("assistant", None, "a boat trip")])
    for asked, other in (("user", "assistant"), ("assistant", "user")):
        result = Searcher(store, None).search(Kind.MESSAGE, f"What did the {asked} say about the boat?", Filter(), 2)
        assert [hit.role for hit in result.hits] == [asked, other]


def test_the_user_is_found_by_the_name_that_the_settings_give(store: Store) -> None:
    keep(store, [("assistant", None, "a long walk by the boat"), ("user", None, "I love my long boat walk")])
    result = Searcher(store, None, user_name="Robert").search(Kind.MESSAGE, "Does Bob like the boat?", Filter(), 2)
    assert [hit.role for hit in result.hits] == ["user", "assistant"]
    assert result.hits[0].features["first_person"] == 1
    assert Searcher(store, None).read(Kind.MESSAGE, "Does Bob like the boat?").owner is False


def test_of_two_who_are_asked_about_as_one_neither_comes_first(store: Store) -> None:
    keep(store, [("user", "Ann", "sailing"), ("user", "Ben", "sailing"), ("user", "Cora", "sailing")])
    hits = Searcher(store, None).search(Kind.MESSAGE, "Do Ben and Ann like sailing?", Filter(), 3).hits
    assert hits[-1].speaker == "Cora"
    assert [hit.features["speaker"] for hit in hits] == [1, 1, 0]


def test_the_query_is_embedded_once_in_the_first_person(store: Store) -> None:
    asked: list[str] = []

    class Listening:
        def embed_query(self, text: str) -> None:
            asked.append(text)

    keep(store, [("user", "Ann", "sailing")])
    Searcher(store, Listening()).search(Kind.MESSAGE, "Where does Ann sail?", Filter(), 2)
    Searcher(store, Listening()).search(Kind.PASSAGE, "Where does Ann sail?", Filter(), 2)
    assert asked == ["Where does I sail?", "Where does Ann sail?"]


def test_a_day_in_the_query_brings_what_was_said_on_it_in_the_users_time_zone(store: Store) -> None:
    keep(store, [("user", None, f"note {number}") for number in range(8)], step=timedelta(hours=12))
    search = Searcher(store, None, ZoneInfo("Asia/Tokyo"))  # noon in UTC is nine in the evening there
    result = search.search(Kind.MESSAGE, "What happened on 2 January?", Filter(), 2)
    assert set(contents(result)) == {"note 1", "note 2"}
    assert result.hits[0].features["date"] == 1


def test_speakers_are_read_on_as_messages_come(store: Store) -> None:
    assert speakers(store).pairs == frozenset()
    keep(store, [("user", "Ann", "one")])
    first = speakers(store)
    keep(store, [("assistant", None, "two"), ("user", "Ann", "three")])
    then = speakers(store, first)
    assert then.pairs == {("user", "Ann"), ("assistant", None)}
    assert (then.messages, then.moment) == (3, first.moment + 1)
    assert then == speakers(store) == speakers(store, then)


def test_a_speaker_whose_messages_went_is_not_kept(store: Store) -> None:
    keep(store, [("user", "Ann", "one")])
    gone = keep(store, [("user", "Ben", "two")])
    known = speakers(store)
    with store.write(CHANGE) as unit:
        unit.words.remove(Kind.MESSAGE, gone)
        unit.search.execute("DELETE FROM ltmemory.messages WHERE user_id = :user_id AND id = :id", id=gone[0])
    assert speakers(store, known).pairs == {("user", "Ann")}


def test_what_all_rows_share_tells_nothing_of_one(store: Store, database: Database) -> None:
    number = register_model(database, MODEL)
    bland = np.tile(np.array([1, 0.1, 0, 0], np.float32), (60, 1))
    bland[0] = [1, 0, 0.6, 0]
    bland /= np.linalg.norm(bland, axis=1, keepdims=True)

    class Asking:
        def embed_query(self, text: str) -> EmbeddedQuery:
            vector = np.array([1, 0, 0.2, 0], np.float32)
            return EmbeddedQuery(number, np.asarray(vector / np.linalg.norm(vector)))

    keep(store, [("user", None, f"text {index}") for index in range(60)], vectors=(number, bland))
    hits = Searcher(store, Asking()).search(Kind.MESSAGE, "unheard", Filter(), 60).hits
    plain = {hit.content: hit.features["cosine"] for hit in hits}
    meaning = {hit.content: hit.features["meaning"] for hit in hits}
    assert plain["text 0"] < plain["text 1"]
    assert meaning["text 0"] > meaning["text 1"]
