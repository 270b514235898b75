"""Whole turns of the small host: order of events, tools, errors, pruning, saving, and the traps in between."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mira_ltmemory.hosts.local as local
from mira_ltmemory.hosts.local import (
    AgentError,
    BridgeError,
    ConversationError,
    Fault,
    HostConfig,
    ManualClock,
    Reply,
    ScriptedModel,
    ToolError,
    initialize_system,
    load_conversation,
    run_turn,
    save_conversation,
    shutdown,
)


class Memory:
    """A stand-in for the plugin: a tool that edits the prompt, and a provider."""

    name = "ltmemory"
    description = "Remembers"

    def __init__(self, system: dict[str, Any]) -> None:
        self.system = system
        self.refreshed = 0
        self.seen: list[list[str]] = []
        self.text = "nothing yet"
        self.item: str | None = None

    def get_dependencies(self) -> list[str]:
        return []

    def get_metadata(self) -> dict[str, Any]:
        parameters = {"text": {"type": "string"}, "count": {"type": "int"}}
        return {
            "name": self.name,
            "description": self.description,
            "parameters": parameters,
            "required_parameters": [],
        }

    def run(self, text: str = "", error: str = "") -> dict[str, Any]:
        if error:
            raise ToolError(error, retry_with={"text": "x"})
        self.text = text
        return {"success": True, "text": text}

    def update_working_memory(self) -> None:
        self.refreshed += 1
        self.seen.append([str(message.content) for message in self.system["conversation"].messages])
        memory = self.system["working_memory"]
        if self.item:
            memory.remove(self.item)
        self.item = memory.add(f"MEMORY {self.text}", "ltmemory")
        engine = self.system["tool_relevance_engine"]
        engine.tool_activation_history[self.name] = engine.message_counter + 1
        self.system["tool_repo"].enable_tool(self.name)


class Bench:
    def __init__(self, folder: Path, model: ScriptedModel) -> None:
        self.config = HostConfig.for_folder(folder, base_url=model.url, api_key="test", timeout=5)
        self.config.automation.scheduler = False
        self.model = model
        self.clock = ManualClock()
        self.open: list[dict[str, Any]] = []
        self.system = self.start()

    def start(self, conversation_id: str = "c1") -> dict[str, Any]:
        system = initialize_system(self.config, clock=self.clock, conversation_id=conversation_id)
        self.open.append(system)
        return system

    def plug(self) -> Memory:
        memory = Memory(self.system)
        self.system["tool_repo"].register_tool(memory)
        self.system["working_memory"].register_manager(memory)
        return memory

    def say(self, text: str, *steps: Any, **options: Any) -> str | None:
        self.model.add(*steps)
        return run_turn(self.system, text, **options)

    @property
    def conversation(self) -> local.Conversation:
        conversation: local.Conversation = self.system["conversation"]
        return conversation


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with ScriptedModel() as model:
        bench = Bench(tmp_path, model)
        yield bench
        for system in bench.open:
            shutdown(system)


def test_the_dict_has_miras_keys(bench: Bench) -> None:
    assert list(bench.system) == [
        "llm_bridge",
        "tool_repo",
        "conversation",
        "tool_relevance_engine",
        "workflow_manager",
        "automation_engine",
        "working_memory",
        "time_manager",
        "user_info_manager",
        "system_status_manager",
        "reminder_manager",
        "onload_checker",
    ]


def test_a_plain_turn(bench: Bench) -> None:
    assert bench.say("Hello", "Hi there. <topic_changed=true/>") == "Hi there. <topic_changed=true/>"
    assert [message.role for message in bench.conversation.messages] == ["user", "assistant"]
    assert bench.system["tool_relevance_engine"].topic_changed
    assert bench.conversation.tokens_in == 10
    [request] = bench.model.requests
    assert "# Time" in request.system
    assert request.tools == {}
    assert request.body["max_tokens"] == 1000


def test_a_tool_that_nobody_keeps_vanishes_on_every_turn(bench: Bench) -> None:
    memory = bench.plug()
    memory.update_working_memory = lambda: None  # type: ignore[method-assign]
    for text in ("Hello", "What is the weather in Lisbon?"):
        bench.system["tool_repo"].enable_tool("ltmemory")
        bench.say(text, "ok")
        assert "ltmemory" not in bench.model.requests[-1].tools
    assert list(bench.model.requests[-1].tools) == ["weather_tool"]


def test_the_remedy_keeps_the_tool_in_every_request(bench: Bench) -> None:
    bench.plug()
    for turn in range(9):
        bench.say(f"turn {turn}", Reply(tool_calls=[("ltmemory", {"text": "x"})]), "ok")
    assert len(bench.model.requests) == 18
    assert all("ltmemory" in request.tools for request in bench.model.requests)
    assert bench.model.refusals == []


def test_providers_run_twice_a_turn_and_see_the_users_message_the_second_time(bench: Bench) -> None:
    memory = bench.plug()
    bench.say("Hello", "Hi")
    assert memory.seen == [[], ["Hello"]]
    bench.say("Bye", "See you")
    assert memory.seen[2:] == [["Hello", "Hi"], ["Hello", "Hi", "Bye"]]


def test_at_23a3a17_they_run_once(tmp_path: Path) -> None:
    with ScriptedModel(["Hi"]) as model:
        bench = Bench(tmp_path, model)
        shutdown(bench.system)
        bench.config.conversation.update_managers = False
        bench.system = bench.start()
        memory = bench.plug()
        bench.say("Hello")
        assert memory.seen == [[]]
        shutdown(bench.system)


def test_within_a_turn_the_prompt_is_read_again_but_providers_do_not_run(bench: Bench) -> None:
    memory = bench.plug()
    call = Reply(tool_calls=[("ltmemory", {"text": "likes tea"})])
    bench.say("I like tea", call, "Noted.")
    first, second = bench.model.requests
    assert "MEMORY nothing yet" in first.system
    assert "MEMORY nothing yet" in second.system
    assert second.last_text == "{'success': True, 'text': 'likes tea'}"
    bench.say("And?", "Yes.")
    assert "MEMORY likes tea" in bench.model.requests[-1].system
    assert memory.refreshed == 4


def test_a_tool_error_stays_in_the_prompt_for_good(bench: Bench) -> None:
    bench.plug()
    bench.say("Go", Reply(tool_calls=[("ltmemory", {"error": "oops"}), ("ghost", {})]), "Sorry.")
    blocks = bench.conversation.messages[-2].content
    assert [block["is_error"] for block in blocks] == [True, True]
    assert "oops" in blocks[0]["content"]
    assert "Suggestion" in blocks[0]["content"]
    note = bench.system["working_memory"].get_items_by_category("error_for_analysis")
    error_id = json.loads(note[0]["content"].split("\n", 2)[2])["error_id"]
    bench.say("Again", f'<error_analysis error_id="{error_id}">It went wrong.</error_analysis>')
    bench.say("Again", "ok")
    assert bench.model.requests[-1].system.count("oops") == 1
    assert len(bench.system["working_memory"].get_items_by_category("error_for_analysis")) == 2


def test_need_tool_shows_all_tools_once_in_a_conversation(bench: Bench) -> None:
    bench.plug().update_working_memory = lambda: None  # type: ignore[method-assign]
    assert bench.say("Hello", "<need_tool />", "Found it.") == "Found it."
    assert bench.model.requests[0].tools == {}
    assert set(bench.model.requests[1].tools) == {"ltmemory", "calendar_tool", "weather_tool"}
    assert len(bench.conversation.messages) == 2
    answer = bench.say("Hello", "<need_tool/>")
    assert answer is not None
    assert "no tool" in answer
    assert bench.model.requests[-1].tools == {}


def test_streaming_feeds_the_callback_and_returns_nothing(bench: Bench) -> None:
    heard: list[str] = []
    call = Reply("One moment.", [("weather_tool", {"city": "Lisbon"})])
    assert bench.say("Weather in Lisbon?", call, "It is sunny.", stream=True, stream_callback=heard.append) is None
    assert "".join(heard) == "One moment.It is sunny."
    assert bench.conversation.messages[-1].content == "It is sunny."
    assert bench.say("Thanks", "Welcome.", stream=True) == "Welcome."
    assert bench.model.refusals == []


def test_history_is_pruned_to_twice_the_maximum(bench: Bench) -> None:
    bench.conversation.max_history = 2
    for turn in range(4):
        bench.say(f"q{turn}", f"a{turn}")
    assert [message.content for message in bench.conversation.messages] == ["q2", "a2", "q3", "a3"]
    assert bench.model.requests[-1].messages[0] == {"role": "assistant", "content": "a1"}


def test_after_a_failed_turn_pruning_can_tear_a_tool_call_from_its_result(bench: Bench) -> None:
    bench.conversation.max_history = 2
    bench.say("Weather in Lisbon?", Reply(tool_calls=[("weather_tool", {"city": "Lisbon"})]), "Sunny.")
    with pytest.raises(BridgeError, match="529"):
        bench.say("Thanks", Fault(529))
    with pytest.raises(BridgeError, match="unexpected tool_use_id"):
        bench.say("Thanks?", "Welcome.")
    assert bench.say("Thanks!") == "Welcome."


def test_a_failing_model_leaves_the_question_in_place(bench: Bench) -> None:
    with pytest.raises(BridgeError):
        bench.say("Hello", Fault(529))
    assert [message.content for message in bench.conversation.messages] == ["Hello"]
    assert bench.say("Hello?", "Hi") == "Hi"


def test_blank_input_is_refused(bench: Bench) -> None:
    with pytest.raises(ConversationError, match="INVALID_INPUT"):
        bench.conversation.generate_response("  ")
    assert bench.conversation.messages == []


def test_tool_rounds_have_a_limit(bench: Bench) -> None:
    bench.plug()
    call = Reply("Hm.", [("ltmemory", {"text": "x"})])
    bench.model.add(call, call, call)
    assert bench.conversation.generate_response("Go", max_tool_iterations=2) == "Hm."
    assert bench.conversation.messages[-1].content.startswith("Hm.\n\n[Note:")
    assert len(bench.model.requests) == 2


def test_strange_roles_become_user(bench: Bench) -> None:
    assert bench.conversation.add_message("system", "x").role == "user"


def test_a_saved_conversation_comes_back_with_repr_strings(bench: Bench) -> None:
    call = Reply("Let me see.", [("weather_tool", {"city": "Lisbon"})])
    bench.say("Weather in Lisbon?", call, "Sunny.")
    path = save_conversation(bench.system)
    assert path.name == "conversation_c1.json"
    again = bench.start("c1")["conversation"]
    kept = {message.id: message for message in bench.conversation.messages}
    assert [message.id for message in again.messages] == list(kept)
    assert again.messages[0].created_at == bench.conversation.messages[0].created_at
    text, use = again.messages[1].content
    assert text == "TextBlock(citations=None, text='Let me see.', type='text')"
    assert use.startswith("ToolUseBlock(id='toolu_")
    assert again.messages[2].content[0]["type"] == "tool_result"
    bench.model.add("ok")
    with pytest.raises(BridgeError, match="a dictionary"):
        again.generate_response("And now?")


def test_the_conversation_can_be_swapped(bench: Bench) -> None:
    memory = bench.plug()
    bench.say("Hello", "Hi")
    save_conversation(bench.system)
    bench.system["conversation"] = local.open_conversation(bench.system, "c2")
    bench.say("Hello from c2", "Hi")
    assert memory.seen[-1] == ["Hello from c2"]
    assert len(bench.model.requests[-1].messages) == 1
    assert load_conversation(bench.system, "c1") is bench.system["conversation"]
    bench.say("Back again", "Hi")
    assert memory.seen[-1] == ["Hello", "Hi", "Back again"]
    with pytest.raises(AgentError, match="no conversation"):
        load_conversation(bench.system, "c3")


def test_a_broken_file_gives_a_new_conversation(bench: Bench) -> None:
    save_conversation(bench.system).write_text("{", encoding="utf-8")
    assert bench.start("c1")["conversation"].messages == []


def test_an_active_workflow_suspends_relevance(bench: Bench) -> None:
    memory = bench.plug()
    bench.system["workflow_manager"].start_workflow("booking")
    bench.say("Hello", "ok")
    engine = bench.system["tool_relevance_engine"]
    assert engine.suspended
    assert engine.message_counter == 0
    assert "# Workflow\nbooking" in bench.model.requests[-1].system
    assert set(bench.model.requests[-1].tools) == {"ltmemory", "calendar_tool", "weather_tool"}
    bench.say("Done", "<workflow_complete/>")
    assert not engine.suspended
    bench.say("Hello", "ok")
    assert list(bench.model.requests[-1].tools) == ["ltmemory"]
    assert memory.refreshed == 6


def test_overdue_jobs_fail_before_a_plugin_can_register(bench: Bench) -> None:
    job = {
        "id": "job",
        "name": "job",
        "type": "simple_task",
        "execution_mode": "direct",
        "tool_name": "ltmemory",
        "operation": "x",
        "frequency": "hourly",
        "scheduled_time": bench.clock(),
        "timezone": "UTC",
    }
    bench.system["automation_engine"].create_automation(job)
    bench.system = bench.start()
    bench.plug()
    [execution] = bench.system["automation_engine"].get_executions("job")["executions"]
    assert execution["status"] == "failed"
    assert bench.system["automation_engine"].process_due() == []


def test_the_scheduler_runs_in_the_background_by_default(tmp_path: Path) -> None:
    system = initialize_system(HostConfig.for_folder(tmp_path), llm_bridge=object())
    assert system["automation_engine"].scheduler_running
    shutdown(system)
    assert not system["automation_engine"].scheduler_running


def test_ollama_is_a_provider_too(bench: Bench) -> None:
    bench.config.api.provider, bench.config.api.ollama_url = "ollama", bench.model.url
    bench.system = bench.start("c9")
    bench.plug()
    call = Reply(tool_calls=[("weather_tool", {"city": "Lisbon"})])
    assert bench.say("Weather in Lisbon?", call, "Sunny.") == "Sunny."
    assert [list(request.tools) for request in bench.model.requests] == [["weather_tool"]] * 2
    assert bench.model.refusals == []


def test_small_managers(bench: Bench) -> None:
    bench.system["reminder_manager"].reminders.append("water the plants")
    bench.system["system_status_manager"].add_notice("low disk")
    bench.system["user_info_manager"].user_information = "Anna"
    bench.system["user_info_manager"].load_user_information()
    bench.say("Hello", "Hi")
    for text in ("water the plants", "low disk", "Anna"):
        assert bench.model.requests[-1].system.count(text) == 1


def test_all_is_sorted_and_complete() -> None:
    assert local.__all__ == sorted(local.__all__)
    assert all(hasattr(local, name) for name in local.__all__)
