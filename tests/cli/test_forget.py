"""Erasure on the command line: shown, asked, done, told."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.protocols import Actor, Change, IncomingMessage, Origin, Role

Run = Callable[..., str]


@pytest.fixture
def mireille(memory: MemoryManager) -> MemoryManager:
    texts = ["Mireille lives in [b]Lyon[/b]\x1b[31m.", "The weather is nice."]
    memory.capture(
        [
            IncomingMessage(
                conversation_id="c", external_id=str(number), role=Role.USER, content=text,
                said_at=memory.clock.now(), origin=Origin.USER,
            )
            for number, text in enumerate(texts)
        ]
    )  # fmt: skip
    memory.blocks.append("human", "Knows Mireille.\nLikes tea.", Change(Actor.MODEL, "test"))
    return memory


def test_a_preview_is_shown_and_nothing_done_where_nobody_can_be_asked(run: Run, mireille: MemoryManager) -> None:
    told = run("forget", "mireille", code=1)
    assert "Mireille lives in [b]Lyon[/b]\\x1b[31m." in told
    assert "Text of core memory blocks stays" in told
    assert "Give --yes" in told
    assert mireille.erasure.receipts() == []
    assert "Mireille" in run("search", "Mireille")


def test_a_search_shows_the_ids_that_forget_takes(run: Run, mireille: MemoryManager) -> None:
    found = re.search(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", run("search", "weather", "--ids", "--limit", "1"))
    assert found
    told = run("forget", "--id", found.group(), "--yes")
    assert "`mira-ltmemory index vacuum`" in told
    assert mireille.recall.count() == 1
    assert "Give --yes" in run("index", "vacuum", code=1)
    assert "... rewrote messages" in run("index", "vacuum", "--yes")


def test_erased_with_a_receipt(run: Run, mireille: MemoryManager) -> None:
    told = run("forget", "mireille", "--blocks", "--yes", "--vacuum")
    assert "human: Knows Mireille." in told
    assert "it stands nowhere" in told
    assert "write-ahead log" in told
    assert "The tables were rewritten" in told
    assert f"Receipt {mireille.erasure.receipts()[0].id}" in told
    assert re.search("Key [0-9a-f]{32,}", told)
    assert "Likes tea." in run("blocks")
    assert "Mireille" not in run("blocks")
    assert "Mireille" not in run("search", "who lives in Lyon")
    assert "erasure" in run("log", "--limit", "1")
    assert "an erasure, which cannot be undone" in run("undo", str(mireille.history.log(1)[0].id), "--yes", code=1)


def test_what_is_not_there_and_what_is_named_twice(run: Run, mireille: MemoryManager) -> None:
    assert "Nothing is to be erased" in run("forget", "Theodora", "--yes", code=1)
    assert "exactly one of subject, ids and query" in run("forget", "--yes", code=1)
    assert "exactly one" in run("forget", "mireille", "--query", "Lyon", "--yes", code=1)
    unknown = "00000000-0000-4000-8000-000000000000"
    assert "There is no row of memory with the id" in run("forget", "--id", unknown, "--yes", code=1)
    run("forget", "--id", "not-a-uuid", code=2)


def test_a_query_only_finds_and_its_ids_erase(run: Run, mireille: MemoryManager) -> None:
    told = run("forget", "--query", "who lives in Lyon", "--yes", code=1)
    assert "A query only finds" in told
    found = re.search(r"message \| ([0-9a-f-]{36})\s+Mireille", told)
    assert found, told
    assert "messages: 1" in run("forget", "--id", found.group(1), "--yes")
    assert "Mireille" not in run("search", "who lives in Lyon")


def test_at_a_terminal(run: Run, answer: Run, mireille: MemoryManager) -> None:
    assert "Nothing was changed." in answer("n\n", "forget", "mireille", code=1)
    assert "Nothing was changed." in answer("\n", "forget", "--query", "who lives in Lyon", code=1)
    assert "is none of the numbers" in answer("77\n", "forget", "--query", "who lives in Lyon", code=1)
    told = answer("1\ny\n", "forget", "--query", "who lives in Lyon")
    assert "Erased at" in told
    assert "Mireille" not in run("search", "who lives in Lyon")
