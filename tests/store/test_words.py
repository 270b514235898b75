"""The word index is exact after every insert, removal and return, packed or not."""

from __future__ import annotations

import math
import uuid
from collections import Counter
from collections.abc import Mapping
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from mira_ltmemory.errors import StoreError
from mira_ltmemory.protocols import Actor, Change, Clock, Kind
from mira_ltmemory.store import words as words_module
from mira_ltmemory.store.analysis import query_terms, term_of, words
from mira_ltmemory.store.database import Database
from mira_ltmemory.store.postings import K1, B, Scores, bm25, counts_of
from mira_ltmemory.store.unit_of_work import Store

CHANGE = Change(Actor.SYSTEM, "test")
VOCABULARY = ["river", "mountain", "coffee", "tea", "the", "Ünal", "猫", "🎉", "don't"]
NOTHING_CAPPED = 10**9


def by_hand(documents: Mapping[UUID, str], query: str) -> dict[UUID, float]:
    """BM25 in plain Python, from the texts."""
    held = {row: Counter(term_of(word) for word in words(content)) for row, content in documents.items()}
    length = {row: counts.total() for row, counts in held.items()}
    average = sum(length.values()) / len(documents) if sum(length.values()) else 1.0
    scores: dict[UUID, float] = {}
    for term in query_terms(query).values():
        containing = [row for row in documents if held[row][term]]
        idf = math.log1p((len(documents) - len(containing) + 0.5) / (len(containing) + 0.5))
        for row in containing:
            tf = held[row][term]
            saturated = tf * (K1 + 1) / (tf + K1 * (1 - B + B * length[row] / average))
            scores[row] = scores.get(row, 0.0) + idf * saturated
    return scores


def from_store(store: Store, query: str, kind: Kind = Kind.MESSAGE) -> dict[UUID, float]:
    """BM25 of the index, by row."""
    with store.read() as unit:
        found = unit.words.read(kind, list(query_terms(query).values()), NOTHING_CAPPED)
        scored = bm25(found.corpus, found.postings)
        scores = dict(zip(scored.documents.tolist(), scored.values.tolist(), strict=True))
        rows = unit.words.execute("SELECT document, row_id FROM ltmemory.word_documents WHERE user_id = :user_id")
        return {row.row_id: scores[row.document] for row in rows if row.document in scores}


texts = st.lists(st.sampled_from(VOCABULARY), max_size=12).map(" ".join)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.lists(texts, min_size=1, max_size=4)),
        st.tuples(st.just("remove"), st.lists(st.integers(0, 30), min_size=1, max_size=4)),
        st.tuples(st.just("return"), st.lists(st.integers(0, 30), min_size=1, max_size=2)),
        st.tuples(st.just("pack"), st.none()),
    ),
    max_size=14,
)


@settings(max_examples=25)
@given(steps=steps)
@pytest.mark.parametrize("block", [2, 240])
def test_the_index_equals_plain_bm25_after_any_history(
    database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch, block: int, steps: list[tuple[str, object]]
) -> None:
    monkeypatch.setattr(words_module, "_BLOCK_BYTES", block * 8)
    store = Store(database, uuid.uuid4(), clock)
    present: dict[UUID, str] = {}
    gone: dict[UUID, str] = {}
    for action, argument in steps:
        with store.write(CHANGE) as unit:
            if action == "add":
                new = {uuid.uuid4(): content for content in argument}  # type: ignore[attr-defined]
                unit.words.add(Kind.MESSAGE, new.items())
                present |= new
            elif action == "remove":
                chosen = {list(present)[n] for n in argument if n < len(present)}  # type: ignore[attr-defined]
                assert unit.words.remove(Kind.MESSAGE, list(chosen)) == len(chosen)
                gone |= {row: present.pop(row) for row in chosen}
            elif action == "return":
                chosen = {list(gone)[n] for n in argument if n < len(gone)}  # type: ignore[attr-defined]
                unit.words.replace(Kind.MESSAGE, [(row, gone[row]) for row in chosen])
                present |= {row: gone.pop(row) for row in chosen}
            else:
                unit.words.pack(Kind.MESSAGE)
                assert unit.words.fresh_count(Kind.MESSAGE) == 0
        for query in ("river coffee", "the", "UNAL 猫 🎉 dont"):
            assert from_store(store, query) == pytest.approx(by_hand(present, query), rel=1e-5)
    with store.read() as unit:
        for table in ("word_terms", "word_blocks"):
            rows = unit.words.execute(f"SELECT postings FROM ltmemory.{table} WHERE user_id = :user_id").all()
            held = {int(n) for row in rows for n in np.frombuffer(row.postings, words_module.POSTING)["document"]}
            known = unit.words.execute("SELECT document FROM ltmemory.word_documents WHERE user_id = :user_id").all()
            assert held <= {row.document for row in known}, "a removed document left postings behind"


def test_users_and_kinds_have_statistics_of_their_own(database: Database, clock: Clock) -> None:
    first, second = (Store(database, uuid.uuid4(), clock) for _ in range(2))
    for store in (first, second):
        with store.write(CHANGE) as unit:
            unit.words.add(Kind.MESSAGE, [(uuid.uuid4(), "river of one")])
            unit.words.pack(Kind.MESSAGE)
    with second.write(CHANGE) as unit:
        unit.words.add(Kind.PASSAGE, [(uuid.uuid4(), "river of two")])
    with first.read() as unit:
        found = unit.words.read(Kind.MESSAGE, [term_of("river")], NOTHING_CAPPED)
        assert (found.corpus.documents, found.corpus.frequencies) == (1, {term_of("river"): 1})
        for table in ("word_totals", "word_documents", "word_terms", "word_blocks"):
            others = unit.words.execute(f"SELECT count(*) FROM ltmemory.{table} WHERE user_id <> :user_id")
            assert others.scalar_one() == 0
        assert unit.words.read(Kind.PASSAGE, [term_of("river")], NOTHING_CAPPED).size == 0


def test_row_level_security_is_forced_on_the_index(database: Database) -> None:
    with database.owner() as connection:
        rows = connection.execute(
            text(
                "SELECT relname, relrowsecurity AND relforcerowsecurity AS forced FROM pg_class "
                "WHERE relnamespace = 'ltmemory'::regnamespace AND relkind = 'r' AND relname LIKE 'word%'"
            )
        ).all()
    assert {row.relname for row in rows if row.forced} == {"word_totals", "word_documents", "word_terms", "word_blocks"}


def test_frequent_terms_beyond_the_budget_are_counted_and_not_read(store: Store) -> None:
    with store.write(CHANGE) as unit:
        unit.words.add(Kind.MESSAGE, [(uuid.uuid4(), "common " + ("rare" if n == 7 else "")) for n in range(50)])
        unit.words.pack(Kind.MESSAGE)
        unit.words.add(Kind.MESSAGE, [(uuid.uuid4(), "common rare")])
    common, rare = term_of("common"), term_of("rare")
    with store.read() as unit:
        found = unit.words.read(Kind.MESSAGE, [common, rare], budget=10)
        assert found.unread == {common}
        assert found.corpus.frequencies == {common: 51, rare: 2}
        assert [len(postings) for postings in found.postings.values()] == [2]
        alone = unit.words.read(Kind.MESSAGE, [common], budget=10)
        assert len(alone.postings[common]) == 51, "the rarest term of a query is always read"


def test_many_fresh_documents_are_packed_by_the_insert(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words_module, "PACK_AFTER", 10)
    with store.write(CHANGE) as unit:
        for _ in range(4):
            unit.words.add(Kind.MESSAGE, [(uuid.uuid4(), "river") for _ in range(4)])
        assert unit.words.fresh_count(Kind.MESSAGE) == 4
    with store.read() as unit:
        assert unit.words.read(Kind.MESSAGE, [term_of("river")], 100).corpus.frequencies[term_of("river")] == 16


def test_words_are_packed_early_by_who_has_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words_module, "PACK_EARLY", 5)
    with store.write(CHANGE) as unit:
        assert unit.words.pack_early(Kind.MESSAGE) == 0, "nothing was ever indexed"
        unit.words.add(Kind.MESSAGE, [(uuid.uuid4(), "river") for _ in range(5)])
        assert unit.words.pack_early(Kind.MESSAGE) == 0
        unit.words.add(Kind.MESSAGE, [(uuid.uuid4(), "river")])
        assert unit.words.pack_early(Kind.MESSAGE) == 6
        assert unit.words.fresh_count(Kind.MESSAGE) == 0


def test_indexing_a_row_twice_is_refused_and_changes_nothing(store: Store) -> None:
    row = uuid.uuid4()
    with store.write(CHANGE) as unit:
        unit.words.add(Kind.MESSAGE, [(row, "river")])
    with pytest.raises(StoreError), store.write(CHANGE) as unit:
        unit.words.add(Kind.MESSAGE, [(row, "river")])
    with store.read() as unit:
        assert unit.words.read(Kind.MESSAGE, [term_of("river")], 100).corpus.documents == 1


def test_a_refused_transaction_leaves_the_statistics_alone(store: Store) -> None:
    with pytest.raises(KeyError), store.write(CHANGE) as unit:
        unit.words.add(Kind.MESSAGE, [(uuid.uuid4(), "river")])
        raise KeyError
    with store.read() as unit:
        assert unit.words.read(Kind.MESSAGE, [term_of("river")], 100).size == 0


def test_nothing_to_do_is_no_error(store: Store) -> None:
    with store.write(CHANGE) as unit:
        unit.words.add(Kind.MESSAGE, [])
        assert unit.words.remove(Kind.MESSAGE, []) == 0
        assert unit.words.remove(Kind.MESSAGE, [uuid.uuid4()]) == 0
        assert unit.words.pack(Kind.MESSAGE) == 0
        assert unit.words.read(Kind.MESSAGE, [], 100).size == 0


def test_counts_come_from_the_packed_terms() -> None:
    from mira_ltmemory.store.analysis import analyse

    packed = [analyse(content).forward.tobytes() for content in ("a river river", "", "tea")]
    assert counts_of(packed, [term_of("river"), term_of("tea")]).tolist() == [[2, 0], [0, 0], [0, 1]]


def test_best_prefers_newer_documents_among_equals_and_keeps_to_the_allowed() -> None:
    scores = Scores(np.array([0, 1, 2, 4], np.int32), np.array([1.0, 3.0, 3.0, 2.0]))
    assert scores.best(2).tolist() == [2, 1]
    assert scores.best(9).tolist() == [2, 1, 4, 0]
    assert scores.best(9, np.array([0, 3, 4], np.int32)).tolist() == [4, 0]


@pytest.mark.parametrize(
    ("content", "query"),
    [
        ("We were RUNNING by the river", "runs"),
        ("Müller’s café", "muller cafe"),
        ("我喜欢东京的猫", "东京"),
        ("我喜欢东京的猫", "猫"),
        ("서울에서 만나요", "서울"),
        ("مَرْحَبًا بك", "مرحبا"),
        ("see you 🎉", "🎉"),
        ("I don't know", "dont"),
        ("user_name = 42", "user 42"),
        ("ｆｕｌｌ width", "full"),
        ("हिन्दी में", "हिन्दी"),
    ],
)
def test_a_text_is_found_by(content: str, query: str) -> None:
    held = {term_of(word) for word in words(content)}
    asked = set(query_terms(query).values())
    assert asked
    assert asked <= held


def test_stop_words_are_asked_for_only_where_there_is_nothing_else() -> None:
    assert list(query_terms("What did the user say about the river?")) == ["user", "river"]
    assert list(query_terms("to be or not to be")) == ["to", "be", "or", "not"]


@given(st.text())
def test_any_text_has_words(content: str) -> None:
    for word in words(content):
        assert word
        term_of(word)


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_plain_text_has_the_same_words_on_both_ways(content: str) -> None:
    assert list(words(content)) == list(words(content + " é"))[:-1]
