"""The tools as the language model meets them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.protocols import Tool

SIGNATURES = {
    "core_memory_append": (["label", "content", "expected_version"], ["label", "content"]),
    "core_memory_replace": (
        ["label", "old_content", "new_content", "expected_version"],
        ["label", "old_content", "new_content"],
    ),
    "memory_insert": (["label", "new_str", "insert_line", "expected_version"], ["label", "new_str"]),
    "memory_rethink": (["label", "new_memory", "expected_version"], ["label", "new_memory"]),
    "memory_history": (["label"], ["label"]),
    "memory_rollback": (["label", "version", "expected_version"], ["label", "version"]),
    "archival_memory_insert": (["content", "tags"], ["content"]),
    "archival_memory_search": (
        [
            "query",
            "tags",
            "tag_match_mode",
            "top_k",
            "start_datetime",
            "end_datetime",
            "categories",
            "include_ended",
            "include_old",
        ],
        ["query"],
    ),
    "conversation_search": (["query", "roles", "limit", "start_date", "end_date", "include_old"], ["query"]),
    "entity_lookup": (["name"], ["name"]),
    "entity_search": (["query", "type", "limit"], ["query"]),
}


@pytest.fixture
def tools(memory: MemoryManager) -> dict[str, Tool]:
    return {tool.name: tool for tool in memory.tools()}


def test_every_tool_has_its_exact_schema(tools: dict[str, Tool]) -> None:
    assert {
        name: (list(tool.schema["properties"]), tool.schema["required"]) for name, tool in tools.items()
    } == SIGNATURES
    for tool in tools.values():
        assert tool.description
        assert all(part["description"] and part["type"] for part in tool.schema["properties"].values())
        json.dumps(tool.schema)


def test_a_switched_off_tool_is_absent(make_memory: Callable[..., MemoryManager]) -> None:
    memory = make_memory(tools={"memory_rethink": False, "conversation_search": False})
    names = [tool.name for tool in memory.tools()]
    assert "memory_rethink" not in names
    assert "conversation_search" not in names
    assert len(names) == len(SIGNATURES) - 2


def test_an_edit_tells_the_new_version_and_what_is_left(tools: dict[str, Tool]) -> None:
    answer = tools["core_memory_append"].run(label="human", content="Name: Ada")
    assert answer["success"] is True
    assert (answer["version"], answer["chars_used"], answer["chars_left"]) == (2, 9, 2039)


def test_whole_numbers_arrive_as_models_send_them(tools: dict[str, Tool]) -> None:
    tools["memory_rethink"].run(label="human", new_memory="a\nc")
    for line, given_line in ((1, 1.0), (2, "2"), (-1, None)):
        answer = tools["memory_insert"].run(label="human", new_str=f"after {line}", insert_line=given_line)
        assert answer["success"] is True, answer


@pytest.mark.parametrize(
    ("name", "arguments", "error"),
    [
        ("core_memory_append", {"label": "human"}, "core_memory_append needs content."),
        ("core_memory_append", {"label": "hum", "content": "x"}, "The blocks are: 'persona', 'human', 'system'"),
        ("core_memory_append", {"label": "human", "content": 5}, "content must be of type string, not int"),
        ("core_memory_append", {"label": "human", "content": ""}, "content is empty"),
        ("core_memory_append", {"label": "human", "contents": "x"}, "did you mean 'content'"),
        ("core_memory_append", {"label": "human", "content": "\x00"}, "NUL"),
        ("core_memory_append", {"label": "human", "content": "\ud800"}, "lone surrogate"),
        ("core_memory_append", {"label": "human", "content": "x" * 10_000_000}, "of 2,048 characters (over by"),
        ("core_memory_replace", {"label": "human", "old_content": "x", "new_content": "y"}, "not in the block"),
        ("memory_insert", {"label": "human", "new_str": "x", "insert_line": 7}, "insert_line is 7"),
        ("memory_insert", {"label": "human", "new_str": "x", "insert_line": "two"}, "insert_line must be a whole"),
        ("memory_insert", {"label": "human", "new_str": "x", "insert_line": 1.5}, "insert_line must be a whole"),
        ("memory_insert", {"label": "human", "new_str": "x", "insert_line": float("nan")}, "insert_line must be"),
        ("memory_insert", {"label": "human", "new_str": "x", "expected_version": 9}, "is at version 1, not 9"),
        ("memory_history", {"label": "hum"}, "The blocks are: 'persona', 'human', 'system'"),
        ("memory_history", {"label": "\x00"}, "There is no core memory block"),
        ("core_memory_append", {"label": "\x00", "content": "x" * 50}, "There is no core memory block"),
        ("core_memory_append", {"label": "\ud800", "content": "x" * 50}, "There is no core memory block"),
        ("memory_rollback", {"label": "human", "version": 9}, "Block 'human' has no version 9; versions kept: 1."),
        ("memory_rollback", {"label": "human", "version": 1}, "exactly this text already"),
        ("memory_rollback", {"label": "human"}, "memory_rollback needs version."),
        ("archival_memory_insert", {"content": " "}, "content is empty"),
        ("archival_memory_insert", {"content": "x", "tags": "travel"}, "tags must be of type array"),
        ("archival_memory_search", {"query": "x", "top_k": -1}, "top_k must be between 1 and 50, not -1"),
        ("archival_memory_search", {"query": "x", "tag_match_mode": "some"}, "tag_match_mode must be one of"),
        ("archival_memory_search", {"query": "x", "start_datetime": "soon"}, "start_datetime 'soon' is no date"),
        ("conversation_search", {"query": "x", "limit": 0}, "limit must be between 1 and 50, not 0"),
        ("conversation_search", {"query": "x", "roles": ["boss"]}, "roles must be among"),
        ("conversation_search", {"query": "x", "end_date": "2025-02-30"}, "end_date '2025-02-30' is no date"),
        (
            "conversation_search",
            {"query": "x", "start_date": "2025-03-01", "end_date": "2025-02-01"},
            "start_date (2025-03-01) is after end_date",
        ),
    ],
)
def test_a_mistake_gets_a_clear_answer_and_changes_nothing(
    memory: MemoryManager, tools: dict[str, Tool], name: str, arguments: dict[str, Any], error: str
) -> None:
    with memory.store.read() as unit:
        before = unit.journal.last_id()
    answer = tools[name].run(**arguments)
    assert answer["success"] is False
    assert error in answer["error"]
    assert list(answer) == ["success", "error"]
    with memory.store.read() as unit:
        assert unit.journal.last_id() == before


def test_a_search_hands_over_json_with_the_users_time(make_memory: Callable[..., MemoryManager]) -> None:
    memory = make_memory(timezone="Europe/Berlin")
    tools = {tool.name: tool for tool in memory.tools()}
    tools["archival_memory_insert"].run(content="Ada's cat is called Byte", tags=["pets"])
    answer = tools["archival_memory_search"].run(query="cat", tags=["pets"], top_k=3)
    assert answer["success"] is True
    assert answer["results"][0]["content"] == "Ada's cat is called Byte"
    assert answer["results"][0]["timestamp"] == "2025-05-05T11:30+02:00"
    json.dumps(answer)


@pytest.mark.parametrize(
    "query",
    ["", "   ", "the of and", "'; DROP TABLE x; --", "a & | ! <-> (", "日本語", "مرحبا", "🎸🎸", "x" * 100_000, "%_\\"],
)
def test_any_query_gives_an_answer(memory: MemoryManager, tools: dict[str, Tool], query: str) -> None:
    memory.archival.insert("The quick brown fox jumps over the lazy dog 日本語 🎸")
    for name in ("archival_memory_search", "conversation_search"):
        answer = tools[name].run(query=query)
        assert answer["success"] is True, answer


@settings(max_examples=60)
@given(
    name=st.sampled_from(sorted(SIGNATURES)),
    arguments=st.dictionaries(
        st.sampled_from(sorted({name for names, _ in SIGNATURES.values() for name in names} | {"other"})),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.lists(st.text(max_size=5)),
        max_size=4,
    ),
)
def test_no_arguments_make_a_tool_raise(memory: MemoryManager, name: str, arguments: dict[str, Any]) -> None:
    tool = next(tool for tool in memory.tools() if tool.name == name)
    answer = tool.run(**arguments)
    assert isinstance(answer["success"], bool)
    assert answer["success"] or answer["error"]
