"""Transactions and the order of change sets."""

from __future__ import annotations

import threading
import uuid

import pytest

from mira_ltmemory.errors import StoreError, StoreUnavailable
from mira_ltmemory.protocols import Actor, Change
from mira_ltmemory.store.database import open_database
from mira_ltmemory.store.models import Block
from mira_ltmemory.store.unit_of_work import SqlUnitOfWork, Store

TEST = Change(Actor.SYSTEM, "test")


def block(unit: SqlUnitOfWork, content: str = "") -> Block:
    return Block(
        user_id=unit.user_id,
        id=uuid.uuid4(),
        change_set_id=unit.change_set_id,
        origin="user",
        label="human",
        description="",
        content=content,
        char_limit=100,
        read_only=False,
        position=0,
    )


def test_an_error_leaves_neither_rows_nor_journal_entry(store: Store) -> None:
    with pytest.raises(ValueError, match="no"), store.write(TEST) as unit:
        unit.blocks.add(block(unit))
        raise ValueError("no")
    with store.read() as unit:
        assert unit.blocks.all() == []
        assert unit.journal.last_id() == 0


def test_a_reading_transaction_has_no_change_set(store: Store) -> None:
    with store.read() as unit, pytest.raises(RuntimeError, match=r"Store\.write"):
        _ = unit.change_set_id


def test_the_old_version_is_kept_with_who_ended_it(store: Store) -> None:
    with store.write(TEST) as unit:
        unit.blocks.add(block(unit, "first"))
    with store.write(TEST) as unit:
        row = unit.blocks.get("human")
        assert row is not None
        row.content = "second"
        unit.blocks.save(row)
        row.content = "third"
        unit.blocks.save(row)
    with store.read() as unit:
        versions = unit.blocks.execute(
            "SELECT content, version, change_set_id, ended_by FROM ltmemory.blocks_versions WHERE user_id = :user_id"
        ).all()
        present = unit.blocks.get("human")
    assert [tuple(row) for row in versions] == [("first", 1, 1, 2)]
    assert present is not None
    assert (present.content, present.version, present.change_set_id) == ("third", 2, 2)


def test_a_removed_row_lives_on_as_a_version(store: Store) -> None:
    with store.write(TEST) as unit:
        unit.blocks.add(block(unit, "gone"))
    with store.write(TEST) as unit:
        unit.blocks.execute("DELETE FROM ltmemory.blocks WHERE user_id = :user_id")
    with store.read() as unit:
        row = unit.blocks.execute(
            "SELECT content, ended_by FROM ltmemory.blocks_versions WHERE user_id = :user_id"
        ).one()
    assert tuple(row) == ("gone", 2)


def test_change_sets_are_numbered_in_the_order_in_which_they_commit(store: Store) -> None:
    committed: list[int] = []
    lock = threading.Lock()

    def work() -> None:
        for _ in range(5):
            with store.write(TEST) as unit:
                number = unit.change_set_id
                with lock:
                    committed.append(number)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert committed == sorted(committed) == list(range(1, 31))


def test_two_users_never_see_each_other(store: Store) -> None:
    other = Store(store.database, uuid.uuid4(), store.clock)
    with store.write(TEST) as unit:
        unit.blocks.add(block(unit, "mine"))
    with other.read() as unit:
        assert unit.blocks.all() == []
        assert unit.blocks.execute("SELECT count(*) FROM ltmemory.blocks").scalar() == 0
        assert unit.journal.latest() == []
    with pytest.raises(StoreError, match="row-level security"), other.write(TEST) as unit:
        row = block(unit, "forged")
        row.user_id = store.user_id
        unit.session.add(row)
        unit.session.flush()


@pytest.mark.parametrize(
    "url", ["postgresql+psycopg2://nobody@127.0.0.1:1/none", "postgresql+psycopg2:///none?host=/nonexistent"]
)
def test_a_wrong_url_is_told_and_nothing_falls_back(url: str) -> None:
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        open_database(url)
