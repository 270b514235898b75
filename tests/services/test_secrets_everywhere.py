"""No secret is stored, by whichever parameter it comes in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from owners import superuser_of
from redaction_cases import ALNUM, made
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.errors import InvalidArgument, NeedsConfirmation
from mira_ltmemory.protocols import Actor, Change, Filter, IncomingMessage, Origin, Role
from mira_ltmemory.store.database import EMBEDDED_DATABASE

BY_USER = Change(Actor.USER, "test")
WHEN = datetime(2025, 5, 1, 8, tzinfo=UTC)


def secret(name: str) -> str:
    return "gh" + "p_" + made(name, ALNUM, 36)


def message(number: int, **more: object) -> IncomingMessage:
    given = {
        "conversation_id": f"c {secret('conversation')}",
        "external_id": f"m{number} {secret('message')}",
        "role": Role.USER,
        "content": f"hello {number}",
        "said_at": WHEN,
        "origin": Origin.USER,
        **more,
    }
    return IncomingMessage(**given)  # type: ignore[arg-type]


@pytest.fixture(name="stored")
def stored_fixture(postgres_dir: Path) -> Iterator[Callable[[], str]]:
    """All rows of all tables of all users, as text."""
    engine = create_engine(superuser_of(postgres_dir, EMBEDDED_DATABASE), poolclass=NullPool)

    def everything() -> str:
        with engine.connect() as connection:
            tables = connection.execute(
                text("SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = 'ltmemory'")
            ).scalars()
            return "\n".join(
                row
                for table in list(tables)
                for row in connection.execute(text(f"SELECT t::text FROM {table} t")).scalars()
            )

    yield everything
    engine.dispose()


def plant(memory: MemoryManager) -> dict[str, str]:
    """Bring a secret in by every parameter that takes text; return them by where they were put."""
    by_model = Change(Actor.MODEL, f"tool {secret('tool')}", f"because {secret('reason')}")
    memory.blocks.create("plans", by_model, content=secret("content"), description=f"a {secret('description')} b")
    memory.blocks.append("plans", secret("append"), by_model)
    memory.archival.insert(secret("passage"), [f"x {secret('tag')}", "travel"], by_model)
    memory.archival.insert("known text", ["one"], by_model)
    memory.archival.insert("known text", [secret("joined tag")], by_model)
    metadata = {"a": [secret("metadata"), {"b": f"c {secret('nested')}"}], secret("name"): 1, "nul": "\0"}
    memory.capture([message(1, speaker=f"Ann {secret('speaker')}", metadata=metadata)])
    memory.import_messages([message(2)], f"{secret('source')}.json")
    memory.snapshots.create(f"before {secret('snapshot')}", f"note {secret('note')}")
    memory.snapshots.restore(f"before {secret('snapshot')}", Change(Actor.USER, "x", secret("restore")))
    last = memory.blocks.append("plans", "a line", by_model).change_set_id
    memory.history.undo(last, Change(Actor.USER, secret("undo tool"), secret("undo")), with_dependents=True)
    names = """tool reason content description append passage tag metadata nested name speaker source snapshot
        note restore undo conversation message""".split()  # noqa: SIM905 - easier to read
    return {name: secret(name) for name in [*names, "joined tag", "undo tool"]}


def test_no_parameter_lets_a_secret_in(memory: MemoryManager, stored: Callable[[], str]) -> None:
    planted = plant(memory)
    found = stored()
    assert "hello 2" in found
    assert [name for name, value in planted.items() if value in found] == []
    assert "because [redacted: access token]" in {entry.reason for entry in memory.history.log(50)}


def test_with_redaction_switched_off_they_are_all_stored(
    make_memory: Callable[..., MemoryManager], stored: Callable[[], str]
) -> None:
    planted = plant(make_memory(redact_secrets=False))
    found = stored()
    assert [name for name, value in planted.items() if value not in found] == []


def test_a_held_edit_that_is_confirmed_notes_no_secret(
    make_memory: Callable[..., MemoryManager], stored: Callable[[], str]
) -> None:
    memory = make_memory(core_memory_confirmation="always")
    with pytest.raises(NeedsConfirmation):
        memory.blocks.append("human", "likes tea", Change(Actor.MODEL, secret("held tool")))
    memory.blocks.confirm(memory.blocks.pending()[0].id, BY_USER)
    assert secret("held tool") not in stored()


def test_what_was_redacted_is_found_by_what_it_was_called(memory: MemoryManager) -> None:
    memory.archival.insert("a walk in Lyon", [f"x {secret('tag 2')}"], BY_USER)
    memory.archival.insert("a walk in Paris", ["y"], BY_USER)
    wanted = Filter(tags=(f"x {secret('tag 2')}",))
    assert [hit.content for hit in memory.archival.search("walk", wanted).hits] == ["a walk in Lyon"]
    assert [hit.content for hit in memory.as_of(memory.history.log(1)[0].id).passages(9, wanted)] == ["a walk in Lyon"]
    name = f"s {secret('snapshot 2')}"
    made_now = memory.snapshots.create(name)
    assert made_now.name == "s [redacted: access token]"
    assert memory.snapshots.get(name) == memory.snapshots.get(made_now.name) == made_now
    assert memory.snapshots.diff(name).empty
    assert memory.as_of(name).moment == made_now.moment
    memory.snapshots.delete(name)
    assert memory.snapshots.list() == []


def test_messages_whose_ids_hold_secrets_are_kept_apart_and_known_again(memory: MemoryManager) -> None:
    given = [message(1, external_id=secret(f"id {number}"), content=f"said {number}") for number in range(3)]
    other = message(1, conversation_id=f"c {secret('other')}")
    assert memory.capture([*given, other]) == [*given, other]
    assert memory.capture([*given, other]) == []
    assert memory.recall.count() == 4


def test_an_id_is_known_whether_redaction_was_on_or_not(make_memory: Callable[..., MemoryManager]) -> None:
    assert len(make_memory(redact_secrets=False).capture([message(1)])) == 1
    assert make_memory().capture([message(1)]) == []


def test_a_label_that_is_a_secret_is_refused(memory: MemoryManager) -> None:
    label = "gh" + "p_" + made("label", "abcdefghijk0123456789", 36)
    with pytest.raises(InvalidArgument, match="looks like a secret") as refused:
        memory.blocks.create(label, BY_USER)
    assert label not in str(refused.value)
    memory.blocks.create("plans", BY_USER)
    with pytest.raises(InvalidArgument, match="looks like a secret"):
        memory.blocks.rename("plans", label, BY_USER)


def test_a_described_block_of_the_settings_holds_no_secret(make_memory: Callable[..., MemoryManager]) -> None:
    described = {"human": f"about {secret('setting')}"}
    memory = make_memory(core_memory_descriptions=described)
    assert memory.blocks.get("human").description == "about [redacted: access token]"
    before = memory.history.log(1)[0].id
    assert make_memory(core_memory_descriptions=described).history.log(1)[0].id == before
