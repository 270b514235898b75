"""The graph's step on windows that are long, or say what is known; and relations that are inferred anew."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from counting import calls_of
from doubles import FixedClock, ListedLLM
from graphing import BY_JOB, BY_USER, process, say, talk, view

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.protocols import JobReport, JobRun
from mira_ltmemory.services.graph.extract import EntityType, extract
from mira_ltmemory.services.graph.resolve import Names, choose
from mira_ltmemory.store.graph_reads import MOST_TOGETHER


def infer(memory: MemoryManager) -> JobReport:
    return memory.relations.run(JobRun(name="relation_discovery", scheduled_for=memory.clock.now(), change=BY_JOB))


def inferred(memory: MemoryManager) -> list[tuple[str, float]]:
    with memory.store.read() as unit:
        rows = unit.batches.execute(
            "SELECT predicate, confidence FROM ltmemory.relations WHERE user_id = :user_id AND inferred ORDER BY 1, 2"
        ).all()
    return [(row.predicate, round(float(row.confidence), 3)) for row in rows]


@pytest.mark.parametrize("text", ["Anna ", "Bork ", "**Bork** ", "kai@example.com ", "Anna Berg met Tom. "])
def test_reading_a_list_of_names_grows_with_it_and_not_with_its_square(text: str) -> None:
    def calls(times: int) -> int:
        return calls_of(lambda: extract(text * times, datetime(2024, 5, 20, tzinfo=UTC)))

    assert calls(200) < 2.5 * calls(100)


def test_telling_names_apart_grows_with_their_number_and_not_with_its_square() -> None:
    def work(number: int) -> None:
        names = Names()
        for each in range(number):
            key = f"anna berg{each}"
            chosen = choose(names, key, EntityType.PERSON)
            assert chosen.entity_id is None
            entity_id = ids[each]
            assert not names.has(entity_id, key)
            names.add(entity_id, "person", key.title(), key)
            names.note(entity_id)

    ids = [uuid4() for _ in range(400)]
    assert calls_of(lambda: work(400)) < 2.5 * calls_of(lambda: work(200))


def test_a_long_link_is_one_entity_however_often_it_is_named(memory: MemoryManager) -> None:
    links = [f"https://example.org/{'a' * 200}/{end}" for end in "xy"]
    counts = process(memory, say(memory, f"See {links[0]} and again {links[0]} but not {links[1]} please."))[1]
    assert counts == {"entities": 2, "mentions": 3}, "they differ behind what is shown of them"
    assert process(memory, say(memory, f"Once more: {links[0]}"))[1] == {"mentions": 1}
    assert len(memory.graph.lookup(links[0][:120]).candidates) == 2, "as it is shown"


def test_a_name_that_is_known_already_does_not_hide_a_mention_in_the_counts(memory: MemoryManager) -> None:
    answer = {"name": "Anna Berg", "type": "person", "message": 1, "aliases": ["Bee"]}
    for number in range(2):
        llm = ListedLLM([json.dumps({"entities": [answer]})])
        counts = process(memory, say(memory, "Today Anna Berg, whom we call Bee, was here."), llm=llm)[1]
        assert counts["mentions"] == 1 + number, "known by then, Bee is a mention too"
    assert view(memory, "Bee").brief.mentions == 3


def test_relations_that_are_refused_while_they_are_stored_are_counted_too(memory: MemoryManager) -> None:
    said = {"subject": "Bee", "predicate": "knows", "object": "Anna Berg", "message": 1, "quote": "whom we call Bee"}
    entities = [{"name": name, "type": "person", "message": 1} for name in ("Anna Berg", "Bee")]
    entities[0]["aliases"] = ["Bee"]
    llm = ListedLLM([json.dumps({"entities": entities, "relations": [said]})])
    counts = process(memory, say(memory, "Today Anna Berg, whom we call Bee, was here."), llm=llm)[1]
    assert counts == {"entities": 1, "mentions": 2, "refused_relations": 1}, "nobody knows themselves"


def test_an_inferred_relation_becomes_surer_and_stays_the_same_row(memory: MemoryManager) -> None:
    talk(memory, *["Anna Berg met Tom Reed."] * 3)
    infer(memory)
    assert inferred(memory) == [("mentioned_with", 0.3)]
    change = talk(memory, *["Anna Berg met Tom Reed."] * 4)
    assert infer(memory).counts == {"inferred": 0, "removed": 0, "changed": 1, "known": 1}
    assert inferred(memory) == [("mentioned_with", 0.7)]
    memory.history.undo(change, BY_USER, with_dependents=True)
    assert infer(memory).counts["changed"] == 1
    assert inferred(memory) == [("mentioned_with", 0.3)]
    assert infer(memory).counts == {"inferred": 0, "removed": 0, "changed": 0, "known": 1}


def test_an_inferred_relation_follows_from_what_says_it_now(memory: MemoryManager) -> None:
    def premise() -> UUID:
        with memory.store.read() as unit:
            (said,) = unit.graph.said(memory.clock.now())
            ((_, premises),) = unit.graph.inferred().values()
        assert premises == {said.id}
        return said.id

    talk(memory, "Anna Berg is married to Tom Reed.")
    infer(memory)
    first = premise()
    talk(memory, "Anna Berg is married to Rob Stone.")
    talk(memory, "Anna Berg is married to Tom Reed.")
    assert infer(memory).counts == {"inferred": 0, "removed": 0, "changed": 1, "known": 1}
    assert premise() != first, "the first marriage ended"


def test_nothing_is_inferred_from_what_is_yet_to_be(memory: MemoryManager, clock: FixedClock) -> None:
    said = {"subject": "Anna Berg", "predicate": "manages", "object": "Tom Reed", "message": 1, "since": "2025-07-01"}
    entities = [{"name": name, "type": "person", "message": 1} for name in ("Anna Berg", "Tom Reed")]
    answer = {"entities": entities, "relations": [{**said, "quote": "Anna Berg manages Tom Reed"}]}
    process(memory, say(memory, "From July on Anna Berg manages Tom Reed."), llm=ListedLLM([json.dumps(answer)]))
    infer(memory)
    assert inferred(memory) == []
    clock.advance(days=90)
    infer(memory)
    assert [predicate for predicate, _ in inferred(memory)] == ["reports_to"]


def test_a_text_counts_once_by_however_many_names_it_speaks_of_two(memory: MemoryManager) -> None:
    talk(memory, "Anna Berg called.")
    talk(memory, "Hannah Holm called.")
    ids = [view(memory, name).brief.id for name in ("Anna Berg", "Hannah Holm")]
    memory.entity_merges.merge(ids[1], ids[0], "she married")
    talk(memory, *["Anna Berg, or Hannah Holm, met Tom Reed."] * 2)
    infer(memory)
    assert inferred(memory) == [], "two texts, not four"
    talk(memory, "Hannah Holm met Tom Reed.")
    infer(memory)
    assert inferred(memory) == [("mentioned_with", 0.3)]


def test_a_text_that_is_a_list_of_names_says_nothing_of_who_belongs_together(memory: MemoryManager) -> None:
    listed = " ".join(f"My friend Anna Berg{letter}{more} called." for letter in "abcdefgh" for more in "abcdefgh")
    assert listed.count("friend") > MOST_TOGETHER
    talk(memory, *[listed] * 3, "Anna Bergaa met Anna Bergbb.")
    with memory.store.read() as unit:
        pairs = unit.graph_reads.together(["person"], least=1)
    assert [pair.times for pair in pairs] == [1]
