"""The host adapter inside the real MIRA. Everything asserted here has a twin against the small host."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(scope="module")
def conversation(play: Any) -> dict[str, Any]:
    return play("conversation")


def test_every_tool_is_in_every_request(conversation: dict[str, Any]) -> None:
    requests, complete = conversation["tools"]
    assert conversation["missing"] == []
    assert requests == complete > 20
    assert conversation["workflow"] == [True, True]


def test_the_job_tool_is_never_offered(conversation: dict[str, Any]) -> None:
    assert conversation["need_tool"] == [True, []]


def test_the_model_sees_its_own_edit_in_the_same_turn(conversation: dict[str, Any]) -> None:
    assert conversation["edit"] == [False, True]


def test_a_refused_edit_leaves_no_trace(conversation: dict[str, Any]) -> None:
    assert conversation["refused"] is False


def test_every_message_is_stored_once_although_mira_pruned_it(conversation: dict[str, Any]) -> None:
    said = [content for _, content in conversation["stored"]]
    assert conversation["kept"] <= 4
    assert said[:2] == ["My cat is called Ada.", "[calls core_memory_append]"]
    assert said[-2:] == ["Goodbye", "The very last word."]
    for text in ("Turn on the lamp", "About: Turn on the lamp"):
        assert said.count(text) == 1
    assert not any("thought_process" in text or "topic_changed" in text or "success" in text for text in said)


def test_the_prompt_shows_what_is_relevant_to_the_message_that_it_answers(play: Any) -> None:
    found = play("relevance")
    # Before 3e1a230 MIRA looks only before the user's message is there: what is shown is about the one before.
    assert found["shown"] in ([["Greta"], ["Olaf"], []], [[], ["Greta"], ["Olaf"]])
    assert found["left"] is False


def test_jobs(play: Any) -> None:
    found = play("jobs")
    assert {row[0] for row in found["armed"]} >= {"process_conversations", "health_check", "weekly_review"}
    assert {row[3] for row in found["armed"]} == {"active"}
    assert found["executions"] == [["completed", None]]
    assert found["result"]["success"] is True
    assert found["rearmed"] == found["expected"]
    assert found["visible"] == []
    retimed = dict(found["retimed"])
    assert "process_conversations" not in retimed and ":15:00" in retimed["health_check"]
    assert found["zone"] == "America/Chicago"


def test_a_turn_and_the_jobs_do_not_trip_over_each_other(play: Any) -> None:
    found = play("threads")
    assert found["raised"] == [] and found["looks"] > 500 and found["runs"] > 10
    assert found["statuses"] == ["completed"]


def test_downtime_is_made_up_for(play: Any) -> None:
    found = play("downtime")
    assert found["before"] == ["failed"]
    assert found["after"] == ["completed", "failed"]
    assert found["next_is_later"]


def test_what_was_said_is_kept_through_clear_swap_and_crash(play: Any) -> None:
    said = [content for _, content in play("history")["stored"]]
    assert said[:4] == ["First", "One.", "Second", "Two."]
    # Before 3e1a230 MIRA looks only before it takes down what the user says, so the last turn dies unseen.
    assert said[4:] in ([], ["Third"])


def test_jobs_where_no_tool_is_on(play: Any) -> None:
    found = play("jobs_without_tools")
    assert len(found["executions"]) >= 2 and all(one == ["completed", None] for one in found["executions"])
    assert found["offered"] == [] and found["looked"] == len(found["executions"])


def test_mira_starts_without_the_database_and_says_so(play: Any) -> None:
    found = play("degraded")
    assert "off" in found["prompt"] and found["tools"] == []


def test_config_and_language_model(play: Any) -> None:
    found = play("config")
    # Before 3e1a230 MIRA has no memory section that could be set.
    assert found["same"] and found["published"][0] == (7 if found["section"] else 10)
    assert found["published"][1:] == ["America/Chicago", "America/Chicago"]
    shown, named = found["ollama"]
    assert shown == named >= 9
    assert found["llm"] == ["An answer.", True, "end_turn"]
