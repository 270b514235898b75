"""The client for OpenAI-compatible servers, against a real HTTP server on loopback."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mira_ltmemory.errors import LLMBadAnswer, LLMError, LLMRejected, LLMUnavailable
from mira_ltmemory.hosts.local.scripted_model import Fault, Reply, ScriptedModel
from mira_ltmemory.llm.openai import OpenAIClient
from mira_ltmemory.llm.patient import retry_after

KEY = "sk-do-not-tell-0123456789"
HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel() as running:
        yield running


@pytest.fixture
def make(model: ScriptedModel) -> Iterator[Callable[..., OpenAIClient]]:
    made: list[OpenAIClient] = []

    def client(**options: float) -> OpenAIClient:
        made.append(OpenAIClient(f"{model.url}/v1/", "small", api_key=KEY, **options))
        return made[-1]

    yield client
    for each in made:
        each.close()


def test_an_answer_with_its_tokens(model: ScriptedModel, make: Callable[..., OpenAIClient]) -> None:
    model.add(Reply("Good day", input_tokens=12, output_tokens=3))
    reply = make().complete(HELLO, system="Be kind", max_tokens=50)
    assert (reply.text, reply.input_tokens, reply.output_tokens, reply.stop_reason) == ("Good day", 12, 3, "end_turn")
    (request,) = model.requests
    assert (request.system, request.last_text, request.body["max_tokens"]) == ("Be kind", "Hello", 50)
    assert request.body["temperature"] == 0.0
    assert make().name == "small"


def test_tool_calls_go_and_come_in_our_shape(model: ScriptedModel, make: Callable[..., OpenAIClient]) -> None:
    schema = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}
    tools = [{"name": "look", "description": "Looks.", "input_schema": schema}]
    model.add(Reply("", [("look", {"query": "x"})]), "Found")
    first = make().complete(HELLO, tools=tools)
    (call,) = first.tool_calls
    assert (call.name, call.arguments, first.stop_reason) == ("look", {"query": "x"}, "tool_use")
    said = [
        *HELLO,
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": call.id, "name": "look", "input": {"query": "x"}}],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "nothing"}]},
    ]
    assert make().complete(said, tools=tools).text == "Found"
    assert model.refusals == []
    assert model.requests[0].tools == {"look": schema}
    assert model.requests[1].messages[-1] == {"role": "tool", "tool_call_id": call.id, "content": "nothing"}


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(429), LLMUnavailable),
        (Fault(529), LLMUnavailable),
        (Fault(500), LLMUnavailable),
        (Fault(503), LLMUnavailable),
        (Fault(half=True), LLMUnavailable),
        (Fault(400), LLMRejected),
        (Fault(401), LLMRejected),
        (Fault(404), LLMRejected),
        (Fault(200, body="<html>Welcome</html>"), LLMBadAnswer),
        (Fault(200, body='{"choices": []}'), LLMBadAnswer),
        (Fault(200, body='{"choices": [{"message": null}]}'), LLMBadAnswer),
        (Fault(200, body="[]"), LLMBadAnswer),
    ],
)
def test_failures_are_of_three_kinds(
    model: ScriptedModel, make: Callable[..., OpenAIClient], fault: Fault, kind: type[LLMError]
) -> None:
    model.add(fault)
    with pytest.raises(kind) as caught:
        make().complete(HELLO)
    assert type(caught.value) is kind


def test_no_answer_in_time(model: ScriptedModel, make: Callable[..., OpenAIClient]) -> None:
    model.add(Fault(hang=True))
    with pytest.raises(LLMUnavailable, match="did not answer in time"):
        make(timeout=0.2).complete(HELLO)


def test_an_answer_that_drips_ends_in_time() -> None:
    class Dripping(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.end_headers()
            for _ in range(600):
                self.wfile.write(b" ")
                self.wfile.flush()
                gone.wait(0.05)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    gone = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Dripping)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = OpenAIClient(f"http://127.0.0.1:{server.server_port}/v1", "small", timeout=0.3)
    try:
        with pytest.raises(LLMUnavailable, match="did not answer in time"):
            client.complete(HELLO)
    finally:
        gone.set()
        client.close()
        server.shutdown()
        server.server_close()


def test_nobody_listens() -> None:
    with ScriptedModel() as gone:
        url = gone.url
    client = OpenAIClient(url, "small")
    with pytest.raises(LLMUnavailable, match=r"127\.0\.0\.1"):
        client.complete(HELLO)
    client.close()


def test_how_long_the_server_asks_to_wait(model: ScriptedModel, make: Callable[..., OpenAIClient]) -> None:
    model.add(Fault(429, headers={"Retry-After": "7"}), Fault(429))
    asked = []
    for _ in range(2):
        with pytest.raises(LLMUnavailable) as caught:
            make().complete(HELLO)
        asked.append(caught.value.retry_after)
    assert asked == [7.0, None]
    now = datetime(2025, 5, 5, 9, 30, tzinfo=UTC)
    assert retry_after({"retry-after": "Mon, 05 May 2025 09:31:30 GMT"}, now) == 90
    assert retry_after({"retry-after": "Mon, 05 May 2025 09:00:00 GMT"}, now) == 0
    assert retry_after({"retry-after": "soon"}, now) is None


def test_the_key_is_never_told(
    model: ScriptedModel, make: Callable[..., OpenAIClient], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    model.add(Fault(401, message=f"Incorrect API key provided: {KEY}"))
    with pytest.raises(LLMRejected, match=r"\[key\]") as caught:
        make().complete(HELLO)
    assert KEY not in str(caught.value)
    assert KEY not in caplog.text
    assert KEY not in repr(vars(caught.value))


@pytest.mark.parametrize(
    "message",
    [{"content": None, "refusal": "I cannot help with that."}, {"content": "", "refusal": "No."}],
)
def test_a_refusal_says_so(model: ScriptedModel, make: Callable[..., OpenAIClient], message: dict[str, object]) -> None:
    recorded = {
        "id": "chatcmpl-1", "object": "chat.completion", "model": "small",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", **message}}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13},
    }  # fmt: skip
    model.add(Fault(200, body=json.dumps(recorded)))
    reply = make().complete(HELLO)
    assert (reply.stop_reason, reply.text, reply.input_tokens) == ("refusal", message["refusal"], 9)


def test_broken_arguments_reach_the_tool_as_such(model: ScriptedModel, make: Callable[..., OpenAIClient]) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"query": "x'}}
    recorded = {"choices": [{"finish_reason": "tool_calls", "message": {"role": "assistant", "tool_calls": [call]}}]}
    model.add(Fault(200, body=json.dumps(recorded)))
    (read,) = make().complete(HELLO).tool_calls
    assert read.arguments == {"unreadable_arguments": '{"query": "x'}
