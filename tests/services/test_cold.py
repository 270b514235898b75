"""Cold storage: out of the indexes, still found, and back again."""

from __future__ import annotations

from itertools import product
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.errors import InvalidArgument
from mira_ltmemory.protocols import Actor, Change, Filter, IncomingMessage, Kind, Origin, Role
from mira_ltmemory.services.search.tiers import COLD_ONLY, FELL_BACK
from mira_ltmemory.store import cold
from mira_ltmemory.store.analysis import query_terms, term_of
from mira_ltmemory.store.codes import bits, code_bits, cosines, packed_floats
from mira_ltmemory.store.search import CandidateQuery
from mira_ltmemory.store.words import KIND_NUMBERS

BY_JOB = Change(Actor.AUTOMATION, "test")
PASSAGE_IDS = "SELECT id FROM ltmemory.passages WHERE user_id = :user_id"
NAMES = ("Ruth", "Nils", "Ada", "Bo", "Ingrid", "Tom", "Eva")
THINGS = ("boat", "oboe", "garden key", "tea cup", "old map", "red car", "lamp", "blue door", "cat")
TEXTS = ("Ruth plays the oboe in Bergen", "The boat is called Petrel", "Ada was born in May", "Tea without sugar")


def freeze(memory: MemoryManager, *ids: UUID) -> int:
    with memory.store.write(BY_JOB) as unit:
        unit.passages.execute(
            "UPDATE ltmemory.passages SET tier = 'cold' WHERE user_id = :user_id AND id = ANY(CAST(:ids AS uuid[]))",
            ids=list(ids),
        )
        unit.cold.freeze(Kind.PASSAGE, ids)
        return unit.change_set_id


def fill(memory: MemoryManager) -> list[UUID]:
    return [memory.archival.insert(text, ["kept"]).id for text in TEXTS]


def indexed(memory: MemoryManager, row_id: UUID) -> tuple[int, int]:
    with memory.store.read() as unit:
        counts = [
            unit.passages.execute(
                f"SELECT count(*) FROM ltmemory.{table} WHERE user_id = :user_id AND row_id = :id AND kind = {kind}",
                id=row_id,
            ).scalar_one()
            for table, kind in (("vectors", "'passage'"), ("word_documents", KIND_NUMBERS[Kind.PASSAGE]))
        ]
    return counts[0], counts[1]


def test_a_cold_passage_leaves_the_indexes_and_is_found_when_asked_for(memory: MemoryManager) -> None:
    oboe, *_ = fill(memory)
    assert indexed(memory, oboe) == (1, 1)
    freeze(memory, oboe)
    assert indexed(memory, oboe) == (0, 0)
    assert "oboe" not in str(memory.archival.search("who plays the oboe", Filter(tiers=("hot",))).hits)
    found = memory.archival.search("who plays an instrument", Filter(tiers=("cold",)))
    assert [(hit.id, hit.tier) for hit in found.hits] == [(oboe, "cold")]
    assert found.notes[0] == COLD_ONLY
    both = memory.archival.search("who plays the oboe", Filter(tiers=("hot", "cold")))
    assert oboe in [hit.id for hit in both.hits[:2]]
    assert both.total == len(TEXTS)


def test_filters_hold_in_cold_storage(memory: MemoryManager) -> None:
    freeze(memory, *fill(memory))
    cold = ("cold",)
    assert memory.archival.search("oboe", Filter(tiers=cold, tags=("other",))).hits == ()
    assert memory.archival.search("oboe", Filter(tiers=cold, tags=("kept",))).hits[0].content == TEXTS[0]
    with pytest.raises(InvalidArgument, match="lukewarm"):
        memory.archival.search("oboe", Filter(tiers=("lukewarm",)))


def test_it_is_looked_into_where_nothing_current_is_found(memory: MemoryManager) -> None:
    freeze(memory, *fill(memory))
    found = memory.archival.search("what is the boat called")
    assert found.hits[0].content == TEXTS[1]
    assert FELL_BACK in found.notes


def test_the_same_rows_in_the_same_order_as_before(memory: MemoryManager) -> None:
    ids = fill(memory)
    queries = ("oboe", "which month is the birthday", "something to drink", "boat name")
    before = [[hit.id for hit in memory.archival.search(query).hits[:1]] for query in queries]
    freeze(memory, *ids)
    cold = Filter(tiers=("cold",))
    assert [[hit.id for hit in memory.archival.search(query, cold).hits[:1]] for query in queries] == before


def test_what_is_searched_by_bits_and_packed_words_is_what_a_comparison_of_all_finds(
    memory: MemoryManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"{who} keeps the {what} of house {number}" for number, (who, what) in enumerate(product(NAMES, THINGS))]
    ids = [memory.archival.insert(text, ["odd" if n % 7 == 0 else "even"]).id for n, text in enumerate(texts)]
    freeze(memory, *ids)
    embedded = memory.embeddings.embed_now([*texts, "who has got a boat"])
    assert embedded is not None
    cosine = embedded.vectors[:-1] @ embedded.vectors[-1]
    # Small bounds, so that few of the rows are counted, and compared at a time.
    monkeypatch.setattr(cold, "_SAMPLED", 20)
    monkeypatch.setattr(cold, "_RANKED", 30)
    for tags in ((), ("even",), ("odd",)):
        wanted = Filter(tags=tags)
        query = CandidateQuery(
            kind=Kind.PASSAGE, filter=wanted, terms=query_terms("boat of Nils"), vector=embedded.vectors[-1],
            model_id=embedded.model_id, by_words=8, by_vector=5,
        )  # fmt: skip
        with memory.store.read() as unit:
            found = unit.cold.candidates(query)
        passing = [n for n in range(len(texts)) if tags in ((), ("odd" if n % 7 == 0 else "even",))]
        nearest = sorted(passing, key=lambda n: -cosine[n])[:5]
        assert {texts[n] for n in nearest[:3]} <= {row.excerpt for row in found.rows}
        both = [n for n in passing if "boat" in texts[n] and "Nils" in texts[n]]
        assert {texts[n] for n in both} <= {row.excerpt for row in found.rows}
        assert abs(found.total - len(passing)) <= 0.25 * len(texts)
        assert set(map(str, ids)) >= {row.id for row in found.rows}
        told = {row.excerpt: value for row, value in zip(found.rows, found.cosine, strict=True)}
        assert all(abs(value - cosine[texts.index(text)]) < 0.02 for text, value in told.items())


def test_rows_that_an_earlier_version_froze_are_indexed(memory: MemoryManager) -> None:
    freeze(memory, *fill(memory))
    with memory.store.upkeep() as unit:
        unit.cold.execute("UPDATE ltmemory.cold_texts SET bits = NULL WHERE user_id = :user_id")
        unit.words.remove(Kind.PASSAGE, [row.id for row in unit.passages.execute(PASSAGE_IDS)], cold=True)
        assert unit.cold.index(Kind.PASSAGE, 3) == 3
        assert unit.cold.index(Kind.PASSAGE, 3) == 1
        assert unit.cold.index(Kind.PASSAGE, 3) == 0
    with memory.store.read() as unit:
        assert unit.words.read(Kind.PASSAGE, [term_of("oboe")], 100, cold=True).corpus.frequencies[term_of("oboe")] == 1
    assert memory.archival.search("a woodwind instrument", Filter(tiers=("cold",))).hits[0].content == TEXTS[0]


def test_the_words_are_rebuilt_in_the_index_of_their_tier(memory: MemoryManager) -> None:
    oboe, *_ = fill(memory)
    freeze(memory, oboe)
    with memory.store.upkeep() as unit:
        assert unit.words.rebuild(Kind.PASSAGE) == len(TEXTS)
    assert indexed(memory, oboe) == (0, 0)
    assert memory.archival.search("oboe", Filter(tiers=("cold",))).hits[0].id == oboe


def test_an_undo_brings_everything_back(memory: MemoryManager) -> None:
    ids = fill(memory)
    with memory.store.read() as unit:
        before = unit.search.details(Kind.PASSAGE, ids)
    change_set = freeze(memory, *ids)
    memory.history.undo(change_set, Change(Actor.USER, "undo"))
    memory.process_pending()
    assert [indexed(memory, row_id) for row_id in ids] == [(1, 1)] * len(ids)
    with memory.store.read() as unit:
        assert unit.cold.count(Kind.PASSAGE) == 0
        assert unit.search.details(Kind.PASSAGE, ids) == before
    assert memory.archival.search("oboe").hits[0].id == ids[0]
    memory.history.undo(memory.history.log(1)[0].id, Change(Actor.USER, "undo"))
    assert [indexed(memory, row_id) for row_id in ids] == [(0, 0)] * len(ids)
    with memory.store.read() as unit:
        assert unit.cold.count(Kind.PASSAGE) == len(ids)


def test_memory_as_it_was_finds_it_by_meaning(memory: MemoryManager) -> None:
    ids = fill(memory)
    then = memory.history.log(1)[0].id
    freeze(memory, *ids)
    for moment in (then, memory.history.log(1)[0].id):
        hits = memory.as_of(moment).search("a beverage").hits
        assert hits[0].content == TEXTS[3]


def test_what_is_said_again_comes_back(memory: MemoryManager) -> None:
    oboe, *_ = fill(memory)
    freeze(memory, oboe)
    assert memory.archival.insert(TEXTS[0]).id == oboe
    memory.process_pending()
    assert indexed(memory, oboe) == (1, 1)
    assert memory.archival.search("oboe").hits[0].tier == "hot"


def test_a_vector_that_a_worker_stored_late_is_swept_away(memory: MemoryManager) -> None:
    oboe, *_ = fill(memory)
    freeze(memory, oboe)
    with memory.store.read() as unit:
        row = unit.passages.get(oboe)
    assert row is not None
    from mira_ltmemory.store.vectors import PendingText

    embedded = memory.embeddings.embed_now([row.content])
    assert embedded is not None
    with memory.store.upkeep() as unit:
        unit.vectors.add(
            [PendingText(Kind.PASSAGE, oboe, row.content_hash, row.content)], embedded.vectors, embedded.model_id
        )
        assert unit.cold.sweep() == 1
    assert indexed(memory, oboe) == (0, 0)


def test_the_health_check_does_not_embed_it_again(memory: MemoryManager) -> None:
    freeze(memory, *fill(memory))
    assert memory.embeddings.enqueue_missing(10_000) == 0


def test_what_had_no_vector_gets_its_code_later(memory: MemoryManager) -> None:
    oboe, *_ = fill(memory)
    freeze(memory, oboe)
    with memory.store.upkeep() as unit:
        unit.passages.execute("UPDATE ltmemory.cold_texts SET code = NULL, model_id = NULL WHERE user_id = :user_id")
    embedded = memory.embeddings.embed_now(["warm up"])
    assert embedded is not None
    with memory.store.upkeep() as unit:
        (waiting,) = unit.cold.uncoded(embedded.model_id, 10_000, 10)
        coded = memory.embeddings.embed_now([waiting.content])
        assert coded is not None
        unit.cold.set_codes([waiting], coded.vectors, coded.model_id)
        assert unit.cold.uncoded(embedded.model_id, 10_000, 10) == []
    assert memory.archival.search("a woodwind instrument", Filter(tiers=("cold",))).hits[0].id == oboe


def test_an_erasure_reaches_it(memory: MemoryManager) -> None:
    freeze(memory, *fill(memory))
    receipt = memory.erasure.erase(memory.erasure.preview(subject="Ruth"))
    assert receipt.complete
    with memory.store.read() as unit:
        assert unit.cold.count(Kind.PASSAGE) == len(TEXTS) - 1
    assert "Ruth" not in str(memory.archival.search("oboe", Filter(tiers=("cold",))).hits)


def test_cold_messages_are_found_and_neighbours_stay_in_order(memory: MemoryManager) -> None:
    said = [
        IncomingMessage(conversation_id="c", external_id=str(number), role=Role.USER, content=text, position=number,
                        said_at=memory.clock.now(), origin=Origin.USER)
        for number, text in enumerate(TEXTS)
    ]  # fmt: skip
    memory.capture(said)
    memory.process_pending()
    boat = memory.recall.search("boat").hits[0].id
    with memory.store.upkeep() as unit:
        unit.cold.freeze(Kind.MESSAGE, [boat])
    assert memory.recall.count() == len(TEXTS)
    assert boat not in {hit.id for hit in memory.recall.search("boat name", Filter(tiers=("hot",)), 1).hits}
    (hit,) = memory.recall.search("how is the boat called", Filter(tiers=("cold",))).hits
    assert (hit.id, hit.tier, hit.conversation_id) == (boat, "cold", "c")
    assert memory.capture(said) == []
    with memory.store.upkeep() as unit:
        unit.cold.thaw(Kind.MESSAGE, [boat], 10_000)
    memory.process_pending()
    assert memory.recall.search("boat").hits[0].id == boat


unit_vectors = st.integers(0, 10_000).map(
    lambda seed: (lambda v: (v / np.linalg.norm(v)).astype(np.float32))(np.random.default_rng(seed).normal(size=384))
)


@given(unit_vectors, unit_vectors)
def test_a_code_keeps_the_cosine(one: np.ndarray, other: np.ndarray) -> None:
    assert abs(float(cosines([packed_floats(one)], other)[0]) - float(one @ other)) < 0.01


@given(unit_vectors, st.floats(0.0, 3.0))
def test_bits_differ_more_the_farther_two_vectors_are_apart(one: np.ndarray, distance: float) -> None:
    other = one + distance * np.roll(one, 7)
    far = one + (distance + 1.0) * np.roll(one, 7)
    differing = [sum(a != b for a, b in zip(bits(one), bits(each), strict=True)) for each in (other, far)]
    assert len(bits(one)) == 3 * len(one)
    assert differing[0] <= differing[1] + 0.05 * len(one)
    assert code_bits(packed_floats(one)).count("1") == pytest.approx(bits(one).count("1"), abs=12)
