"""Reads that share a transaction, and connections that are found dead."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from mira_ltmemory.errors import StoreError
from mira_ltmemory.protocols import Actor, Change
from mira_ltmemory.store import liveness
from mira_ltmemory.store.models import Block
from mira_ltmemory.store.unit_of_work import SqlUnitOfWork, Store

TEST = Change(Actor.SYSTEM, "test")


def began(store: Store) -> Any:
    with store.read() as unit:
        return unit.blocks.execute("SELECT transaction_timestamp(), pg_backend_pid()").one()


def held(store: Store) -> int:
    return int(store.database.engine.pool.checkedout())  # type: ignore[attr-defined]


def add_block(store: Store, label: str) -> None:
    with store.write(TEST) as unit:
        unit.blocks.add(
            Block(
                user_id=unit.user_id, id=uuid.uuid4(), change_set_id=unit.change_set_id, origin="user", label=label,
                description="", content="", char_limit=100, read_only=False, position=0,
            )
        )  # fmt: skip


def labels(store: Store) -> list[str]:
    with store.read() as unit:
        return [block.label for block in unit.blocks.all()]


def kill(store: Store, pid: int) -> None:
    store.database.maintain([f"SELECT pg_terminate_backend({pid}, 5000)"])


@contextmanager
def pings(store: Store) -> Iterator[list[object]]:
    dialect: Any = store.database.engine.dialect
    sent: list[object] = []
    ask = dialect.do_ping

    def noted(connection: Any) -> bool:
        sent.append(connection)
        return bool(ask(connection))

    dialect.do_ping = noted
    try:
        yield sent
    finally:
        del dialect.do_ping


def test_reads_in_a_scope_share_one_transaction_and_others_do_not(store: Store) -> None:
    assert began(store) != began(store)
    with store.reading():
        first = began(store)
        with store.reading():
            assert began(store) == first
        assert began(store) == first
        assert held(store) == 1
    assert held(store) == 0
    assert began(store) != first


def test_a_scope_in_which_nothing_is_read_opens_nothing(store: Store) -> None:
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    event.listen(store.database.engine, "before_cursor_execute", note)
    try:
        with store.reading():
            pass
    finally:
        event.remove(store.database.engine, "before_cursor_execute", note)
    assert sent == []


def test_another_thread_has_a_transaction_of_its_own(store: Store) -> None:
    seen: list[object] = []
    with store.reading():
        first = began(store)
        thread = threading.Thread(target=lambda: seen.append(began(store)))
        thread.start()
        thread.join()
        assert began(store) == first
    assert seen[0] != first


def test_what_is_written_in_a_scope_is_read_in_it(store: Store) -> None:
    with store.reading():
        assert labels(store) == []
        add_block(store, "human")
        assert held(store) == 0
        assert labels(store) == ["human"]


def test_objects_are_read_anew_in_a_shared_transaction(store: Store) -> None:
    add_block(store, "human")
    other = Store(store.database, store.user_id, store.clock)
    with store.reading():
        assert labels(store) == ["human"]
        with other.write(TEST) as unit:
            row = unit.blocks.get("human")
            assert row is not None
            row.label = "person"
            unit.blocks.save(row)
        assert labels(store) == ["person"]


def test_an_error_ends_the_transaction_and_not_the_scope(store: Store) -> None:
    with store.reading():
        first = began(store)
        with pytest.raises(StoreError, match="division by zero"), store.read() as unit:
            unit.blocks.execute("SELECT 1 / 0")
        assert held(store) == 0
        assert began(store) != first
    with pytest.raises(ValueError, match="no"), store.reading(), store.read():
        raise ValueError("no")
    assert held(store) == 0


def test_nothing_is_held_at_rest(store: Store) -> None:
    with store.reading():
        first = began(store)
        store.rest()
        assert held(store) == 0
        with store.read() as unit:
            second = began(store)
            store.rest()  # what is being read goes on
            assert unit.blocks.execute("SELECT transaction_timestamp(), pg_backend_pid()").one() == second
        assert second != first


def test_a_unit_flushes_what_was_done_to_its_objects(store: Store) -> None:
    add_block(store, "human")
    with store.write(TEST) as unit:
        row = unit.blocks.get("human")
        assert row is not None
        row.label = "person"  # nobody says so
    assert labels(store) == ["person"]


def test_a_dead_connection_is_replaced_as_it_is_taken(store: Store) -> None:
    pid = began(store).pg_backend_pid
    kill(store, pid)
    assert began(store).pg_backend_pid != pid


def test_a_connection_that_dies_in_a_scope_is_told_once(store: Store) -> None:
    with store.reading():
        kill(store, began(store).pg_backend_pid)
        with pytest.raises(StoreError):
            began(store)
        began(store)
    assert held(store) == 0


def test_only_a_connection_that_was_idle_is_asked_whether_it_is_there(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    began(store)
    with pings(store) as sent:
        began(store)
        assert sent == []
        monkeypatch.setattr(liveness, "IDLE_S", 0.0)
        began(store)
        assert len(sent) == 1


def test_a_unit_of_another_user_is_never_joined(store: Store) -> None:
    other = Store(store.database, uuid.uuid4(), store.clock)

    def user(unit: SqlUnitOfWork) -> str:
        return str(unit.blocks.execute("SELECT current_setting('ltmemory.user_id')").scalar())

    with store.reading(), other.reading(), store.read() as own, other.read() as foreign:
        assert (user(own), user(foreign)) == (str(store.user_id), str(other.user_id))
