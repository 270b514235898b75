"""Tables on a terminal of 80 columns: what people copy from them stands there in full."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from io import StringIO
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console

from mira_ltmemory.cli import graph
from mira_ltmemory.cli.common import fitting, local
from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.protocols import Actor, Change
from mira_ltmemory.services.graph.views import EntityBrief

Run = Callable[..., str]


@pytest.fixture
def edited(memory: MemoryManager) -> MemoryManager:
    reason = "because the user said so at some length, with every detail that a reason may have"
    memory.blocks.append("human", "Knows Ruth.", Change(Actor.AUTOMATION, "core_memory_append", reason))
    return memory


@pytest.mark.parametrize("command", [("log",), ("blocks", "history", "human")])
def test_times_and_tools_of_changes(run: Run, edited: MemoryManager, command: tuple[str, ...]) -> None:
    told = run(*command, COLUMNS="80")
    entry = edited.history.log(1)[0]
    assert local(entry.created_at, edited.settings.zone) in told
    assert "…" not in told
    assert "automation" in told


def test_indexes_by_what_they_are_of(run: Run, memory: MemoryManager) -> None:
    memory.archival.insert("The ferry leaves at seven")
    told = run("index", COLUMNS="80")
    assert "messages, model" in told
    assert "passages, model" in told
    assert "…" not in told


def test_ids_of_entities() -> None:
    id = uuid.uuid4()
    brief = EntityBrief(
        id=id, name="A " + "very " * 12 + "long name", type="organisation", aliases=(), mentions=1234,
        first=None, last=datetime(2025, 5, 5, tzinfo=UTC),
    )  # fmt: skip
    screen = Console(width=80, record=True, file=StringIO())
    screen.print(graph._table([brief], ZoneInfo("UTC")))
    told = screen.export_text()
    assert str(id) in told
    assert "organisation" in told
    assert "2025-05-05" in told
    assert max(map(len, told.splitlines())) <= 80


def test_a_column_with_nothing_in_it_is_left_out() -> None:
    table = fitting(("a", "b", "c"), [("1", "", ""), ("2", "", "x")], ("a",))
    assert [column.header for column in table.columns] == ["a", "c"]
