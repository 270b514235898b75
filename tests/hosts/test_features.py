"""Each feature off alone, all of a kind, and all together, in both hosts; the list is that of the settings' classes."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from mira_ltmemory.config import AutomationSettings, ProviderSwitches, ToolSwitches

GROUPS = {"tools": ToolSwitches, "providers": ProviderSwitches, "automations": AutomationSettings}
SWITCHES = [(group, name) for group, kind in GROUPS.items() for name in kind.model_fields]
EVERYTHING = {group: dict.fromkeys(kind.model_fields, True) for group, kind in GROUPS.items()}
NOTHING = {group: dict.fromkeys(kind.model_fields, False) for group, kind in GROUPS.items()}
MEMORY_NAME = re.compile(r"\b(?:core_memory|archival_memory|memory|conversation)_[a-z_]+\b")

Found = dict[str, Any]


@pytest.fixture(scope="module")
def matrix(host: Any) -> Found:
    combinations = {"all on": EVERYTHING, "all off": NOTHING}
    combinations |= {f"no {group}": {**EVERYTHING, group: NOTHING[group]} for group in GROUPS}
    combinations |= {
        f"{group}.{name}": {**EVERYTHING, group: {**EVERYTHING[group], name: False}} for group, name in SWITCHES
    }
    found: Found = host("matrix", "scenario_features", environment={"FEATURES": json.dumps(combinations)})
    return found


def kinds(found: Found) -> dict[str, set[str]]:
    return {"tools": set(found["offered"]), "providers": set(found["providers"]), "automations": set(found["rows"])}


def test_everything_is_there_where_all_is_on(matrix: Found) -> None:
    assert kinds(matrix["all on"]) == {group: set(kind.model_fields) for group, kind in GROUPS.items()}


@pytest.mark.parametrize(("group", "name"), SWITCHES, ids=[".".join(switch) for switch in SWITCHES])
def test_one_that_is_off_is_absent_and_all_others_stay(matrix: Found, group: str, name: str) -> None:
    found, whole = matrix[f"{group}.{name}"], kinds(matrix["all on"])
    assert kinds(found) == {**whole, group: whole[group] - {name}}
    assert found["reply"] == "Hello." and found["errors"] == []
    assert set(found["offered"]) <= set(found["tools"])
    if group == "tools":
        assert name not in found["tools"]
        # Nothing in the prompt may send the model to a tool that it does not have.
        assert name not in set(MEMORY_NAME.findall(found["prompt"]))
    if group == "providers":
        assert f"ltmemory_{name}" not in found["shown"]


@pytest.mark.parametrize("group", GROUPS)
def test_all_of_one_kind_off(matrix: Found, group: str) -> None:
    found, whole = matrix[f"no {group}"], kinds(matrix["all on"])
    assert kinds(found) == {**whole, group: set()}
    assert found["reply"] == "Hello." and found["errors"] == []


def test_all_off(matrix: Found) -> None:
    found = matrix["all off"]
    assert kinds(found) == {group: set() for group in GROUPS}
    assert found["reply"] == "Hello." and found["errors"] == [] and found["shown"] == []
    assert not found["in_request"] and not set(found["tools"]) & set(ToolSwitches.model_fields)


@pytest.mark.parametrize("provider", ["anthropic", "ollama"])
@pytest.mark.parametrize("name", list(ToolSwitches.model_fields))
def test_a_tool_has_a_valid_schema(matrix: Found, provider: str, name: str) -> None:
    definitions = {one["name"]: one for one in matrix["all on"]["definitions"][provider]}
    shown = definitions[name]
    if provider == "ollama":
        assert shown["openai_schema"]["type"] == "function"
        function = shown["openai_schema"]["function"]
        schema, named, described = function["parameters"], function["name"], function["description"]
    else:
        schema, named, described = shown["input_schema"], shown["name"], shown["description"]
    Draft202012Validator.check_schema(schema)
    assert named == name and re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) and 20 < len(described) <= 1024
    assert schema["type"] == "object"
    assert set(schema.get("required", [])) <= set(schema["properties"])
    for argument, value in schema["properties"].items():
        assert re.fullmatch(r"[a-z_]{1,64}", argument)
        assert value.get("type") in ("string", "integer", "number", "boolean", "array", "object"), (argument, value)
        assert len(value.get("description", "")) > 5, argument
        assert value["type"] != "array" or "type" in value["items"], argument


@pytest.mark.parametrize("model", ["with the model's file", "without it"])
def test_core_memory_alone_loads_nothing_of_search(host: Any, model: str) -> None:
    found = host("core_alone", "scenario_features", environment={"NO_MODEL": "1"} if model == "without it" else {})
    assert found["tools"] == ["core_memory_append", "core_memory_replace", "memory_insert", "memory_rethink"]
    assert found["edited"] == [True, True, True]
    assert found["loaded"] == [] and not found["other_parts"]
