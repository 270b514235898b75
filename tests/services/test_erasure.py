"""Erasure: what is shown is what goes, with its history and all that came from it, and it does not come back."""

from __future__ import annotations

import uuid

import pytest
from doubles import FixedClock
from erasing import BY_MODEL, Garden, check_one_garden, contents, everything, found_in, planted
from hypothesis import given, settings
from places import admin_fixture, memory_fixture, place_fixture, plain_url_fixture  # noqa: F401

from mira_ltmemory.composition import MemoryManager, open_memory
from mira_ltmemory.embedding.onnx import OnnxEmbedder
from mira_ltmemory.errors import Conflict, Erased, InvalidArgument, ReadOnly
from mira_ltmemory.protocols import Actor, Change, IncomingMessage, Kind, Origin, Role

BY_USER = Change(Actor.USER, "test")


def forget(memory: MemoryManager, subject: str) -> None:
    receipt = memory.erasure.erase(memory.erasure.preview(subject=subject, blocks=True))
    assert receipt.complete, receipt.remaining


def said(memory: MemoryManager, number: int, content: str, **more: object) -> IncomingMessage:
    values: dict[str, object] = {
        "conversation_id": "c", "external_id": str(number), "role": Role.USER, "content": content,
        "said_at": memory.clock.now(), "origin": Origin.USER, **more,
    }  # fmt: skip
    message = IncomingMessage(**values)  # type: ignore[arg-type]
    memory.capture([message])
    return message


def message_id(memory: MemoryManager, message: IncomingMessage) -> uuid.UUID:
    with memory.store.read() as unit:
        return unit.messages.message_key(unit.messages.conversation_key(message.conversation_id), message.external_id)


@settings(max_examples=6)
@given(plants=planted)
def test_what_was_planted_anywhere_is_found_nowhere(
    memory: MemoryManager, admin: str, plants: list[tuple[str, str, str]]
) -> None:
    check_one_garden(memory, memory.as_user(f"{memory.settings.user_name}-other"), admin, plants)


def test_a_preview_shows_and_changes_nothing(memory: MemoryManager, admin: str) -> None:
    said(memory, 1, "Mireille lives in Lyon")
    said(memory, 2, "the weather is nice, Mireilles are many")
    memory.archival.insert("She, MIREILLE, plays chess")
    memory.blocks.append("human", "knows Mireille", BY_MODEL)
    before = sorted(everything(admin, memory.store.user_id))
    plan = memory.erasure.preview(subject="mireille")
    assert plan.counts == {"message": 1, "passage": 1}
    assert [(row.kind, row.excerpt, row.why) for row in plan.rows] == [
        ("message", "Mireille lives in Lyon", "holds it in content"),
        ("passage", "She, MIREILLE, plays chess", "holds it in content"),
    ]
    assert plan.rows[0].at == memory.clock.now()
    assert [(line.label, line.text, line.present) for line in plan.lines] == [("human", "knows Mireille", True)]
    assert any("blocks" in note for note in plan.notes)
    assert sorted(everything(admin, memory.store.user_id)) == before


def test_nothing_found_is_said_and_changes_nothing(memory: MemoryManager, admin: str) -> None:
    said(memory, 1, "the weather is nice")
    before = sorted(everything(admin, memory.store.user_id))
    plan = memory.erasure.preview(subject="Mireille")
    assert plan.empty
    assert plan.summary == "Nothing is to be erased: 'Mireille' stands in no message, passage or other row."
    with pytest.raises(InvalidArgument, match="Nothing is to be erased"):
        memory.erasure.erase(plan)
    assert sorted(everything(admin, memory.store.user_id)) == before


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "exactly one"),
        ({"subject": "a", "query": "b"}, "exactly one"),
        ({"subject": " "}, "subject is empty"),
        ({"subject": "?!"}, "no letter or digit"),
        ({"subject": "x" * 201}, "at most 200"),
        ({"ids": []}, "at least one"),
        ({"ids": ["x"]}, "not 'x'"),
        ({"ids": [uuid.UUID(int=7)]}, "no row of memory with the id 00000000-0000-0000-0000-000000000007"),
        ({"query": ""}, "query is empty"),
    ],
)
def test_bad_requests_are_refused(memory: MemoryManager, arguments: dict[str, object], told: str) -> None:
    with pytest.raises(Exception, match=told):
        memory.erasure.preview(**arguments)  # type: ignore[arg-type]


def test_a_query_shows_choices_and_erases_nothing(memory: MemoryManager) -> None:
    message = said(memory, 1, "Mireille lives in Lyon")
    plan = memory.erasure.preview(query="who lives in Lyon")
    assert [hit.id for hit in plan.choices] == [message_id(memory, message)]
    with pytest.raises(InvalidArgument, match="Preview the ids"):
        memory.erasure.erase(plan)
    receipt = memory.erasure.erase(memory.erasure.preview(ids=[plan.choices[0].id]))
    assert receipt.ids == {"message": (message_id(memory, message),)}
    assert memory.recall.count() == 0


def test_erased_messages_come_back_neither_by_capture_nor_by_import(memory: MemoryManager) -> None:
    messages = [said(memory, 1, "Mireille lives in Lyon"), said(memory, 2, "fine weather")]
    forget(memory, "Mireille")
    assert memory.capture(messages) == []
    assert memory.import_messages(messages, "a file") == []
    later = said(memory, 3, "and rain")
    assert memory.import_messages([*messages, later], "a file") == []
    assert contents(memory, "messages") == ["and rain", "fine weather"]


def test_an_erased_passage_is_not_stored_again_by_the_model(memory: MemoryManager) -> None:
    memory.archival.insert("Mireille plays chess", change=BY_MODEL)
    forget(memory, "Mireille")
    with pytest.raises(Erased, match="erased at the user's request on 2025-05-05"):
        memory.archival.insert("Mireille plays chess", change=BY_MODEL)
    assert memory.archival.count() == 0
    memory.archival.insert("Mireille plays chess", change=BY_USER)
    assert memory.archival.count() == 1


def test_what_came_from_an_erased_row_goes_and_what_it_came_from_is_told(memory: MemoryManager) -> None:
    garden = Garden(memory, "token")
    source = message_id(memory, said(memory, 1, "my sister moved to Lyon"))
    summary = memory.archival.insert("The sister lives in Lyon").id
    of_summary = memory.archival.insert("Family in France").id
    garden.link(summary, Kind.MESSAGE, source)
    garden.link(of_summary, Kind.PASSAGE, summary)
    plan = memory.erasure.preview(ids=[summary])
    assert {row.id for row in plan.rows} == {summary, of_summary}
    assert [(row.id, row.why) for row in plan.kept] == [(source, f"is what {summary} came from")]
    assert {row.id for row in memory.erasure.preview(ids=[summary], with_sources=True).rows} == {
        source,
        summary,
        of_summary,
    }
    receipt = memory.erasure.erase(memory.erasure.preview(ids=[source]))
    assert set(receipt.ids) == {"message", "passage"}
    assert receipt.counts["links"] == 2
    assert receipt.complete
    assert (memory.recall.count(), memory.archival.count()) == (0, 0)


def test_a_conversation_goes_with_its_messages(memory: MemoryManager, admin: str) -> None:
    first = said(memory, 1, "the plan to flee on Friday")
    said(memory, 2, "fine weather", conversation_id="other")
    memory.history.undo(memory.history.log(1)[0].id, BY_USER)
    said(memory, 3, "yes, Friday it is")
    with memory.store.read() as unit:
        conversation = unit.messages.conversation_key(first.conversation_id)
    receipt = memory.erasure.erase(memory.erasure.preview(ids=[conversation]))
    assert {kind: len(ids) for kind, ids in receipt.ids.items()} == {"conversation": 1, "message": 2}
    assert found_in(admin, memory.store.user_id, "Friday") == []
    with pytest.raises(InvalidArgument, match="erased on 2025-05-05"):
        memory.erasure.preview(ids=[conversation])
    # The conversation goes on: what is new is kept.
    assert memory.capture([first]) == []
    said(memory, 4, "good morning")
    assert contents(memory, "messages") == ["good morning"]


def test_blocks_lose_the_lines_in_every_version_and_keep_the_rest(memory: MemoryManager) -> None:
    for line in ("has a cat", "knows Mireille", "likes tea"):
        memory.blocks.append("human", line, BY_MODEL)
    memory.blocks.replace("human", "knows Mireille\n", "", BY_MODEL)
    memory.blocks.append("human", "Mireille\nDupont called", BY_MODEL)
    forget(memory, "Mireille Dupont")
    assert memory.blocks.get("human").content == "has a cat\nknows Mireille\nlikes tea".replace("knows Mireille\n", "")
    forget(memory, "Mireille")
    versions = [memory.blocks.version("human", each.version) for each in memory.blocks.history("human")]
    assert "has a cat" in versions
    assert not any("Mireille" in version for version in versions)


def test_without_blocks_the_receipt_says_where_it_still_stands(memory: MemoryManager) -> None:
    memory.archival.insert("Mireille plays chess")
    memory.blocks.append("human", "knows Mireille", BY_MODEL)
    receipt = memory.erasure.erase(memory.erasure.preview(subject="Mireille"))
    assert not receipt.complete
    assert receipt.remaining == {"blocks.content": 1}
    assert memory.blocks.get("human").content == "knows Mireille"


def test_read_only_blocks_refuse_and_nothing_is_changed(
    place: dict[str, object], clock: FixedClock, embedder: OnnxEmbedder, memory: MemoryManager, admin: str
) -> None:
    memory.archival.insert("Mireille plays chess")
    memory.blocks.append("human", "knows Mireille", BY_MODEL)
    config = memory.settings.model_copy(update={"core_memory_read_only": frozenset({"human"})})
    strict = open_memory(config, clock=clock, embedder=embedder)
    before = sorted(everything(admin, memory.store.user_id))
    with pytest.raises(ReadOnly, match=r"read-only blocks \(human\)"):
        strict.erasure.erase(strict.erasure.preview(subject="Mireille", blocks=True))
    assert sorted(everything(admin, memory.store.user_id)) == before
    strict.close()


def test_what_came_since_the_preview_is_not_erased_unseen(memory: MemoryManager) -> None:
    said(memory, 1, "Mireille lives in Lyon")
    plan = memory.erasure.preview(subject="Mireille")
    said(memory, 2, "I met Mireille again")
    with pytest.raises(Conflict, match="1 rows and 0 lines"):
        memory.erasure.erase(plan)
    assert memory.recall.count() == 2
    fresh = memory.erasure.preview(subject="Mireille")
    memory.erasure.erase(fresh)
    with pytest.raises(InvalidArgument, match="gone by now"):
        memory.erasure.erase(fresh)


def test_an_erasure_and_what_it_took_cannot_be_undone(memory: MemoryManager) -> None:
    said(memory, 1, "Mireille lives in Lyon")
    capture = memory.history.log(1)[0].id
    kept = memory.blocks.append("human", "has a cat", BY_MODEL).change_set_id
    brought = memory.blocks.append("human", "knows Mireille", BY_MODEL).change_set_id
    last = memory.blocks.append("human", "likes tea", BY_MODEL).change_set_id
    receipt = memory.erasure.erase(memory.erasure.preview(subject="Mireille", blocks=True))
    after = memory.blocks.get("human").content
    assert after == "has a cat\nlikes tea"
    for number in (capture, brought):
        with pytest.raises(Erased, match=f"Change set {number} cannot be undone: change set {receipt.change_set_id}"):
            memory.history.undo(number, BY_USER)
    with pytest.raises(Erased, match="an erasure, which cannot be undone"):
        memory.history.undo(receipt.change_set_id, BY_USER)
    assert memory.blocks.get("human").content == after
    assert memory.recall.count() == 0
    # What the erasure left alone is not in its shadow.
    memory.history.undo(last, BY_USER)
    assert memory.blocks.get("human").content == "has a cat"
    with pytest.raises(Erased):
        memory.history.undo(kept, BY_USER, with_dependents=True)


def test_of_a_run_that_an_erasure_touched_the_rest_is_named_and_can_be_undone(memory: MemoryManager) -> None:
    with memory.store.write(Change(Actor.AUTOMATION, "review")) as unit:
        run = unit.change_set_id
    part = Change(Actor.AUTOMATION, "review", parent=run)
    first = memory.blocks.append("human", "likes tea", part).change_set_id
    memory.blocks.append("persona", "knows Mireille", part)
    memory.archival.insert("The ferry leaves at seven", change=part)
    second = memory.history.log(1)[0].id
    memory.erasure.erase(memory.erasure.preview(subject="Mireille", blocks=True))
    with pytest.raises(Erased) as error:
        memory.history.undo(run, BY_USER)
    assert str(error.value).endswith(f"can still be undone by itself, newest first: {second}, {first}.")
    for number in (second, first):
        memory.history.undo(number, BY_USER)
    assert memory.blocks.get("human").content == ""
    assert memory.archival.search("ferry").hits == ()
    with pytest.raises(Erased, match="Nothing was changed.$"):
        memory.history.undo(run, BY_USER)


def test_neither_a_snapshot_nor_a_moment_brings_it_back(memory: MemoryManager, clock: FixedClock) -> None:
    memory.archival.insert("Mireille plays chess")
    memory.archival.insert("the cat sleeps")
    memory.blocks.append("human", "knows Mireille", BY_MODEL)
    memory.snapshots.create("before", "with Mireille")
    number = memory.history.log(1)[0].id
    clock.advance(hours=1)
    forget(memory, "Mireille")
    memory.archival.insert("later")
    memory.snapshots.restore("before")
    assert contents(memory, "passages") == ["the cat sleeps"]
    assert memory.blocks.get("human").content == ""
    then = memory.as_of(number)
    assert "Mireille" not in then.render()
    assert [hit.content for hit in then.passages()] == ["the cat sleeps"]
