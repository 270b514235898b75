"""Canaries: what the doctor finds wrong on purpose, what mends it, and what the prompt then says."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from doubles import FixedClock, WordEmbedder
from sqlalchemy import Connection, text

from mira_ltmemory.composition import MemoryManager, open_memory
from mira_ltmemory.config import MemoryConfig
from mira_ltmemory.protocols import Actor, Change, IncomingMessage, JobRun, Kind, Origin, Role, no_progress
from mira_ltmemory.services.doctor import INDEXES, LEAST_RECALL, QUEUE, SEARCH, WORDS, Doctor, Finding
from mira_ltmemory.store.search import index as index_module
from mira_ltmemory.store.search import index_name
from mira_ltmemory.store.search.index import search_effort
from mira_ltmemory.store.search.upkeep import IndexState, IndexUpkeep, Measured, build_memory

RUN = JobRun(
    name="test",
    scheduled_for=datetime(2025, 5, 5, tzinfo=UTC),
    change=Change(Actor.AUTOMATION, "test"),
    progress=no_progress,
)


@pytest.fixture(params=["embedded", "plain owner"])
def memory(request: pytest.FixtureRequest, config: MemoryConfig, clock: FixedClock) -> Iterator[MemoryManager]:
    """Messages and passages with vectors, in a database of a superuser and in one of a plain owner."""
    url = request.getfixturevalue("plain_owner_url") if request.param == "plain owner" else None
    settings = MemoryConfig(
        user_name=f"doctor-{uuid.uuid4()}", database_url=url, data_dir=None if url else config.data_dir,
        late_interaction=False,
    )  # fmt: skip
    opened = open_memory(settings, clock=clock, embedder=WordEmbedder())
    opened.capture(
        [
            IncomingMessage(
                conversation_id="c", external_id=str(number), role=Role.USER, origin=Origin.USER,
                content=f"word{number} river word{number % 7}", said_at=clock.now(),
            )
            for number in range(40)
        ]
    )  # fmt: skip
    for number in range(15):
        opened.archival.insert(f"passage{number} coffee word{number % 3}")
    opened.process_pending()
    opened.process_pending()
    yield opened
    opened.close()


def wrong(memory: MemoryManager) -> list[Finding]:
    return [each for each in memory.doctor.examine(20, seed=1) if not each.right]


def index_of(memory: MemoryManager, kind: Kind) -> str:
    model_id = memory.embeddings.model_id()
    assert model_id is not None
    return index_name(model_id, kind)


def test_a_sound_memory_has_nothing_wrong(memory: MemoryManager) -> None:
    assert wrong(memory) == []
    told = " ".join(each.told for each in memory.doctor.examine(20))
    assert "A search of messages takes" in told and "The database takes" in told
    assert "finds 100.0% of the 10 nearest messages" in told and "agrees with" in told


def test_a_missing_index_is_found_told_and_built(memory: MemoryManager) -> None:
    name = index_of(memory, Kind.PASSAGE)
    memory.database.maintain([f"DROP INDEX ltmemory.{name}"])
    (found,) = wrong(memory)
    assert found.topic == INDEXES and name in found.told and "index build" in found.remedy
    memory.status.check_health(RUN)
    assert memory.doctor.check() and "index build" in memory.problems.all()[INDEXES]
    assert memory.indexes.build() == [f"built {name}"]
    assert wrong(memory) == [] == [each for each in memory.doctor.check() if not each.right]
    assert INDEXES not in memory.problems.all()
    assert memory.indexes.build() == []


def test_what_a_failed_build_left_is_dropped(memory: MemoryManager) -> None:
    """A unique index over what is not unique fails when it is built concurrently, and stays behind, invalid."""
    with pytest.raises(Exception, match="unique"):
        memory.database.maintain(
            ["CREATE UNIQUE INDEX CONCURRENTLY hnsw_vectors_left_ccnew ON ltmemory.vectors (user_id, kind)"]
        )
    (found,) = wrong(memory)
    assert found.topic == INDEXES and "hnsw_vectors_left_ccnew" in found.told
    report = memory.indexes.run(RUN)
    assert "hnsw_vectors_left_ccnew" in report.summary and report.counts["mended"] == 1
    assert wrong(memory) == []


def test_every_index_can_be_built_anew(memory: MemoryManager) -> None:
    names = [state.name for state in memory.indexes.states() if state.there]
    done = memory.indexes.reindex()
    assert len(done) == len(names) and all(name in " ".join(done) for name in names)
    assert all(state.valid for state in memory.indexes.states() if state.name in names)
    assert [hit.content for hit in memory.archival.search("passage3", limit=1).hits] == ["passage3 coffee word0"]


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM ltmemory.word_terms WHERE user_id = :user_id AND kind = 1",
        "UPDATE ltmemory.word_totals SET documents = documents + 1 WHERE user_id = :user_id",
        "UPDATE ltmemory.word_documents SET terms = '' WHERE user_id = :user_id AND kind = 1",
        "DELETE FROM ltmemory.word_documents WHERE user_id = :user_id AND kind = 2 AND document = 3",
    ],
)
def test_a_damaged_word_index_is_found_and_made_anew(memory: MemoryManager, damage: str) -> None:
    before = [hit.content for hit in memory.recall.search("word3").hits]
    with memory.store.upkeep() as unit:
        unit.words.pack(Kind.MESSAGE)
        unit.words.execute(damage)
    found = wrong(memory)
    assert found and {each.topic for each in found} == {WORDS}
    assert memory.indexes.words() == 55
    assert wrong(memory) == []
    assert [hit.content for hit in memory.recall.search("word3").hits] == before


def test_a_lost_vector_is_found_and_embedded_again(memory: MemoryManager) -> None:
    with memory.database.owner() as connection:
        connection.execute(
            text("SELECT set_config('ltmemory.user_id', CAST(:id AS text), true)"), {"id": memory.store.user_id}
        )
        lost = connection.execute(
            text("DELETE FROM ltmemory.vectors WHERE user_id = :id AND kind = 'passage'"), {"id": memory.store.user_id}
        ).rowcount
    assert lost == 15
    (found,) = wrong(memory)
    assert found.topic == QUEUE and "15 have none" in found.told and "work" in found.remedy
    memory.status.check_health(RUN)
    memory.process_pending()
    assert wrong(memory) == []


def test_a_queue_that_stands_still_is_told(memory: MemoryManager, clock: FixedClock) -> None:
    memory.archival.insert("a word that waits")
    with memory.store.upkeep() as unit:
        ids = [row.id for row in unit.words.execute("SELECT id FROM ltmemory.passages WHERE user_id = :user_id")]
        unit.vectors.execute(
            "INSERT INTO ltmemory.pending_embeddings (user_id, kind, row_id, enqueued_by) "
            "SELECT :user_id, 'passage', :id, max(id) FROM ltmemory.change_sets WHERE user_id = :user_id "
            "ON CONFLICT DO NOTHING", id=ids[0],
        )  # fmt: skip
    assert wrong(memory) == []
    clock.advance(days=2)
    (found,) = wrong(memory)
    assert found.topic == QUEUE and "48 hours" in found.told
    memory.doctor.check()
    assert "process_conversations" in memory.problems.all()[QUEUE]
    memory.process_pending()
    memory.doctor.check()
    assert QUEUE not in memory.problems.all()


def test_an_index_that_answers_badly_is_told_and_tuned(memory: MemoryManager, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index that looks at one candidate finds one neighbour of ten."""
    from mira_ltmemory.services import index_upkeep

    monkeypatch.setattr(index_upkeep, "_TUNED_ROWS", 0)
    state = next(each for each in memory.indexes.states() if each.name == index_of(memory, Kind.MESSAGE))
    poor = index_upkeep.Measured(1, 0.1, 40, memory.clock.now())
    index_upkeep.IndexUpkeep(memory.database).note(state, poor)
    with memory.store.read() as unit:
        unit.search.execute("SET LOCAL hnsw.iterative_scan = off")
        assert memory.embeddings.model_id() is not None
        (asked,) = unit.canaries.vectors(Kind.MESSAGE, state.model_id, state.dimension, 10, [1], 0.99, random.Random(1))
    assert asked.recall <= 0.2
    tuned = {each.state.name: each for each in memory.indexes.tune()}
    assert tuned[state.name].before == 1 and tuned[state.name].measured.ef_search == 100
    again = next(each for each in memory.indexes.states() if each.name == state.name)
    assert again.effort == 100 and again.measured is not None and again.measured.recall >= 0.99
    assert SEARCH not in {each.topic for each in wrong(memory)}


@pytest.mark.parametrize(
    ("shares", "tunes", "told"),
    [
        ([1.0, 1.0], 0, None),
        ([0.8, 1.0, 0.98, 1.0], 0, None),
        ([0.8, 1.0, 0.9, 1.0, 0.99, 1.0], 1, None),
        ([0.8, 1.0, 0.9, 1.0, 0.94, 1.0], 1, "0.94"),
    ],
    ids=["good", "one row of five lies badly", "mended by tuning", "not mended"],
)
def test_a_sample_that_looks_bad_is_looked_at_more_closely_and_mended_before_it_is_told(
    memory: MemoryManager, shares: list[float], tunes: int, told: str | None
) -> None:
    tuned: list[str] = []
    found = iter(shares)

    class Chancy(Doctor):
        """Two kinds are looked at each time."""

        def _vectors(self, kind: Kind, *_: object) -> Iterator[Finding]:
            share = next(found)
            yield Finding(SEARCH, share >= LEAST_RECALL, f"{kind} {share}", "Run: something")

    doctor = Chancy(
        memory.store, memory.clock, memory.embeddings, memory.problems, max_embedded_chars=100, tokens=False,
        tune=lambda: tuned.append("tuned"),
    )  # fmt: skip
    assert all(each.right for each in doctor.check()) == (told is None)
    assert len(tuned) == tunes and next(found, None) is None
    assert (told or "") in memory.problems.all().get(SEARCH, "")
    assert (SEARCH in memory.problems.all()) == (told is not None)


def test_an_index_that_outgrew_its_graph_gets_a_better_one_and_is_measured_anew(
    memory: MemoryManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = index_of(memory, Kind.MESSAGE)
    memory.indexes.build()
    state = state_of(memory, name)
    IndexUpkeep(memory.database).note(state, Measured(300, 0.99, 40, memory.clock.now()))
    assert f"rebuilt {name}" not in " ".join(memory.indexes.build())
    assert state_of(memory, name).effort == 300
    monkeypatch.setattr(index_module, "MANY", 2_000_000)
    few = build_memory(500_000, 384, embedded=False)
    monkeypatch.setattr(index_module, "MANY", 10)
    assert build_memory(500_000, 384, embedded=False) > few
    heavy = IndexUpkeep._heavy

    def cut(upkeep: IndexUpkeep, connection: Connection, statement: str, rows: int, of: IndexState, told: str) -> None:
        if of.name == name:  # other tests' indexes are rebuilt too
            raise OSError("power")
        heavy(upkeep, connection, statement, rows, of, told)

    with monkeypatch.context() as broken, pytest.raises(OSError, match="power"):
        broken.setattr(IndexUpkeep, "_heavy", cut)
        memory.indexes.build()
    state = state_of(memory, name)
    assert state.built == state.wanted and state.unfinished and state.to_do == "reindex"
    assert name not in {each.state.name for each in memory.indexes.tune()}
    assert f"rebuilt {name} with m = 24, ef_construction = 200" in memory.indexes.build()
    state = state_of(memory, name)
    assert state.to_do is None and state.measured is None and state.effort == search_effort(state.rows)
    monkeypatch.setattr(index_module, "MANY", state.rows + 1)
    assert state_of(memory, name).to_do is None  # a little below the line
    assert SEARCH not in {each.topic for each in wrong(memory)}
    monkeypatch.undo()
    assert f"rebuilt {name} with m = 16, ef_construction = 64" in memory.indexes.build()  # for the tests after this one


def state_of(memory: MemoryManager, name: str) -> IndexState:
    return next(each for each in memory.indexes.states() if each.name == name)


def test_effort_that_finds_no_more_is_not_spent() -> None:
    from mira_ltmemory.services.index_upkeep import _chosen
    from mira_ltmemory.store.search.canaries import VectorSample

    tried = [VectorSample(100, 30, 0.90), VectorSample(200, 30, 0.982), VectorSample(800, 30, 0.985)]
    assert _chosen(tried).effort == 200
    assert _chosen([*tried, VectorSample(900, 30, 0.99)]).effort == 900
    unsure = VectorSample(900, 30, 0.991, error=0.004)
    assert _chosen([VectorSample(400, 30, 0.985), unsure]).effort == 900
    assert _chosen([VectorSample(400, 30, 0.988), unsure]).effort == 400


@pytest.mark.parametrize("texts", [1, 2, 3])
def test_a_memory_of_a_few_texts_is_looked_at_too(memory: MemoryManager, texts: int) -> None:
    for number in range(texts):
        memory.archival.insert(f"Note {number} about the garden.")
    assert all(each.right for each in memory.doctor.check())
