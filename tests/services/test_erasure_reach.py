"""How far an erasure reaches: receipts, statistics, caches, other users, and what stands as a word."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace

import pytest
from doubles import FixedClock
from erasing import BY_MODEL, everything, statistics
from places import admin_fixture, memory_fixture, place_fixture, plain_url_fixture  # noqa: F401

from mira_ltmemory.composition import MemoryManager, open_memory
from mira_ltmemory.config import MemoryConfig
from mira_ltmemory.embedding.onnx import OnnxEmbedder
from mira_ltmemory.errors import InvalidArgument, NeedsConfirmation, StoreError
from mira_ltmemory.protocols import Actor, Change, Filter, IncomingMessage, Origin, Role
from mira_ltmemory.store.scan import Needle
from mira_ltmemory.store.vectors import PendingText

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


def test_the_receipt_is_kept_and_holds_no_text(memory: MemoryManager) -> None:
    said(memory, 1, "Mireille lives in Lyon")
    receipt = memory.erasure.erase(memory.erasure.preview(subject=" Mireille "))
    assert receipt.is_about("MIREILLE")
    assert not receipt.is_about("Mireilles")
    assert any("write-ahead log" in sentence for sentence in receipt.unreachable)
    assert any("VACUUM" in sentence for sentence in receipt.unreachable)
    assert any("said again, or imported from another source" in sentence for sentence in receipt.unreachable)
    (kept,) = memory.erasure.receipts()
    assert kept == replace(receipt, proof=None, notes=(), counts=kept.counts)
    assert dict(kept.counts) == dict(receipt.counts)
    assert not kept.is_about("Mireille")
    assert "ireille" not in str(kept.as_json())
    entry = memory.history.log(1)[0]
    assert (entry.actor, entry.tool, entry.reason) == ("user", "forget", None)


def test_the_planner_remembers_no_sample_of_it(memory: MemoryManager, admin: str) -> None:
    token = f"zork{uuid.uuid4().hex}"
    for number in range(60):
        said(memory, number, f"{token} says it")  # the same again and again: a common value, whatever else is stored
    memory.store.database.maintain(["ANALYZE ltmemory.messages"])
    assert any(token in sample for sample in statistics(admin))
    forget(memory, token)
    assert not any(token in sample for sample in statistics(admin))


def test_vacuum_rewrites_the_tables(memory: MemoryManager) -> None:
    said(memory, 1, "Mireille lives in Lyon")
    receipt = memory.erasure.erase(memory.erasure.preview(subject="Mireille"), vacuum=True)
    assert receipt.vacuumed
    assert receipt.notes == ()
    assert any("rewritten" in sentence for sentence in receipt.unreachable)


def test_caches_in_memory_are_emptied(memory: MemoryManager) -> None:
    said(memory, 1, "Mireille lives in Lyon")
    memory.recall.search("Mireille in Lyon")
    number = memory.embeddings.model_id()
    assert number is not None
    assert memory.embeddings.cache.holds(number, "Mireille in Lyon")
    forget(memory, "Mireille")
    assert len(memory.embeddings.cache) == 0


def test_an_edit_that_waits_for_a_person_is_dropped(
    place: dict[str, object], clock: FixedClock, embedder: OnnxEmbedder
) -> None:
    config = MemoryConfig(user_name=str(uuid.uuid4()), core_memory_confirmation="always", **place)  # type: ignore[arg-type]
    memory = open_memory(config, clock=clock, embedder=embedder)
    memory.archival.insert("Mireille plays chess")
    for line in ("knows Mireille", "likes tea"):
        with pytest.raises(NeedsConfirmation):
            memory.blocks.append("human", line, BY_MODEL)
    receipt = memory.erasure.erase(memory.erasure.preview(subject="Mireille", blocks=True))
    assert receipt.counts["held edits"] == 1
    assert [held.after for held in memory.blocks.pending()] == ["likes tea"]
    memory.close()


def test_a_worker_that_embedded_meanwhile_leaves_no_vector(memory: MemoryManager) -> None:
    said(memory, 1, "Mireille lives in Lyon")
    with memory.store.read() as unit:
        (waiting,) = unit.vectors.pending(10)
    assert isinstance(waiting, PendingText)
    embedded = memory.embeddings.embed_now([waiting.content])
    assert embedded is not None
    forget(memory, "Mireille")
    with memory.store.upkeep() as unit:
        unit.vectors.add([waiting], embedded[1], embedded[0])
        assert unit.vectors.count() == 0


def test_another_users_plan_is_refused(memory: MemoryManager) -> None:
    other = memory.as_user(f"{memory.settings.user_name}-other")
    said(memory, 1, "Mireille lives in Lyon")
    plan = memory.erasure.preview(subject="Mireille")
    with pytest.raises(InvalidArgument, match="another user"):
        other.erasure.erase(plan)
    with pytest.raises(InvalidArgument, match="gone by now|no row"):
        other.erasure.erase(replace(plan, user_id=other.store.user_id))
    assert other.erasure.preview(subject="Mireille").empty
    assert memory.recall.count() == 1


def test_the_functions_refuse_outside_an_erasure(memory: MemoryManager) -> None:
    said(memory, 1, "Mireille lives in Lyon")
    calls = (
        "ltmemory.erase_rows('messages', '{}')",
        "ltmemory.erase_vectors('message', '{}')",
        "ltmemory.erase_in_place('blocks', '{}', 'content', '{}')",
        "ltmemory.note_erasure('{}', '{}')",
    )
    for call in calls:
        with pytest.raises(StoreError, match="change set of the tool forget"), memory.store.write(BY_USER) as unit:
            unit.erasure.execute(f"SELECT {call}")
        with pytest.raises(StoreError, match="change set of the tool forget"), memory.store.read() as unit:
            unit.erasure.execute(f"SELECT {call}")


def test_a_failed_erasure_leaves_everything(memory: MemoryManager, admin: str) -> None:
    said(memory, 1, "Mireille lives in Lyon")
    before = sorted(everything(admin, memory.store.user_id))
    with pytest.raises(StoreError, match="not journaled"), memory.store.write(Change(Actor.USER, "forget")) as unit:
        unit.erasure.erase_rows("messages", [row.id for row in memory.erasure.preview(subject="Mireille").rows])
        unit.erasure.erase_rows("change_sets", [])
    assert sorted(everything(admin, memory.store.user_id)) == before


@pytest.mark.parametrize(
    ("subject", "text_", "held"),
    [
        ("Mireille", "mireille's cake", True),
        ("Mireille", "Mireilles", False),
        ("Mireille", "xMireille", False),
        ("Mireille", "Mi\u00adrei\u200blle", True),
        ("Straße", "STRASSE", True),
        ("Zoë", "Zoe\u0308!", True),
        ("Zoë", "Zoe", False),
        ("美玲", "我和美玲去", True),
        ("José María", "josé  maría", True),
        ("anna-lena", "Anna_Lena", True),
        ("555 1234", "call 555-1234 now", True),
    ],
)
def test_a_subject_stands_as_whole_words(memory: MemoryManager, subject: str, text_: str, held: bool) -> None:
    said(memory, 1, text_)
    assert memory.erasure.preview(subject=subject).empty is not held


def test_the_registry_knows_every_column_of_text(memory: MemoryManager) -> None:
    """A table that a later migration adds has to be sorted here: what holds a user's text must be erasable."""
    from mira_ltmemory.store.erasable import BLOCK_COLUMNS, EXEMPT, HELD, IN_PLACE, LINKS, VOCABULARY, WHOLE_ROWS

    with memory.store.read() as unit:
        tables = unit.scan.tables()
    unknown = []
    for table in tables:
        live = table.name.removesuffix("_versions")
        if live in {*WHOLE_ROWS, *EXEMPT, LINKS, HELD}:
            continue
        known = {
            "origin",
            *IN_PLACE.get(live, ()),
            *VOCABULARY.get(live, ()),
            *(BLOCK_COLUMNS if live == "blocks" else ()),
        }
        unknown += [f"{table.name}.{column}" for column in table.texts if column not in known]
    assert unknown == []
    words = {"word_documents", "word_terms", "word_blocks"}
    assert {table.name for table in tables if table.binary} - words == {
        "cold_texts",
        "token_vectors",
        "embedding_models",
        "embedding_caches",
        "cached_embeddings",
    }


def test_a_search_after_an_erasure_is_what_it_would_be_without(memory: MemoryManager) -> None:
    """The statistics of the words keep no trace: a user who never had the rows gets the same scores."""
    other = memory.as_user(f"{memory.settings.user_name}-without")
    for number, content in enumerate(("the cat sleeps", "a dog barks", "the cat and the dog play")):
        said(memory, number, content, position=number)
        said(other, number, content, position=number)
    said(memory, 9, "Mireille has a cat and a dog and a horse", position=9)
    for each in (memory, other):
        each.process_pending()
    forget(memory, "Mireille")
    for query in ("cat", "dog barks", "animals that sleep"):
        results = [
            [(hit.content, round(hit.score, 6)) for hit in each.recall.search(query, Filter(), 5).hits]
            for each in (memory, other)
        ]
        assert results[0] == results[1]


def test_forgetting_is_open_to_threads_of_the_same_user(
    memory: MemoryManager, make_threads: Callable[..., list[object]]
) -> None:
    said(memory, 1, "Mireille lives in Lyon")
    plan = memory.erasure.preview(subject="Mireille")
    results = make_threads(4, lambda: memory.erasure.erase(plan))
    assert sum(not isinstance(result, Exception) for result in results) == 1
    assert all("gone by now" in str(result) for result in results if isinstance(result, Exception))


@pytest.fixture
def make_threads() -> Callable[..., list[object]]:
    from concurrent.futures import ThreadPoolExecutor

    def run(number: int, work: Callable[[], object]) -> list[object]:
        with ThreadPoolExecutor(number) as pool:
            futures = [pool.submit(work) for _ in range(number)]
        return [future.exception() or future.result() for future in futures]

    return run


@pytest.mark.parametrize(
    ("text", "held"), [("Bobーさん", True), ("Bobさん", True), ("Bobby", False), ("コーヒーとBob", True)]
)
def test_letters_of_scripts_without_spaces_are_no_part_of_the_word_beside_them(text: str, held: bool) -> None:
    assert Needle(subject="Bob").holds(text) == held
