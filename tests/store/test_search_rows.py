"""Candidates: filters hold inside the search, plans use the indexes, features are exact."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sqlalchemy import text

from mira_ltmemory.errors import InvalidArgument
from mira_ltmemory.protocols import Actor, Category, Change, Clock, EmbeddingModel, Filter, Kind, Origin, Role
from mira_ltmemory.store.analysis import query_terms
from mira_ltmemory.store.database import Database
from mira_ltmemory.store.models import Conversation, Message, Passage, content_hash
from mira_ltmemory.store.search import CandidateQuery, index_name, register_model
from mira_ltmemory.store.search import index as index_module
from mira_ltmemory.store.search import scope as scope_module
from mira_ltmemory.store.search.sql import Plan, VectorSide, candidates
from mira_ltmemory.store.search.upkeep import IndexUpkeep
from mira_ltmemory.store.unit_of_work import SqlUnitOfWork, Store
from mira_ltmemory.store.vectors import PendingText

CHANGE = Change(Actor.SYSTEM, "test")
DIMENSION = 16
MODEL = EmbeddingModel("test-search", DIMENSION, "0" * 64, 32)
START = datetime(2025, 1, 1, tzinfo=UTC)


def direction(seed: int) -> NDArray[np.float32]:
    vector = np.random.default_rng(seed).standard_normal(DIMENSION).astype(np.float32)
    return np.asarray(vector / np.linalg.norm(vector))


def embed(unit: SqlUnitOfWork, kind: Kind, rows: Sequence[Message | Passage], model_id: int) -> None:
    items = [PendingText(kind, row.id, row.content_hash, row.content) for row in rows]
    seeds = [int(row.meta["seed"]) for row in rows]
    unit.vectors.add(items, np.stack([direction(seed) for seed in seeds]), model_id)


def add_messages(
    store: Store, contents: Sequence[str], model_id: int | None = None, **changes: object
) -> list[Message]:
    """One conversation with these messages, ten minutes apart, from user and assistant in turn."""
    with store.write(CHANGE) as unit:
        name = f"c{uuid.uuid4()}"
        key = unit.messages.conversation_key(name)
        own = {"user_id": store.user_id, "change_set_id": unit.change_set_id}
        unit.messages.ensure_conversation(Conversation(**own, id=key, origin="user", external_id=name))
        rows = []
        for number, content in enumerate(contents):
            role = Role.USER if number % 2 == 0 else Role.ASSISTANT
            values: dict[str, object] = {
                "role": role.value, "origin": role.value, "position": number * 10,
                "said_at": START + timedelta(minutes=10 * number), "meta": {"seed": number},
            } | changes  # fmt: skip
            rows.append(
                Message(
                    **own, id=uuid.uuid4(), conversation_id=key, external_id=f"m{number}", content=content,
                    content_hash=content_hash(content), **values,
                )
            )  # fmt: skip
        unit.messages.add(rows, [])
        unit.words.add(Kind.MESSAGE, [(row.id, row.content) for row in rows])
        if model_id is not None:
            embed(unit, Kind.MESSAGE, rows, model_id)
    return rows


Row = tuple[str, Sequence[str], str, int]


def add_passages(
    store: Store, rows: Sequence[Row], model_id: int, more: Sequence[tuple[str, bool]] = ()
) -> list[Passage]:
    """Passages of (content, tags, tier, day); ``more`` gives the category of each, and whether it is ended."""
    with store.write(CHANGE) as unit:
        made = [
            Passage(
                user_id=store.user_id, change_set_id=unit.change_set_id, id=uuid.uuid4(),
                origin=(Origin.USER if day % 2 else Origin.WEB).value, content=content,
                content_hash=content_hash(content), tags=list(tags), tier=tier, said_at=START + timedelta(days=day),
                meta={"seed": number}, category=category, valid_until=START if ended else None,
            )
            for number, ((content, tags, tier, day), (category, ended)) in enumerate(
                zip(rows, more or [("note", False)] * len(rows), strict=True)
            )
        ]  # fmt: skip
        unit.passages.add(made)
        unit.words.add(Kind.PASSAGE, [(row.id, row.content) for row in made])
        if made:
            embed(unit, Kind.PASSAGE, made, model_id)
    return made


def asked(kind: Kind, query: str = "", *, filter: Filter | None = None, **more: object) -> CandidateQuery:
    return CandidateQuery(kind=kind, filter=filter or Filter(), terms=query_terms(query), **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def model_id(database: Database) -> int:
    return register_model(database, MODEL)


def test_registering_a_model_again_changes_nothing(database: Database, model_id: int) -> None:
    assert register_model(database, MODEL) == model_id
    other = EmbeddingModel("test-search", DIMENSION, "1" * 64, 32)
    assert register_model(database, other) != model_id
    with database.owner() as connection:
        for kind in (Kind.MESSAGE, Kind.PASSAGE):
            there = text("SELECT to_regclass(:name)")
            assert connection.execute(there, {"name": f"ltmemory.{index_name(model_id, kind)}"}).scalar()


def test_a_lost_index_of_many_vectors_is_left_to_upkeep(
    database: Database, model_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "BUILT_AT_ONCE", -2)
    new = register_model(database, EmbeddingModel("test-search", DIMENSION, "2" * 64, 32))
    names = [f"ltmemory.{index_name(each, Kind.PASSAGE)}" for each in (new, model_id)]
    with database.owner() as connection:
        assert connection.execute(text("SELECT to_regclass(:name)"), {"name": names[0]}).scalar(), (
            "a new model's is made"
        )
        connection.execute(text(f"DROP INDEX {names[1]}"))
    assert register_model(database, MODEL) == model_id
    with database.owner() as connection:
        assert connection.execute(text("SELECT to_regclass(:name)"), {"name": names[1]}).scalar() is None
    assert f"built {index_name(model_id, Kind.PASSAGE)}" in IndexUpkeep(database).mend()


def test_a_lost_index_is_made_again(database: Database, model_id: int) -> None:
    name = f"ltmemory.{index_name(model_id, Kind.PASSAGE)}"
    with database.owner() as connection:
        connection.execute(text(f"DROP INDEX {name}"))
    assert register_model(database, MODEL) == model_id
    with database.owner() as connection:
        assert connection.execute(text("SELECT to_regclass(:name)"), {"name": name}).scalar()


TAGS = ["travel", "food", "work"]
passages = st.lists(
    st.tuples(
        st.lists(st.sampled_from(["river", "coffee", "tea"]), min_size=1, max_size=3).map(" ".join),
        st.lists(st.sampled_from(TAGS), max_size=3, unique=True),
        st.sampled_from(["hot", "cold"]),
        st.integers(0, 6),
    ),
    max_size=12,
)
kinds = st.lists(st.tuples(st.sampled_from(Category).map(str), st.booleans()), min_size=12, max_size=12)
filters = st.builds(
    Filter,
    tags=st.lists(st.sampled_from([*TAGS, "nowhere"]), max_size=2, unique=True).map(tuple),
    tag_match_mode=st.sampled_from(["any", "all"]),
    origins=st.sampled_from([(), (Origin.USER,), (Origin.USER, Origin.WEB), (Origin.TOOL,)]),
    start=st.one_of(st.none(), st.integers(0, 6).map(lambda day: START + timedelta(days=day))),
    end=st.one_of(st.none(), st.integers(0, 6).map(lambda day: START + timedelta(days=day))),
    tiers=st.sampled_from([(), ("hot",), ("cold",), ("hot", "cold")]),
    categories=st.sampled_from([(), ("note",), ("fact", "insight"), ("other",)]),
    include_ended=st.booleans(),
)


def passes(row: Passage, wanted: Filter) -> bool:
    """The filter, in plain Python."""
    match = all if wanted.tag_match_mode == "all" else any
    return (
        (not wanted.tags or match(tag in row.tags for tag in wanted.tags))
        and (not wanted.origins or row.origin in {origin.value for origin in wanted.origins})
        and (wanted.start is None or row.said_at >= wanted.start)
        and (wanted.end is None or row.said_at < wanted.end)
        and (not wanted.tiers or row.tier in wanted.tiers)
        and (not wanted.categories or row.category in wanted.categories)
        and (wanted.include_ended or row.valid_until is None)
    )


@settings(max_examples=40)
@given(rows=passages, more=kinds, wanted=filters, query=st.sampled_from(["river", "coffee tea", "absent"]))
@pytest.mark.parametrize("exact_rows", [0, 5_000])
def test_filters_equal_brute_force(
    database: Database, clock: Clock, model_id: int, monkeypatch: pytest.MonkeyPatch, exact_rows: int,
    rows: list[Row], more: list[tuple[str, bool]], wanted: Filter, query: str,
) -> None:  # fmt: skip
    search_as_if_rows_were(monkeypatch, exact_rows)
    store = Store(database, uuid.uuid4(), clock)
    made = add_passages(store, rows, model_id, more[: len(rows)])
    expected = {str(row.id) for row in made if passes(row, wanted)}
    spoken = {str(row.id) for row in made if str(row.id) in expected and set(query.split()) & set(row.content.split())}
    with store.read() as unit:
        by_words = unit.search.candidates(asked(Kind.PASSAGE, query, filter=wanted))
        by_both = unit.search.candidates(
            asked(Kind.PASSAGE, query, filter=wanted, vector=direction(1), model_id=model_id)
        )
        newest = unit.search.newest(Kind.PASSAGE, wanted, 50)
    assert {row.id for row in by_words.rows if row.eligible} == spoken
    assert {row.id for row in by_both.rows if row.eligible} == expected
    in_time = sorted((row for row in made if str(row.id) in expected), key=lambda row: str(row.id))
    assert newest == [str(row.id) for row in sorted(in_time, key=lambda row: row.said_at, reverse=True)]
    assert by_both.total == len(expected)


messages = st.lists(st.tuples(st.sampled_from(Role), st.sampled_from(Origin), st.integers(0, 4)), max_size=9)


@settings(max_examples=30)
@given(
    rows=messages,
    roles=st.lists(st.sampled_from(Role), max_size=2, unique=True).map(tuple),
    origins=st.lists(st.sampled_from(Origin), max_size=2, unique=True).map(tuple),
    bounds=st.tuples(st.none() | st.integers(0, 4), st.none() | st.integers(0, 4)),
    in_first=st.booleans(),
)
@pytest.mark.parametrize("exact_rows", [0, 5_000])
def test_filters_of_messages_equal_brute_force(
    database: Database, clock: Clock, model_id: int, monkeypatch: pytest.MonkeyPatch, exact_rows: int,
    rows: list[tuple[Role, Origin, int]], roles: tuple[Role, ...], origins: tuple[Origin, ...],
    bounds: tuple[int | None, int | None], in_first: bool,
) -> None:  # fmt: skip
    search_as_if_rows_were(monkeypatch, exact_rows)
    store = Store(database, uuid.uuid4(), clock)
    made = [
        add_messages(
            store, ["river"], model_id, role=role.value, origin=origin.value, said_at=START + timedelta(days=day)
        )
        for role, origin, day in rows
    ]
    first, last = (None if day is None else START + timedelta(days=day) for day in bounds)
    one = made[0][0].conversation_id if made and in_first else None
    wanted = Filter(roles=roles, origins=origins, start=first, end=last, conversation_id=one)
    expected = {
        str(row.id)
        for (row,) in made
        if (not roles or row.role in roles) and (not origins or row.origin in origins)
        and (first is None or row.said_at >= first) and (last is None or row.said_at < last)
        and (one is None or row.conversation_id == one)
    }  # fmt: skip
    with store.read() as unit:
        found = unit.search.candidates(
            asked(Kind.MESSAGE, "river", filter=wanted, vector=direction(1), model_id=model_id)
        )
    assert {row.id for row in found.rows if row.eligible} == expected
    assert found.total == len(expected)


def search_as_if_rows_were(monkeypatch: pytest.MonkeyPatch, exact_rows: int) -> None:
    """Few (every row is compared) or many (a sample decides, and the index leads)."""
    for name in ("EXACT_ROWS", "EXACT_BALANCE_FILTERED", "EXACT_BALANCE"):
        monkeypatch.setattr(scope_module, name, exact_rows)


def tagged(store: Store, tag: str) -> set[UUID]:
    """Ids of the passages that a filter on the tag finds."""
    with store.read() as unit:
        return {UUID(id) for id in unit.search.newest(Kind.PASSAGE, Filter(tags=(tag,)), 50)}


def test_tags_follow_their_passages(store: Store, model_id: int) -> None:
    long = "x" * 5_000
    one, two = add_passages(store, [("a", ["red", long], "hot", 1), ("b", ["red", "red", "blue"], "hot", 2)], model_id)
    assert tagged(store, "red") == {one.id, two.id} and tagged(store, "blue") == {two.id} == tagged(store, "blue")
    assert tagged(store, long) == {one.id} and tagged(store, long + "x") == set()
    with store.write(CHANGE) as unit:
        unit.passages.execute(
            "UPDATE ltmemory.passages SET tags = array_replace(tags, 'red', 'green') WHERE user_id = :user_id "
            "AND id = :id", id=one.id,
        )  # fmt: skip
    assert tagged(store, "red") == {two.id} and tagged(store, "green") == {one.id} == tagged(store, long)
    with store.write(CHANGE) as unit:
        unit.passages.execute("DELETE FROM ltmemory.passages WHERE user_id = :user_id AND id = :id", id=two.id)
    assert tagged(store, "red") == set() == tagged(store, "blue")
    with store.read() as unit:
        kept = unit.search.execute("SELECT count(*) FROM ltmemory.passage_tags WHERE user_id = :user_id").scalar()
    assert kept == 2


def test_rows_that_lie_far_from_the_query_are_found_all_the_same(
    store: Store, model_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    search_as_if_rows_were(monkeypatch, 0)
    made = add_passages(store, [("river", ["rare"] if n < 9 else [], "hot", 1) for n in range(300)], model_id)
    with store.read() as unit:
        # The scan of the index ends early, as it would among many more rows; without it the planner, which sees few
        # rows here, may gather and sort them.
        unit.search.execute(
            "SELECT set_config('hnsw.iterative_scan', 'off', true), set_config('hnsw.ef_search', '10', true), "
            "set_config('enable_sort', 'off', true), set_config('enable_bitmapscan', 'off', true)"
        )
        query = asked(Kind.PASSAGE, filter=Filter(tags=("rare",)), vector=direction(200), model_id=model_id)
        found = unit.search.candidates(query)
    assert {row.id for row in found.rows if row.eligible} == {str(row.id) for row in made[:9]}
    assert found.exact


def test_many_rows_are_estimated_from_a_sample(store: Store, model_id: int, monkeypatch: pytest.MonkeyPatch) -> None:
    search_as_if_rows_were(monkeypatch, 0)
    add_passages(store, [("river", [], "hot" if n % 2 else "cold", n // 100) for n in range(1_000)], model_id)
    with store.read() as unit:
        half = unit.search.candidates(asked(Kind.PASSAGE, "river", filter=Filter(tiers=("cold",))))
        late = unit.search.candidates(asked(Kind.PASSAGE, "river", filter=Filter(start=START + timedelta(days=9))))
        newest = unit.search.candidates(asked(Kind.PASSAGE, "river", filter=Filter(include_ended=True)))
    assert 400 < half.total < 600 and len([row for row in half.rows if row.eligible]) == 100
    assert 60 < late.total < 140 and len([row for row in late.rows if row.eligible]) == 100
    assert newest.total == 1_000


@pytest.mark.parametrize("exact_rows", [0, 5_000])
def test_message_filters_hold_for_neighbours_too(
    store: Store, model_id: int, monkeypatch: pytest.MonkeyPatch, exact_rows: int
) -> None:
    search_as_if_rows_were(monkeypatch, exact_rows)
    rows = add_messages(store, [f"river number {n}" for n in range(8)], model_id)
    add_messages(store, ["river elsewhere"], model_id)
    for wanted, expected in [
        (Filter(roles=(Role.USER,), conversation_id=rows[0].conversation_id), {0, 2, 4, 6}),
        (Filter(origins=(Origin.ASSISTANT,)), {1, 3, 5, 7}),
        (Filter(start=rows[2].said_at, end=rows[5].said_at), {2, 3, 4}),
        (Filter(conversation_id=uuid.uuid4()), set()),
    ]:
        query = asked(Kind.MESSAGE, "river", filter=wanted, vector=direction(1), model_id=model_id, by_words=2)
        with store.read() as unit:
            found = unit.search.candidates(query)
        assert {row.id for row in found.rows if row.eligible} == {str(rows[n].id) for n in expected}


@pytest.mark.parametrize(
    ("kind", "wanted", "field"),
    [
        (Kind.MESSAGE, Filter(tags=("a",)), "tags"),
        (Kind.MESSAGE, Filter(tiers=("hot",)), "tiers"),
        (Kind.PASSAGE, Filter(roles=(Role.USER,)), "roles"),
        (Kind.PASSAGE, Filter(conversation_id=uuid.uuid4()), "conversation_id"),
    ],
)
def test_a_filter_on_what_the_rows_lack_is_refused(store: Store, kind: Kind, wanted: Filter, field: str) -> None:
    with store.read() as unit, pytest.raises(InvalidArgument, match=field):
        unit.search.candidates(asked(kind, "river", filter=wanted))


def test_neighbours_come_with_a_message_and_are_linked(store: Store) -> None:
    rows = add_messages(store, ["one", "two", "three", "target", "five", "six", "seven"])
    with store.read() as unit:
        found = unit.search.candidates(asked(Kind.MESSAGE, "target"))
    at = {row.id: index for index, row in enumerate(found.rows)}
    assert set(at) == {str(row.id) for row in rows[1:6]}
    order = [at[str(row.id)] for row in rows[1:6]]
    assert found.next[order].tolist() == [*order[1:], -1]
    assert found.previous[order].tolist() == [-1, *order[:-1]]
    assert [found.rows[index].eligible for index in order] == [False, True, True, True, False]


def test_the_message_that_begins_its_conversation_is_known_where_its_neighbours_are(store: Store) -> None:
    rows = add_messages(store, ["target here", "two", "three", "four", "target again"])
    with store.read() as unit:
        found = unit.search.candidates(asked(Kind.MESSAGE, "target"))
        quick = unit.search.candidates(asked(Kind.MESSAGE, "target", reach=0))
    assert {row.id for row, first in zip(found.rows, found.first, strict=True) if first} == {str(rows[0].id)}
    assert not quick.first.any()


def test_cosine_and_counts_are_there_for_every_candidate(store: Store, model_id: int) -> None:
    rows = add_messages(store, ["river river", "tea", "coffee"], model_id)
    fresh = add_messages(store, ["the river again"])
    with store.read() as unit:
        found = unit.search.candidates(asked(Kind.MESSAGE, "river", vector=direction(2), model_id=model_id, reach=0))
    cosine = {row.id: value for row, value in zip(found.rows, found.cosine, strict=True)}
    counts = {row.id: value for row, value in zip(found.rows, found.counts[:, 0], strict=True)}
    for number, row in enumerate(rows):
        assert cosine[str(row.id)] == pytest.approx(float(direction(number) @ direction(2)), abs=2e-3)
    assert np.isnan(cosine[str(fresh[0].id)]), "not embedded yet"
    assert [counts[str(row.id)] for row in [*rows, *fresh]] == [2, 0, 0, 1]
    assert found.term_scores().shape == (4, 1)


def test_rows_of_a_named_time_are_candidates(store: Store, model_id: int) -> None:
    rows = add_messages(store, ["one", "two", "three"], model_id)
    named = [(rows[1].said_at, rows[2].said_at)]
    for vector in (None, direction(0)):
        with store.read() as unit:
            found = unit.search.candidates(
                asked(Kind.MESSAGE, "absent", ranges=named, vector=vector, model_id=model_id, by_vector=1, reach=0)
            )
        assert str(rows[1].id) in {row.id for row in found.rows}
        assert str(rows[2].id) not in {row.id for row in found.rows}


def test_a_superseded_text_is_not_found_by_its_old_vector(store: Store, model_id: int) -> None:
    (row,) = add_messages(store, ["river"], model_id)
    with store.write(CHANGE) as unit:
        unit.messages.execute(
            "UPDATE ltmemory.messages SET content = 'tea', content_hash = :hash WHERE user_id = :user_id AND id = :id",
            hash=content_hash("tea"),
            id=row.id,
        )
        unit.words.replace(Kind.MESSAGE, [(row.id, "tea")])
    with store.read() as unit:
        by_vector = unit.search.candidates(asked(Kind.MESSAGE, vector=direction(0), model_id=model_id))
        assert by_vector.rows == []
        assert unit.search.candidates(asked(Kind.MESSAGE, "river")).rows == []
        assert len(unit.search.candidates(asked(Kind.MESSAGE, "tea")).rows) == 1


def test_users_never_see_each_other(database: Database, clock: Clock, model_id: int) -> None:
    first, second = (Store(database, uuid.uuid4(), clock) for _ in range(2))
    rows: dict[UUID, set[str]] = {}
    for store in (first, second):
        rows[store.user_id] = {str(row.id) for row in add_messages(store, ["river one", "river two"], model_id)}
    for store in (first, second):
        with store.read() as unit:
            found = unit.search.candidates(asked(Kind.MESSAGE, "river", vector=direction(1), model_id=model_id))
            assert {row.id for row in found.rows} == rows[store.user_id]
            other = next(user for user in rows if user != store.user_id)
            assert unit.search.details(Kind.MESSAGE, list(rows[other])) == {}
        assert found.total == 2


def explained(unit: SqlUnitOfWork, statement: str, **parameters: object) -> str:
    rows = unit.search.execute(f"EXPLAIN {statement.split(';')[-1]}", **parameters).all()
    return "\n".join(row[0] for row in rows)


def test_plans_use_the_indexes_as_the_application_role(database: Database, store: Store, model_id: int) -> None:
    add_messages(store, [f"river {n % 300} {n % 7}" for n in range(3_000)], model_id)
    with database.owner() as connection:
        for table in ("messages", "vectors", "word_documents"):
            connection.execute(text(f"ANALYZE ltmemory.{table}"))
    vector = "[" + ",".join(str(number) for number in direction(1)) + "]"
    with store.read() as unit:
        assert unit.search.execute("SELECT current_user").scalar() == "ltmemory_app"
        leading = VectorSide(model_id, DIMENSION, Plan.INDEX)
        plan = explained(unit, leading.nearest(Kind.MESSAGE, "true"), vector=vector, nearest=10)
        assert index_name(model_id, Kind.MESSAGE) in plan
        exact = VectorSide(model_id, DIMENSION, Plan.EXACT)
        plan = explained(unit, exact.nearest(Kind.MESSAGE, "true"), vector=vector, nearest=10)
        assert index_name(model_id, Kind.MESSAGE) not in plan
        unit.search.execute("SET LOCAL enable_seqscan = off")  # nobody else's rows are in the way of reading all
        whole = candidates(Kind.MESSAGE, "true", leading, reach=2)
        plan = explained(
            unit, whole, vector=vector, mean=vector, nearest=10, kind_number=1, documents=[5, 9], excerpt=100, around=9
        )
    assert "Seq Scan" not in plan
    for index in ("pk_word_documents", "pk_messages", "ix_messages_user_id_conversation_id_position", "pk_vectors"):
        assert index in plan
