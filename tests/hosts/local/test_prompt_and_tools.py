"""Working memory, tool repository, tool relevance and configuration of the small host."""

from __future__ import annotations

from typing import Any

import pytest

from mira_ltmemory.hosts.local import (
    HostConfig,
    ToolError,
    ToolRelevanceEngine,
    ToolRepository,
    WeatherTool,
    WorkingMemory,
)


class Provider:
    def __init__(self, working_memory: WorkingMemory, text: str) -> None:
        self.working_memory = working_memory
        self.text = text
        self.broken = False
        self.item: str | None = None

    def update_working_memory(self) -> None:
        if self.broken:
            raise RuntimeError("no")
        if self.item:
            self.working_memory.remove(self.item)
        self.item = self.working_memory.add(self.text, "memory")


class EchoTool:
    description = "Remembers things for ever"

    def __init__(self, name: str = "ltmemory", needs: tuple[str, ...] = (), **parameter: Any) -> None:
        self.name = name
        self.needs = list(needs)
        self.parameter = parameter or {"type": "string"}

    def get_dependencies(self) -> list[str]:
        return self.needs

    def get_metadata(self) -> dict[str, Any]:
        parameters = {"x": self.parameter}
        return {
            "name": self.name,
            "description": self.description,
            "parameters": parameters,
            "required_parameters": ["x"],
        }

    def run(self, x: Any) -> dict[str, Any]:
        if isinstance(x, Exception):
            raise x
        return {"x": x}


def repository(*tools: Any, provider: str = "anthropic", guidance: bool = False) -> ToolRepository:
    config = HostConfig()
    config.api.provider = provider
    repo = ToolRepository(WorkingMemory() if guidance else None, config=config)
    for tool in tools:
        repo.register_tool(tool)
    return repo


def test_items_are_joined_by_a_blank_line_and_leave_by_id_or_category() -> None:
    memory = WorkingMemory()
    first = memory.add("one", "a")
    memory.add("two", "b")
    memory.add("three", "b")
    assert memory.get_prompt_content() == "one\n\ntwo\n\nthree"
    assert [item["content"] for item in memory.get_items_by_category("b")] == ["two", "three"]
    assert "id" not in memory.get_items_by_category("b")[0]
    assert memory.remove(first)
    assert not memory.remove(first)
    assert memory.remove_by_category("b") == 2
    assert memory.get_prompt_content() == ""


@pytest.mark.parametrize(("content", "category"), [("", "a"), ("a", "")])
def test_empty_items_are_refused(content: str, category: str) -> None:
    with pytest.raises(ValueError, match="empty"):
        WorkingMemory().add(content, category)


def test_a_provider_that_raises_stays_stale_and_stops_nobody() -> None:
    memory = WorkingMemory()
    broken, sound = Provider(memory, "old"), Provider(memory, "fresh")
    for provider in (object(), broken, sound):
        memory.register_manager(provider)
    memory.update_all_managers()
    broken.broken, broken.text, sound.text = True, "new", "fresher"
    memory.update_all_managers()
    assert memory.get_prompt_content() == "old\n\nfresher"


def test_registering_does_not_enable_and_a_name_can_be_taken_once() -> None:
    repo = repository(EchoTool())
    assert repo.get_enabled_tools() == []
    assert repo.get_all_tool_definitions() == []
    with pytest.raises(ToolError, match="TOOL_DUPLICATE_NAME"):
        repo.register_tool(EchoTool())


def test_unknown_tools_cannot_be_enabled_or_found() -> None:
    repo = repository()
    for action in (repo.enable_tool, repo.disable_tool, repo.get_tool):
        with pytest.raises(ToolError, match="TOOL_NOT_FOUND"):
            action("ghost")


@pytest.mark.parametrize(
    ("given", "sent"),
    [("integer", "string"), ("int", "number"), ("number", "number"), ("bool", "boolean"), ("list", "array")],
)
def test_integer_becomes_string(given: str, sent: str) -> None:
    repo = repository(EchoTool(type=given, minimum=1, items={"type": "string"}))
    repo.enable_tool("ltmemory")
    [definition] = repo.get_all_tool_definitions()
    assert definition["input_schema"]["properties"]["x"] == {
        "type": sent,
        "description": "Parameter: x",
        "minimum": 1,
        "items": {"type": "string"},
    }


def test_ollama_needs_a_schema_of_the_tool_itself() -> None:
    repo = repository(EchoTool(), WeatherTool(), provider="ollama")
    repo.enable_all_tools()
    with_schema = {tool["name"]: "openai_schema" in tool for tool in repo.get_all_tool_definitions()}
    assert with_schema == {"ltmemory": False, "weather_tool": True}


def test_another_provider_is_an_error() -> None:
    with pytest.raises(ToolError, match="no such provider"):
        repository(provider="openai").get_all_tool_definitions()


def test_all_exceptions_of_a_tool_become_tool_errors() -> None:
    repo = repository(EchoTool())
    with pytest.raises(ToolError, match="TOOL_NOT_ENABLED"):
        repo.invoke_tool("ltmemory", {"x": 1})
    repo.enable_tool("ltmemory")
    assert repo.invoke_tool("ltmemory", {"x": 1}) == {"x": 1}
    with pytest.raises(ToolError, match="TOOL_INVALID_PARAMETERS"):
        repo.invoke_tool("ltmemory", {"y": 1})
    with pytest.raises(ToolError, match="boom"):
        repo.invoke_tool("ltmemory", {"x": ValueError("boom")})
    with pytest.raises(ToolError, match="REDACTED") as caught:
        repo.invoke_tool("ltmemory", {"x": ValueError("the monkey is gone")})
    assert "monkey" not in str(caught.value)


def test_dependencies_are_enabled_first() -> None:
    repo = repository(EchoTool("a", ("b",)), EchoTool("b", ("c",)), EchoTool("c"), EchoTool("loop", ("loop",)))
    assert repo.resolve_dependencies("a") == ["c", "b"]
    repo.enable_tool("a")
    assert repo.enabled_tools == {"a", "b", "c"}
    with pytest.raises(ToolError, match="itself"):
        repo.enable_tool("loop")
    repo.enable_all_tools()
    assert "loop" not in repo.enabled_tools


def test_guidance_is_rewritten_and_needs_two_tools() -> None:
    repo = repository(EchoTool("a_tool"), EchoTool("b_tool"), guidance=True)
    memory = repo.working_memory
    assert memory is not None
    repo.enable_all_tools()
    memory.add("later", "x")
    repo.update_working_memory()
    assert memory.get_prompt_content().startswith("later\n\n# Tools at hand")
    assert len(memory.get_items_by_category("tool_guidance")) == 1
    repo.disable_tool("a_tool")
    assert memory.get_items_by_category("tool_guidance") == []


def relevance() -> ToolRelevanceEngine:
    repo = repository(EchoTool(), WeatherTool())
    return ToolRelevanceEngine(repo, ["weather_tool"])


def test_relevance_disables_what_it_does_not_know_on_every_turn() -> None:
    engine = relevance()
    for message in ("remember things for ever", "what is the weather in Lisbon?"):
        engine.tool_repo.enable_tool("ltmemory")
        engine.manage_tool_relevance(message)
        assert not engine.tool_repo.is_tool_enabled("ltmemory")
    assert engine.tool_repo.get_enabled_tools() == ["weather_tool"]


def test_the_activation_history_keeps_a_tool() -> None:
    engine = relevance()
    for turn in range(27):
        engine.tool_activation_history["ltmemory"] = engine.message_counter + 1
        engine.tool_repo.enable_tool("ltmemory")
        engine.manage_tool_relevance(f"turn {turn}")
        assert engine.tool_repo.is_tool_enabled("ltmemory")
    engine.manage_tool_relevance("once more")
    assert engine.tool_repo.is_tool_enabled("ltmemory")
    engine.manage_tool_relevance("and again")
    assert not engine.tool_repo.is_tool_enabled("ltmemory")
    assert "ltmemory" not in engine.tool_activation_history


def test_a_tool_persists_for_two_messages() -> None:
    engine = relevance()
    assert engine.manage_tool_relevance("Will it rain in Berlin?") == ["weather_tool"]
    assert engine.manage_tool_relevance("Hello.") == ["weather_tool"]
    assert engine.manage_tool_relevance("Hello.") == []


def test_suspended_it_touches_nothing() -> None:
    engine = relevance()
    engine.tool_repo.enable_all_tools()
    engine.suspend()
    assert engine.manage_tool_relevance("Hello.") == []
    assert engine.message_counter == 0
    assert len(engine.tool_repo.enabled_tools) == 2
    engine.resume()
    engine.manage_tool_relevance("Hello.")
    assert engine.tool_repo.enabled_tools == set()


def test_tool_configs_can_be_published_and_looked_up() -> None:
    config = HostConfig()
    assert config.get("ltmemory.user_name", "nobody") == "nobody"
    assert config.get("automation", {}) is config.automation
    with pytest.raises(AttributeError):
        _ = config.ltmemory
    config.tool_configs["ltmemory"] = type("Settings", (), {"user_name": "anna"})
    assert config.ltmemory.user_name == "anna"
    assert config.get("ltmemory.user_name") == "anna"
    assert config.get("ltmemory.user_name.deeper", 1) == 1
    assert config.get("api.provider") == "anthropic"
    assert config.some_tool.enabled
