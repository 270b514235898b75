"""The tools over the versions of core memory, as the language model meets them."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.protocols import Actor, Change, Tool
from mira_ltmemory.services.memory_files import COMMANDS


@pytest.fixture
def memory(make_memory: Callable[..., MemoryManager]) -> MemoryManager:
    return make_memory(timezone="Europe/Berlin", tools={"memory": True})


@pytest.fixture
def tools(memory: MemoryManager) -> dict[str, Tool]:
    return {tool.name: tool for tool in memory.tools()}


def test_a_conflict_hands_over_the_text_and_the_diff(tools: dict[str, Tool]) -> None:
    tools["core_memory_append"].run(label="human", content="one", expected_version=1)
    tools["core_memory_append"].run(label="human", content="two")
    calls = {
        "core_memory_append": {"content": "x"},
        "core_memory_replace": {"old_content": "one", "new_content": "1"},
        "memory_insert": {"new_str": "x"},
        "memory_rethink": {"new_memory": "x"},
        "memory_rollback": {"version": 1},
    }
    for name, arguments in calls.items():
        answer = tools[name].run(label="human", **arguments, expected_version=2)
        assert answer["success"] is False
        assert "version 3, not 2" in answer["error"]
        assert "It holds:\none\ntwo" in answer["error"]
        assert "--- human version 2\n+++ human version 3" in answer["error"]
        assert answer["error"].endswith("+two")


def test_history_shows_who_changed_what(memory: MemoryManager, tools: dict[str, Tool]) -> None:
    tools["core_memory_append"].run(label="human", content="one")
    edit = memory.blocks.append("human", "two", Change(Actor.USER, "shell", "as I said"))
    answer = tools["memory_history"].run(label="human")
    json.dumps(answer)
    assert answer["success"] is True
    assert [version["version"] for version in answer["versions"]] == [3, 2, 1]
    newest = answer["versions"][0]
    assert (newest["by"], newest["reason"], newest["chars"]) == ("user, shell", "as I said", 7)
    assert newest["change_set"] == edit.change_set_id
    assert newest["at"] == "2025-05-05T11:30+02:00"
    assert newest["diff"].endswith(" one\n+two")
    assert answer["versions"][1]["by"] == "model, core_memory_append"
    assert "diff" not in answer["versions"][2]
    assert "not an instruction" in answer["note"]


def test_history_is_bounded(tools: dict[str, Tool]) -> None:
    for number in range(30):
        tools["memory_rethink"].run(label="human", new_memory=f"{number} " * 600)
    answer = tools["memory_history"].run(label="human")
    assert len(answer["versions"]) == 20
    assert len(json.dumps(answer)) < 16_000


def test_rollback_makes_a_new_version(tools: dict[str, Tool]) -> None:
    for text in ("one", "two"):
        tools["memory_rethink"].run(label="human", new_memory=text)
    answer = tools["memory_rollback"].run(label="human", version="2", expected_version=3)
    assert (answer["success"], answer["version"], answer["chars_used"]) == (True, 4, 3)
    assert tools["memory"].run(command="view", path="/memories/human.md")["message"].endswith("\tone")


def test_the_file_tool_declares_the_arguments_of_every_command(tools: dict[str, Tool]) -> None:
    schema = tools["memory"].schema
    assert schema["required"] == ["command"]
    assert schema["properties"]["command"]["enum"] == list(COMMANDS)
    named = {name for needed, optional in COMMANDS.values() for name in (*needed, *optional)}
    assert set(schema["properties"]) == named | {"command"}
    assert all(part["description"] and part["type"] for part in schema["properties"].values())
    json.dumps(schema)
