"""The host adapter against the small host: the twin of what `test_mira_real.py` asserts of the real MIRA."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel

from mira_ltmemory.errors import HostError, LLMError, StoreUnavailable
from mira_ltmemory.hosts.local import (
    HostConfig,
    Message,
    ScriptedModel,
    initialize_system,
    run_turn,
    shutdown,
)
from mira_ltmemory.hosts.mira import MiraHost
from mira_ltmemory.hosts.mira_tools import MiraTool
from mira_ltmemory.protocols import IncomingMessage, Json
from mira_ltmemory.services.problems import Problems


class Notebook:
    """A small real tool with state, and the prompt part that shows it."""

    name = "notebook"
    description = "Writes a line down."

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.refused = False

    @property
    def schema(self) -> Json:
        return {
            "type": "object",
            "properties": {
                "line": {"type": "string", "description": "The line."},
                "position": {"type": "integer", "minimum": 1, "description": "Where."},
                "kind": {"type": ["string", "null"], "enum": ["a", "b", None]},
                "tags": {"type": "array", "items": {"type": "string"}},
            },
            "required": ["line"],
        }

    def run(self, line: str, position: int | None = None, **_: Any) -> Json:
        if line == "crash":
            raise TypeError("a fault of ours, not of the model")
        if line == "refuse":
            return {"success": False, "error": "too long"}
        self.lines.insert(len(self.lines) if position is None else position - 1, line)
        return {"success": True, "position": position}

    def render(self) -> str:
        return "# Notebook\n" + "\n".join(self.lines) if self.lines else ""


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel() as running:
        yield running


@pytest.fixture
def system(model: ScriptedModel, tmp_path: Path) -> Iterator[dict[str, Any]]:
    config = HostConfig.for_folder(tmp_path, base_url=model.url, api_key="none")
    config.automation.scheduler = False
    running = initialize_system(config)
    yield running
    shutdown(running)


@pytest.fixture
def taken() -> list[IncomingMessage]:
    return []


@pytest.fixture
def problems() -> Problems:
    return Problems()


@pytest.fixture
def notebook() -> Notebook:
    return Notebook()


@pytest.fixture
def host(system: dict[str, Any], taken: list[IncomingMessage], problems: Problems, notebook: Notebook) -> MiraHost:
    made = MiraHost(system)
    made.report_to(problems)
    made.register_tool(notebook)
    made.register_provider(notebook)
    made.start(lambda messages: taken.extend(messages) or list(messages))
    return made


def prompt(system: dict[str, Any]) -> str:
    text: str = system["working_memory"].get_prompt_content()
    return text


def tool_names(system: dict[str, Any]) -> set[str]:
    return {one["name"] for one in system["tool_repo"].get_all_tool_definitions()}


def test_tools_are_described_for_anthropic(host: MiraHost, system: dict[str, Any]) -> None:
    shown = next(one for one in system["tool_repo"].get_all_tool_definitions() if one["name"] == "notebook")
    assert shown["input_schema"]["required"] == ["line"]
    properties = shown["input_schema"]["properties"]
    assert properties["position"] == {"type": "number", "minimum": 1, "description": "Where."}
    assert properties["kind"]["type"] == "string" and properties["kind"]["enum"] == ["a", "b", None]
    assert properties["tags"] == {"type": "array", "items": {"type": "string"}, "description": "Parameter: tags"}


def test_tools_are_described_for_ollama(host: MiraHost, system: dict[str, Any], notebook: Notebook) -> None:
    system["tool_repo"].config.api.provider = "ollama"
    shown = next(one for one in system["tool_repo"].get_all_tool_definitions() if one["name"] == "notebook")
    function = {"name": "notebook", "description": notebook.description, "parameters": notebook.schema}
    assert shown["openai_schema"] == {"type": "function", "function": function}


def test_a_number_that_stands_for_an_integer_arrives_as_one(host: MiraHost, system: dict[str, Any]) -> None:
    assert system["tool_repo"].invoke_tool("notebook", {"line": "x", "position": 1.0})["position"] == 1


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({}, "notebook needs the argument 'line'. Arguments: line, position, kind, tags."),
        ({"line": "x", "where": 1}, "notebook has no argument 'where'. Arguments: line, position, kind, tags."),
        ({"line": "refuse"}, "too long"),
        ({"line": "crash"}, "notebook failed: TypeError: a fault of ours, not of the model"),
    ],
)
def test_a_mistake_is_an_answer_and_leaves_no_trace(
    host: MiraHost, system: dict[str, Any], arguments: Json, error: str
) -> None:
    before = prompt(system)
    assert system["tool_repo"].invoke_tool("notebook", arguments) == {"success": False, "error": error}
    assert prompt(system) == before


def test_the_model_sees_its_own_edit_in_the_same_turn(
    host: MiraHost, system: dict[str, Any], notebook: Notebook
) -> None:
    system["tool_repo"].invoke_tool("notebook", {"line": "Ada is a cat"})
    assert "Ada is a cat" in prompt(system)


def test_tools_stay_through_talk_of_other_things(host: MiraHost, system: dict[str, Any], model: ScriptedModel) -> None:
    for text in ["What is the weather in Bonn?", "Hello", "Tell me of calendars", "Nothing", "Thanks", "Bye"]:
        model.add("fine")
        run_turn(system, text)
        assert "notebook" in tool_names(system)
    assert all("notebook" in {tool["name"] for tool in one.body["tools"]} for one in model.requests)


def test_tools_stay_where_nothing_updates_the_managers(host: MiraHost, system: dict[str, Any]) -> None:
    for number in range(20):  # MIRA's web interface before 3e1a230
        system["tool_relevance_engine"].manage_tool_relevance(f"message {number}")
        assert "notebook" in tool_names(system)


def test_tools_come_back_after_a_workflow(host: MiraHost, system: dict[str, Any]) -> None:
    step: Json = {"description": "look", "tools": ["weather_tool"]}
    system["workflow_manager"].workflows = {"w": {"steps": {"first": step, "second": {"description": "end"}}}}
    host.refresh()
    assert step["tools"] == ["weather_tool", "notebook"]
    for name in system["tool_repo"].get_enabled_tools():
        system["tool_repo"].disable_tool(name)
    system["tool_relevance_engine"].suspend()
    system["working_memory"].update_all_managers()
    assert "notebook" in tool_names(system)
    host.close()
    assert step["tools"] == ["weather_tool"]


def test_an_unchanged_item_is_not_rewritten(host: MiraHost, system: dict[str, Any], notebook: Notebook) -> None:
    notebook.lines.append("one")
    host.refresh()
    items = dict(system["working_memory"]._memory_items)
    host.refresh()
    assert system["working_memory"]._memory_items == items
    notebook.lines.append("two")
    host.refresh()
    assert [one["content"] for one in system["working_memory"].get_items_by_category("ltmemory_notebook")] == [
        "# Notebook\none\ntwo"
    ]
    notebook.lines.clear()
    host.refresh()
    assert system["working_memory"].get_items_by_category("ltmemory_notebook") == []


def test_an_item_that_others_took_out_comes_back(host: MiraHost, system: dict[str, Any], notebook: Notebook) -> None:
    notebook.lines.append("one")
    host.refresh()
    system["working_memory"].remove_by_category("ltmemory_notebook")
    host.refresh()
    assert "# Notebook\none" in prompt(system)


def test_a_provider_that_fails_says_so_and_shows_nothing_old(
    host: MiraHost, system: dict[str, Any], notebook: Notebook
) -> None:
    notebook.lines.append("old")
    host.refresh()
    notebook.lines = None  # type: ignore[assignment]
    notebook.render = lambda: 1 / 0  # type: ignore[assignment,return-value]
    host.refresh()
    assert "old" not in prompt(system)
    assert "[notebook cannot be shown at the moment: ZeroDivisionError: division by zero]" in prompt(system)


def texts(taken: list[IncomingMessage]) -> list[str]:
    return [one.content for one in taken]


def test_messages_are_taken_once_by_id(host: MiraHost, system: dict[str, Any], taken: list[IncomingMessage]) -> None:
    system["conversation"].add_message("user", "one")
    host.refresh()
    host.refresh()
    assert texts(taken) == ["one"]


def test_what_is_pruned_between_two_looks_is_taken(
    host: MiraHost, system: dict[str, Any], taken: list[IncomingMessage]
) -> None:
    conversation = system["conversation"]
    conversation.max_history = 2
    said = [f"message {number}" for number in range(30)]
    for text in said:
        conversation.add_message("user", text)
        host.refresh()
    assert texts(taken) == said


def test_the_last_reply_before_a_clear_is_taken(
    host: MiraHost, system: dict[str, Any], taken: list[IncomingMessage]
) -> None:
    system["conversation"].add_message("user", "question")
    host.refresh()
    system["conversation"].add_message("assistant", "answer")
    system["conversation"].clear_history()
    system["conversation"].add_message("user", "next")
    host.refresh()
    assert texts(taken) == ["question", "answer", "next"]


def test_a_conversation_that_was_swapped_is_taken_to_its_end(
    host: MiraHost, system: dict[str, Any], taken: list[IncomingMessage]
) -> None:
    host.refresh()
    system["conversation"].add_message("user", "in the old one")
    system["conversation"] = SimpleNamespace(conversation_id="new", messages=[Message("user", "in the new one")])
    host.refresh()
    assert texts(taken) == ["in the old one", "in the new one"]
    assert taken[1].conversation_id == "new"


def test_the_last_message_is_taken_at_the_end(
    host: MiraHost, system: dict[str, Any], taken: list[IncomingMessage]
) -> None:
    system["conversation"].add_message("assistant", "Goodbye")
    host.close()
    assert texts(taken) == ["Goodbye"]


def test_who_is_told_of_a_message_may_ask_for_a_refresh(system: dict[str, Any]) -> None:
    host = MiraHost(system)
    told: list[str] = []

    def announce(message: IncomingMessage) -> None:
        told.append(message.content)
        host.refresh()

    host.start(list, announce)
    system["conversation"].add_message("user", "one")
    host.refresh()
    assert told == ["one"]


def test_messages_wait_while_the_database_is_away(system: dict[str, Any], problems: Problems) -> None:
    host = MiraHost(system)
    host.report_to(problems)
    away, stored = True, []

    def take(messages: Any) -> list[IncomingMessage]:
        if away:
            raise StoreUnavailable
        stored.extend(texts(messages))
        return list(messages)

    host.start(take)
    for text in ["one", "two"]:
        system["conversation"].add_message("user", text)
        host.refresh()
        system["conversation"].clear_history()
    assert "cannot be reached" in problems.all()["capture of the conversation"]
    away = False
    host.refresh()
    assert stored == ["one", "two"] and problems.all() == {}


def test_closing_leaves_mira_as_it_was(system: dict[str, Any], host: MiraHost, notebook: Notebook) -> None:
    notebook.lines.append("one")
    host.refresh()
    host.close()
    system["working_memory"].update_all_managers()
    assert "Notebook" not in prompt(system) and "notebook" not in system["tool_repo"].tools
    assert "notebook" not in system["tool_relevance_engine"].tool_activation_history


def test_a_name_that_is_taken_is_refused(host: MiraHost) -> None:
    with pytest.raises(HostError, match="does not take the tool 'notebook'"):
        host.register_tool(Notebook())


def test_a_part_that_is_missing_is_named() -> None:
    with pytest.raises(HostError, match="MIRA has no working memory"):
        MiraHost({})


@pytest.mark.parametrize(
    ("named", "zone"),
    [("Europe/Berlin", "Europe/Berlin"), ("PST", "America/Los_Angeles"), ("Nowhere", "UTC"), (None, "UTC")],
)
def test_time_zone(system: dict[str, Any], named: Any, zone: str) -> None:
    system["tool_repo"].config.system.timezone = named
    assert MiraHost(system).timezone == zone


class Section(BaseModel):
    """MIRA's own memory section."""

    database_url: str = "postgresql://nobody@nowhere/none"
    similarity_threshold: float = 0.7


def test_only_what_mira_sets_on_purpose_is_a_setting(system: dict[str, Any]) -> None:
    config = system["tool_repo"].config
    config.memory = Section(similarity_threshold=0.2)
    host = MiraHost(system)
    assert host.memory_settings() == {"timezone": config.system.timezone, "similarity_threshold": 0.2}
    host.publish(config.memory)
    assert config.get("ltmemory.similarity_threshold") == 0.2


def test_the_hosts_model(host: MiraHost, model: ScriptedModel) -> None:
    assert host.llm is not None
    model.add("Hello")
    reply = host.llm.complete([{"role": "user", "content": "Hi"}], system="Be kind.")
    assert reply.text == "Hello" and reply.output_tokens > 0


def test_a_model_that_fails_is_our_error(system: dict[str, Any]) -> None:
    system["llm_bridge"].base_url = "http://127.0.0.1:9"
    system["llm_bridge"] = SimpleNamespace(model="x", generate_response=lambda **_: 1 / 0)
    llm = MiraHost(system).llm
    assert llm is not None and llm.name == "x"
    with pytest.raises(LLMError, match="ZeroDivisionError"):
        llm.complete([{"role": "user", "content": "Hi"}])


def test_the_engine_may_run_a_tool_of_ours_for_the_users_own_automation(notebook: Notebook) -> None:
    refreshed: list[int] = []
    nothing: Callable[[str, Json], Json | None] = lambda name, parameters: None  # noqa: E731
    tool = MiraTool(notebook, after=lambda: refreshed.append(1), operation=nothing)
    assert tool.run("note", line="x")["success"] and notebook.lines == ["x"] and not refreshed
