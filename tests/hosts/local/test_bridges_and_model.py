"""The bridges against the scripted model, over real HTTP on the loopback interface."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from mira_ltmemory.hosts.local import (
    BridgeError,
    Fault,
    LLMBridge,
    OllamaBridge,
    OpenAIBridge,
    RateLimit,
    Reply,
    ScriptedModel,
    StreamResult,
    TextBlock,
    ToolUseBlock,
)
from mira_ltmemory.hosts.local.llm_types import sse_data

HI = [{"role": "user", "content": "Hi"}]
TOOL = {
    "name": "weather_tool",
    "description": "Weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
CALL = Reply("Let me look.", [("weather_tool", {"city": "São Paulo", "days": [1, 2]})])


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel() as model:
        yield model


@pytest.fixture(params=[LLMBridge, OpenAIBridge])
def bridge(request: pytest.FixtureRequest, model: ScriptedModel) -> Iterator[Any]:
    with request.param(model.url, "scripted", api_key="test-key", timeout=5) as bridge:
        yield bridge


@pytest.fixture
def anthropic(model: ScriptedModel) -> Iterator[LLMBridge]:
    with LLMBridge(model.url, "scripted", api_key="test-key", timeout=5) as bridge:
        yield bridge


@pytest.mark.parametrize("stream", [False, True])
def test_text_and_tool_calls_come_back_in_anthropics_shape(bridge: Any, model: ScriptedModel, stream: bool) -> None:
    model.add(CALL)
    heard: list[str] = []
    response = bridge.generate_response(HI, "Be kind.", tools=[TOOL], stream=stream, callback=heard.append)
    assert isinstance(response, StreamResult) is stream
    if stream:
        assert not hasattr(response, "content")
        response = response.get_final_message()
    assert bridge.extract_text_content(response) == "Let me look."
    [call] = bridge.extract_tool_calls(response)
    assert call["tool_name"] == "weather_tool"
    assert call["input"] == {"city": "São Paulo", "days": [1, 2]}
    assert call["id"]
    assert (response.usage.input_tokens, response.usage.output_tokens) == (10, 5)
    assert response.stop_reason == "tool_use"
    assert heard == (["Let ", "me ", "look."] if stream else [])
    [request] = model.requests
    assert request.system == "Be kind."
    assert request.tools == {"weather_tool": TOOL["input_schema"]}
    assert request.last_text == "Hi"
    assert "test-key" not in str(request.headers)


def test_only_newlines_end_a_line_of_a_stream() -> None:
    chunks = iter(['event: x\r\ndata: {"a": "b\u2028c\x85"', "}\r\n\r", "\ndata:1\ndata: 2\n\ndata: lost"])
    assert list(sse_data(chunks)) == ['{"a": "b\u2028c\x85"}', "1\n2"]


def test_block_objects_and_tool_results_go_back(bridge: Any, model: ScriptedModel) -> None:
    model.add(CALL, "Warm.")
    first = bridge.generate_response(HI)
    [call] = bridge.extract_tool_calls(first)
    result = {"type": "tool_result", "tool_use_id": call["id"], "content": "{'ok': True}", "is_error": False}
    history = [*HI, {"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    assert bridge.extract_text_content(bridge.generate_response(history)) == "Warm."
    assert model.refusals == []
    assert model.requests[-1].last_text == "{'ok': True}"


def test_dynamic_content_is_a_block_of_its_own(anthropic: LLMBridge, model: ScriptedModel) -> None:
    model.default = "ok"
    anthropic.generate_response(HI, "Static", cache_control={"type": "ephemeral"}, dynamic_content="Dynamic")
    anthropic.generate_response(HI, "Static", dynamic_content="Dynamic")
    anthropic.generate_response(HI, dynamic_content="Dynamic", cache_control={"type": "ephemeral"})
    with_both, without_cache, without_prompt = model.requests
    assert with_both.system == "Static\n\nDynamic"
    assert with_both.body["system"][0]["cache_control"] == {"type": "ephemeral"}
    assert without_cache.system == "Static"
    assert without_prompt.system == ""


def test_parameters_that_mira_does_not_know_are_refused(bridge: Any) -> None:
    with pytest.raises(TypeError):
        bridge.generate_response(HI, tool_choice={"type": "any"})


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [400, 401, 429, 500, 529])
def test_errors_carry_status_and_body(bridge: Any, model: ScriptedModel, status: int, stream: bool) -> None:
    model.add(Fault(status, "come back later", {"retry-after": "1"}))
    with pytest.raises(BridgeError, match="come back later") as caught:
        bridge.generate_response(HI, stream=stream)
    assert caught.value.status == status
    assert "come back later" in caught.value.body
    assert len(model.requests) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_half_an_answer_is_an_error(bridge: Any, model: ScriptedModel, stream: bool) -> None:
    model.add(Fault(half=True))
    heard: list[str] = []
    with pytest.raises(BridgeError) as caught:
        bridge.generate_response(HI, stream=stream, callback=heard.append)
    assert caught.value.status is None
    assert bool(heard) is stream


@pytest.mark.parametrize("body", ["<html>", "[]", "{}"])
def test_nonsense_is_an_error(bridge: Any, model: ScriptedModel, body: str) -> None:
    model.add(Fault(200, body=body))
    with pytest.raises(BridgeError) as caught:
        bridge.generate_response(HI)
    assert caught.value.body == body


def test_no_answer_is_a_timeout(model: ScriptedModel) -> None:
    model.add(Fault(hang=True))
    with (
        LLMBridge(model.url, "scripted", api_key="k", timeout=0.05) as bridge,
        pytest.raises(BridgeError, match="ReadTimeout"),
    ):
        bridge.generate_response(HI)


def test_a_server_that_is_gone_is_an_error() -> None:
    with ScriptedModel() as model:
        url = model.url
    with LLMBridge(url, "scripted", timeout=1) as bridge, pytest.raises(BridgeError, match="no answer"):
        bridge.generate_response(HI)


def test_ollama_drops_tools_without_their_own_schema(model: ScriptedModel) -> None:
    model.default = "ok"
    schema = {"type": "function", "function": {"name": "a", "description": "", "parameters": {"type": "object"}}}
    tools = [{"name": "a", "description": "", "openai_schema": schema}, TOOL]
    with OllamaBridge(model.url) as bridge:
        bridge.generate_response(HI, tools=tools)
    assert list(model.requests[0].tools) == ["a"]
    assert model.requests[0].body["model"] == "qwen3:4b"


def test_broken_arguments_reach_the_tool_as_an_odd_parameter(model: ScriptedModel) -> None:
    function = {"name": "a", "arguments": "{oops"}
    message = {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": function}]}
    body = httpx.Response(200, json={"choices": [{"message": message, "finish_reason": "tool_calls"}]}).text
    model.add(Fault(200, body=body))
    with OpenAIBridge(model.url, "m") as bridge:
        [call] = bridge.extract_tool_calls(bridge.generate_response(HI))
    assert call["input"] == {"unreadable_arguments": "{oops"}


def test_blocks_print_as_in_mira() -> None:
    assert str(TextBlock(text="hm")) == "TextBlock(citations=None, text='hm', type='text')"
    assert str(ToolUseBlock(id="t", input={"a": 1}, name="x")) == (
        "ToolUseBlock(id='t', input={'a': 1}, name='x', type='tool_use')"
    )


def test_text_blocks_are_joined_with_a_space(anthropic: LLMBridge) -> None:
    class Response:
        content = (TextBlock(text="one"), TextBlock(text="two "))

    assert anthropic.extract_text_content(Response()) == "one two"
    assert anthropic.extract_text_content(object()) == ""
    assert anthropic.extract_tool_calls(object()) == []


def test_the_rate_limit_makes_callers_wait_after_the_burst() -> None:
    waits: list[float] = []
    limit = RateLimit(10, 2, waits.append)
    for _ in range(4):
        limit.wait()
    assert len(waits) == 2
    assert waits[0] == pytest.approx(6, abs=0.5)
    assert waits[1] == pytest.approx(12, abs=0.5)


def test_rules_come_before_the_queue_and_the_queue_before_the_default(
    anthropic: LLMBridge, model: ScriptedModel
) -> None:
    def ask(text: str) -> str:
        return anthropic.extract_text_content(anthropic.generate_response([{"role": "user", "content": text}]))

    model.add("queued")
    model.default = lambda body: f"default {len(body['messages'])}"
    model.when(lambda body: "fact" in str(body), Reply("ruled"), times=1)
    assert [ask(text) for text in ("fact", "fact", "fact")] == ["ruled", "queued", "default 1"]


def test_a_script_that_is_empty_refuses(anthropic: LLMBridge, model: ScriptedModel) -> None:
    with pytest.raises(BridgeError, match="no scripted step"):
        anthropic.generate_response(HI)
    assert len(model.refusals) == 1


USE = {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "x", "input": {}}]}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "{}"}]}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"messages": []}, "at least one"),
        ({"messages": [{"role": "system", "content": "x"}]}, "user or assistant"),
        ({"messages": [{"role": "user", "content": ""}]}, "non-empty"),
        ({"messages": [{"role": "user", "content": " "}]}, "non-empty"),
        ({"messages": [{"role": "user", "content": ["ToolUseBlock(id='t')"]}]}, "a dictionary"),
        ({"messages": [*HI, {"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"}]}, "in a row"),
        ({"messages": [RESULT]}, "unexpected tool_use_id"),
        ({"messages": [*HI, USE]}, "without tool_result"),
        ({"messages": [*HI, USE, *HI]}, "without tool_result"),
        ({"tools": [TOOL, TOOL]}, "unique"),
        ({"tools": [TOOL | {"name": "no spaces"}]}, "letters"),
        ({"tools": [TOOL | {"simple_description": "x"}]}, "extra inputs"),
        ({"tools": [TOOL | {"input_schema": {"type": "string"}}]}, "object"),
        ({"tools": [TOOL | {"input_schema": {"type": "object", "properties": {"a": {"type": "int"}}}}]}, "no type"),
        (
            {"tools": [TOOL | {"input_schema": {"type": "object", "properties": {"a": {"required": True}}}}]},
            "list of names",
        ),
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"system": [{"type": "text", "text": ""}]}, "non-empty"),
    ],
)
def test_requests_are_checked(model: ScriptedModel, change: dict[str, Any], reason: str) -> None:
    body = {"model": "m", "max_tokens": 10, "messages": HI} | change
    headers = {"x-api-key": "k", "anthropic-version": "2023-06-01"}
    answer = httpx.post(f"{model.url}/v1/messages", json=body, headers=headers, trust_env=False)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert reason in answer.json()["error"]["message"]


def test_a_proper_tool_round_is_accepted(anthropic: LLMBridge, model: ScriptedModel) -> None:
    model.default = "ok"
    anthropic.generate_response([*HI, USE, RESULT])
    assert model.refusals == []


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([{"role": "robot", "content": "x"}], "unknown role"),
        ([{"role": "tool", "tool_call_id": "t", "content": "x"}], "answers no tool call"),
        ([{"role": "assistant", "tool_calls": [{"id": "t", "function": {"arguments": "{}"}}]}], "without an answer"),
        ([{"role": "assistant"}], "neither"),
    ],
)
def test_chat_requests_are_checked_too(model: ScriptedModel, messages: list[Any], reason: str) -> None:
    body = {"model": "m", "messages": messages}
    answer = httpx.post(f"{model.url}/v1/chat/completions", json=body, trust_env=False)
    assert answer.status_code == 400
    assert reason in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ({}, b"{}", 401),
        ({"x-api-key": "k"}, b"{}", 400),
        ({"x-api-key": "k", "anthropic-version": "1"}, b"{", 400),
        ({"x-api-key": "k", "anthropic-version": "1"}, b"[]", 400),
    ],
)
def test_headers_and_json_are_checked(
    model: ScriptedModel, headers: dict[str, str], content: bytes, status: int
) -> None:
    answer = httpx.post(f"{model.url}/v1/messages", content=content, headers=headers, trust_env=False)
    assert answer.status_code == status


def test_other_paths_are_not_found_and_models_are_listed(model: ScriptedModel) -> None:
    get: Callable[..., httpx.Response] = httpx.get
    assert get(f"{model.url}/v1/models", trust_env=False).json()["data"][0]["id"] == "scripted"
    assert get(f"{model.url}/nowhere", trust_env=False).status_code == 404
    assert httpx.post(f"{model.url}/nowhere", trust_env=False).status_code == 404
