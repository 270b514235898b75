"""MIRA's own way to have a memory, and our taking its place, on the small host: twin of test_integration_real.py."""

from __future__ import annotations

import gc
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text

import mira_ltmemory
from mira_ltmemory.hosts.local import HostConfig, Reply, ScriptedModel, initialize_system, run_turn, shutdown
from mira_ltmemory.hosts.mira_parts import MiraParts
from mira_ltmemory.integration import Components, check_lt_memory_requirements, initialize_lt_memory
from mira_ltmemory.protocols import Json


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel(default="fine") as running:
        yield running


@pytest.fixture
def system(model: ScriptedModel, tmp_path: Path) -> Iterator[dict[str, Any]]:
    config = HostConfig.for_folder(tmp_path, base_url=model.url, api_key="none")
    config.automation.scheduler = False
    running = initialize_system(config)
    yield running
    shutdown(running)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, postgres_dir: Path) -> pytest.MonkeyPatch:
    monkeypatch.setenv("LT_MEMORY_DATA_DIR", str(postgres_dir))
    monkeypatch.setenv("LT_MEMORY_USER_NAME", f"user-{uuid.uuid4()}")
    return monkeypatch


@pytest.fixture
def components(system: dict[str, Any], environment: pytest.MonkeyPatch) -> Iterator[Components]:
    made = attach(system)
    yield made
    made.installation.close()


def attach(system: dict[str, Any]) -> Components:
    """As MIRA does while it starts: with four of its parts, before there is a dict."""
    parts = ("working_memory", "tool_repo", "automation_engine")
    return initialize_lt_memory(system["tool_repo"].config, *(system[part] for part in parts))


def stored(components: Components) -> list[str]:
    components.installation.host.refresh()
    store = components["manager"].store
    with store.read() as unit:
        said = text("SELECT content FROM ltmemory.messages WHERE user_id = :user")
        return list(unit.session.connection().scalars(said, {"user": store.user_id}))


def test_the_components_are_those_that_mira_expects(components: Components, system: dict[str, Any]) -> None:
    assert set(components) == {"manager", "bridge", "tool", "automations"}
    assert components["manager"].store is not None
    assert components["tool"] is system["tool_repo"].tools[components["tool"].name]
    rows = {row["id"] for row in system["automation_engine"].get_automations(limit=100)["automations"]}
    assert set(components["automations"].values()) == rows and "health_check" in components["automations"]


def test_the_conversation_is_found_and_captured(
    components: Components, system: dict[str, Any], model: ScriptedModel
) -> None:
    model.add(Reply(tool_calls=[("core_memory_append", {"label": "human", "content": "Has a cat."})]), "Noted.")
    run_turn(system, "I have a cat")
    run_turn(system, "Thanks")
    assert ["Has a cat." in one.system for one in model.requests] == [False, True, True]
    offered = {tool.name for tool in components.installation.host.tools}
    assert all(offered <= set(one.tools) for one in model.requests)
    said = stored(components)
    assert [said.count(one) for one in ("I have a cat", "Noted.", "Thanks")] == [1, 1, 1]


def test_the_one_line_beside_it_goes_on_with_the_same_memory(components: Components, system: dict[str, Any]) -> None:
    system["lt_memory"] = components
    assert mira_ltmemory.install(system) is components.installation
    other = SimpleNamespace(conversation_id="other", messages=[])  # knows no working memory: found in the dict only
    system["conversation"] = other
    assert components.installation._system.get("conversation") is other


def test_without_a_database_mira_starts_all_the_same(
    system: dict[str, Any], environment: pytest.MonkeyPatch, model: ScriptedModel
) -> None:
    environment.setenv("LT_MEMORY_DATABASE_URL", "postgresql://nobody@127.0.0.1:9/none")
    assert all(check_lt_memory_requirements().values())
    made = attach(system)
    assert made["manager"] and made["tool"] is None and made["automations"] == {}
    run_turn(system, "Hi")
    assert "The database cannot be reached" in model.requests[0].system
    made.installation.close()


def test_nothing_that_mira_hands_over_keeps_it_from_starting() -> None:
    made = initialize_lt_memory(None, None, None, None)
    assert made["manager"] and made["bridge"] is None
    made.installation.close()


def test_what_is_missing_is_named_and_keeps_nothing_from_starting(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert check_lt_memory_requirements().missing == {}
    environment.setenv("LT_MEMORY_ONNX_MODEL_PATH", str(tmp_path / "none.onnx"))
    found = check_lt_memory_requirements()
    assert all(found.values()) and set(found) == {"postgresql", "pgvector", "onnx_model", "database_url"}
    assert str(tmp_path / "none.onnx") in found.missing["onnx_model"]
    environment.setenv("LT_MEMORY_DATABASE_URL", "mysql://x")
    found = check_lt_memory_requirements()
    assert all(found.values()) and "postgresql://" in found.missing["database_url"]


class Talk:
    """A conversation as MIRA's classes hold theirs."""

    def __init__(self, working_memory: object, *said: str) -> None:
        self.working_memory = working_memory
        self.messages = [SimpleNamespace(created_at=when) for when in said]


def test_of_several_conversations_the_one_spoken_in_last_is_taken() -> None:
    working_memory = SimpleNamespace()
    old, new = Talk(working_memory, "2025-05-01"), Talk(working_memory, "2025-05-02")
    assert vars(old)  # its attributes are in a dict of their own now
    other = Talk(SimpleNamespace(), "2025-06-01")
    parts = MiraParts({"working_memory": working_memory})
    assert parts.get("conversation") is new and other.messages
    assert parts.get("llm_bridge") is None and parts.get("nothing", 3) == 3


def test_a_conversation_that_is_gone_is_not_kept_alive() -> None:
    working_memory = SimpleNamespace()
    parts = MiraParts({"working_memory": working_memory})
    talk = Talk(working_memory)
    assert parts.get("conversation") is talk
    del talk
    gc.collect()
    assert parts.get("conversation") is None


class OwnMemory:
    """MIRA's first memory, as far as it touches MIRA: one tool, and a bridge with parts in the prompt."""

    name = "lt_memory"
    description = "Manage long-term memory."

    def __init__(self, system: dict[str, Any]) -> None:
        self.working_memory = system["working_memory"]
        system["tool_repo"].register_tool(self)
        system["tool_repo"].enable_tool(self.name)
        self.working_memory.register_manager(self)
        system["lt_memory"] = {"manager": object(), "bridge": self, "tool": self, "automations": {}}

    def get_dependencies(self) -> list[str]:
        return []

    def get_metadata(self) -> Json:
        return {"name": self.name, "description": self.description, "parameters": {}, "required_parameters": []}

    def run(self, operation: str) -> Json:
        return {"success": True}

    def update_working_memory(self) -> None:
        for part in ("core", "insights", "entities", "status"):
            self.working_memory.remove_by_category(f"lt_memory_{part}")
            self.working_memory.add(f"MIRA's own {part}", f"lt_memory_{part}")


def test_ours_takes_the_place_of_miras_own_memory(
    system: dict[str, Any], environment: pytest.MonkeyPatch, model: ScriptedModel
) -> None:
    OwnMemory(system)
    run_turn(system, "Before")
    assert "lt_memory" in system["tool_repo"].tools and "MIRA's own core" in model.requests[0].system
    installation = mira_ltmemory.install(system)
    model.add("<need_tool />", "Nothing.")
    run_turn(system, "During")
    for request in model.requests[1:]:
        assert "lt_memory" not in request.tools and "core_memory_append" in request.tools
        assert "MIRA's own" not in request.system and "# Core memory" in request.system
    installation.close()
    run_turn(system, "After")
    assert "MIRA's own core" in model.requests[-1].system and "lt_memory" in system["tool_repo"].tools


def test_where_ours_is_off_miras_own_memory_stays(system: dict[str, Any], environment: pytest.MonkeyPatch) -> None:
    OwnMemory(system)
    installation = mira_ltmemory.install(system, database_url="postgresql://nobody@127.0.0.1:9/none")
    assert "lt_memory" in system["tool_repo"].tools
    installation.close()
