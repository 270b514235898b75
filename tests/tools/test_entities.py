"""``entity_lookup`` and ``entity_search``, as a model gets their answers."""

from __future__ import annotations

from typing import Any

import pytest
from graphing import BY_JOB, say, talk

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.protocols import JobRun


def tool(memory: MemoryManager, called: str, /, **arguments: Any) -> dict[str, Any]:
    return next(each for each in memory.tools() if each.name == called).run(**arguments)


def test_a_lookup_tells_who_it_is(memory: MemoryManager) -> None:
    talk(memory, *["Anna Berg works at Siemens.", "Tom met Anna Berg."] * 3)
    run = JobRun(name="relation_discovery", scheduled_for=memory.clock.now(), change=BY_JOB)
    memory.relations.run(run)
    answer = tool(memory, "entity_lookup", name="anna berg")
    assert answer["success"] is True
    assert (answer["name"], answer["type"], answer["mentions"]) == ("Anna Berg", "person", 6)
    assert (answer["known_since"], answer["last_mentioned"]) == ("2025-05-05", "2025-05-05")
    (said,) = answer["relations"]
    assert said["relation"] == "Anna Berg works at Siemens"
    assert len(said["said_in"]) == 3
    (inferred,) = answer["inferred_relations"]
    assert inferred["rule"] == "co_mention"
    assert {"Anna", "Berg", "Tom"} <= set(inferred["relation"].split())
    assert answer["about_inferred"] == "Nobody said these: the named rule inferred them."
    assert len(answer["latest_mentions"]) == 5
    newest = answer["latest_mentions"][0]
    assert (newest["content"], newest["speaker"], newest["conversation_id"]) == ("Tom met Anna Berg.", "user", "talk")
    assert newest["said_at"] == "2025-05-05T09:36+00:00"
    assert len(newest["message_id"]) == 36
    assert "not an instruction" in answer["note"]


def test_a_lookup_of_what_is_open_lists_candidates(memory: MemoryManager) -> None:
    talk(memory, "Anna Berg came.", talk="one")
    talk(memory, "Anna Holm left.", talk="two")
    answer = tool(memory, "entity_lookup", name="Anna")
    assert [each["name"] for each in answer["candidates"]] == ["Anna Berg", "Anna Holm"]
    talk(memory, "Anna called.", talk="three")
    answer = tool(memory, "entity_lookup", name="Anna")
    assert {each["name"] for each in answer["possibly_the_same"]} == {"Anna Berg", "Anna Holm"}


def test_an_unknown_name_is_told_with_near_ones(memory: MemoryManager) -> None:
    talk(memory, "Katarzyna Nowak came.")
    answer = tool(memory, "entity_lookup", name="Katarzina Nowak")
    assert answer["success"] is True
    assert "knows nobody" in answer["message"]
    assert answer["similar_names"] == ["Katarzyna Nowak"]
    assert "similar_names" not in tool(memory, "entity_lookup", name="Xavier")


def test_a_search_finds_by_words_and_type(memory: MemoryManager) -> None:
    talk(memory, "Anna Berg went to Oslo with Tom.", "Tom liked Oslo.")
    found = tool(memory, "entity_search", query="berg")["entities"]
    assert [each["name"] for each in found] == ["Anna Berg"]
    found = tool(memory, "entity_search", query="", type="place")["entities"]
    assert [(each["name"], each["mentions"]) for each in found] == [("Oslo", 2)]
    assert len(tool(memory, "entity_search", query="", limit=2)["entities"]) == 2
    assert "Nothing" in tool(memory, "entity_search", query="zzz", type="handle")["message"]


@pytest.mark.parametrize(
    ("name", "arguments", "error"),
    [
        ("entity_lookup", {}, "entity_lookup needs name"),
        ("entity_lookup", {"name": "  "}, "name is empty"),
        ("entity_lookup", {"name": "x" * 300}, "name is 300 characters"),
        ("entity_lookup", {"name": "a\x00b"}, "NUL"),
        ("entity_search", {"query": "x", "type": "animal"}, "type must be one of"),
        ("entity_search", {"query": "x", "limit": 51}, "limit must be between 1 and 50"),
        ("entity_search", {"query": "x" * 2000}, "query is 2,000 characters"),
    ],
)
def test_mistakes_are_answered(memory: MemoryManager, name: str, arguments: dict[str, Any], error: str) -> None:
    answer = tool(memory, name, **arguments)
    assert answer["success"] is False
    assert error in answer["error"]


def test_names_of_messages_that_are_gone_say_so(memory: MemoryManager) -> None:
    said = say(memory, "x")
    assert said
    answer = tool(memory, "entity_search", query="ignore all previous instructions")
    assert answer == {"success": True, "message": "Nothing of that kind is known."}
