"""Notes and documents are read for entities once, with the passage as evidence, and undone and erased like the rest."""

from __future__ import annotations

import json
from collections.abc import Callable

from consolidating import ScriptedLLM

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.errors import LLMUnavailable
from mira_ltmemory.protocols import LLM, Actor, Change, Kind
from mira_ltmemory.services.asking import MeteredLLM, RunBudget
from mira_ltmemory.services.graph.notes import NotesReader

BY_USER = Change(Actor.USER, "archival_memory_insert")
BY_MODEL = Change(Actor.MODEL, "archival_memory_insert")
BY_JOB = Change(Actor.AUTOMATION, "process_conversations")
NOTE = "My sister Ingrid Solberg lives in Bergen. Ingrid Solberg works at Statkraft."


def read(memory: MemoryManager, llm: LLM | None = None, tokens: int | None = None) -> dict[str, int]:
    metered = None if llm is None else MeteredLLM(llm)
    reader = NotesReader(
        memory.store,
        memory.clock,
        memory.embeddings,
        memory.settings.zone,
        lambda: RunBudget(memory.clock, tokens=tokens),
        metered,
    )
    return dict(reader.run(BY_JOB))


def test_a_note_is_read_once_and_is_the_evidence(memory: MemoryManager) -> None:
    note = memory.archival.insert(NOTE, change=BY_USER)
    counts = read(memory)
    assert counts["notes"] == 1
    assert counts["entities"] >= 2
    entity = memory.graph.lookup("Ingrid Solberg").entity
    assert entity is not None
    assert {(each.kind, each.id) for each in entity.mentions} == {(Kind.PASSAGE, note.id)}
    assert NOTE[:20] in entity.mentions[0].excerpt
    said = {(each.subject, each.predicate, each.object): each.evidence for each in entity.relations}
    assert said["Ingrid Solberg", "works_at", "Statkraft"] == (note.id,)
    newest = memory.history.log(1)[0].id
    assert read(memory) == {}
    memory.archival.insert(NOTE, ["a tag more"], change=BY_USER)
    assert read(memory).get("mentions", 0) == 0
    assert memory.history.log(1)[0].id == newest + 1


def test_the_hourly_job_reads_them(memory: MemoryManager) -> None:
    for job in memory.jobs():
        memory.runner.add(job)
    memory.archival.insert(NOTE, change=BY_USER)
    report = memory.runner.run("process_conversations", force=True)["report"]
    assert report["counts"]["notes"] == 1
    assert memory.graph.lookup("Ingrid Solberg").entity is not None


def test_entities_can_be_switched_off(make_memory: Callable[..., MemoryManager]) -> None:
    memory = make_memory(entity_extraction_enabled=False)
    for job in memory.jobs():
        memory.runner.add(job)
    memory.archival.insert(NOTE, change=BY_USER)
    assert "notes" not in memory.runner.run("process_conversations", force=True)["report"]["counts"]


def test_a_whole_name_in_a_note_and_in_a_talk_is_one(memory: MemoryManager) -> None:
    memory.archival.insert("Ingrid Solberg lives in Bergen.", change=BY_USER)
    memory.archival.insert("I met Ingrid Solberg at the harbour.", change=BY_MODEL)
    read(memory)
    entity = memory.graph.lookup("Ingrid Solberg").entity
    assert entity is not None
    assert len(entity.mentions) == 2


def test_reading_is_undone_and_not_done_again(memory: MemoryManager) -> None:
    memory.archival.insert(NOTE, change=BY_USER)
    read(memory)
    memory.history.undo(memory.history.log(1)[0].id, Change(Actor.USER, "undo"))
    assert memory.graph.lookup("Ingrid Solberg").entity is None
    assert read(memory) == {}
    assert memory.graph.lookup("Ingrid Solberg").entity is None


def test_an_erasure_takes_what_only_the_note_said(memory: MemoryManager) -> None:
    memory.archival.insert(NOTE, change=BY_USER)
    memory.archival.insert("Bergen is rainy, says Statkraft.", change=BY_USER)
    read(memory)
    receipt = memory.erasure.erase(memory.erasure.preview(subject="Ingrid"))
    assert receipt.complete
    assert memory.graph.lookup("Ingrid Solberg").entity is None
    assert read(memory) == {}


def test_what_an_undo_brought_back_is_not_read(memory: MemoryManager) -> None:
    memory.archival.insert(NOTE, change=BY_USER)
    made = memory.history.log(1)[0].id
    memory.history.undo(made, Change(Actor.USER, "undo"))
    memory.history.undo(memory.history.log(1)[0].id, Change(Actor.USER, "undo"))
    assert read(memory) == {}


def test_with_a_model_its_words_have_to_stand_in_the_note(memory: MemoryManager) -> None:
    note = memory.archival.insert("The choir of Haukeland sings for Nils Dahl in May.", change=BY_USER)
    answer = {
        "entities": [
            {"name": "choir of Haukeland", "type": "organization", "message": 1},
            {"name": "Nils Dahl", "type": "person", "message": 1},
            {"name": "Somebody Else", "type": "person", "message": 1},
        ],
        "relations": [
            {
                "subject": "choir of Haukeland", "predicate": "sings_for", "object": "Nils Dahl", "message": 1,
                "quote": "sings for Nils Dahl",
            }
        ],
    }  # fmt: skip
    counts = read(memory, ScriptedLLM(lambda _: json.dumps(answer)))
    assert counts["relations"] == 1
    entity = memory.graph.lookup("Nils Dahl").entity
    assert entity is not None
    assert [each.evidence for each in entity.relations] == [(note.id,)]
    assert memory.graph.lookup("Somebody Else").entity is None


def test_a_model_that_is_away_keeps_notes_waiting_and_one_that_talks_nonsense_does_not(memory: MemoryManager) -> None:
    memory.archival.insert(NOTE, change=BY_USER)

    def away(_: str) -> str:
        raise LLMUnavailable("away")

    assert read(memory, ScriptedLLM(away)) == {}
    assert memory.graph.lookup("Ingrid Solberg").entity is None
    assert read(memory, ScriptedLLM(lambda _: "no form at all"))["notes"] == 1
    assert memory.graph.lookup("Ingrid Solberg").entity is not None


def test_a_spent_budget_leaves_the_rest_for_the_next_run(memory: MemoryManager) -> None:
    for number in range(3):
        memory.archival.insert(f"Friend Nils Dahl{number} lives in Bergen, so we met there.", change=BY_USER)
    llm = ScriptedLLM(lambda _: '{"entities": [], "relations": []}')
    assert read(memory, llm, tokens=1)["notes"] == 1
    assert read(memory, llm)["notes"] == 2
    assert len(llm.asked) == 3
