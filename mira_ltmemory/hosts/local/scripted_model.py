"""A model server on the loopback interface that says what it was told to say, and is strict about requests."""

from __future__ import annotations

import json
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from mira_ltmemory.hosts.local.scripted_checks import Refusal, check_anthropic, check_openai, expect
from mira_ltmemory.hosts.local.scripted_replies import AnthropicWire, Fault, OpenAIWire, Reply, Step, error_body

__all__ = ["Fault", "RecordedRequest", "Reply", "ScriptedModel", "Step"]

_CHECKS: dict[str, Callable[[dict[str, Any]], None]] = {
    "/v1/messages": check_anthropic,
    "/v1/chat/completions": check_openai,
}


@dataclass(frozen=True)
class RecordedRequest:
    """One request as it came in; keys are left out of ``headers``."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The messages, without a system message."""
        return [message for message in self.body.get("messages", []) if message.get("role") != "system"]

    @property
    def system(self) -> str:
        """The whole system prompt, its blocks joined by a blank line."""
        given = self.body.get("system", "")
        if isinstance(given, list):
            return "\n\n".join(block["text"] for block in given)
        told = [one["content"] for one in self.body.get("messages", []) if one.get("role") == "system"]
        return "\n\n".join(told) if told else str(given or "")

    @property
    def tools(self) -> dict[str, dict[str, Any]]:
        """The tools by name, each with its JSON Schema."""
        return {
            tool.get("name") or tool["function"]["name"]: tool.get("input_schema") or tool["function"]["parameters"]
            for tool in self.body.get("tools", [])
        }

    @property
    def last_text(self) -> str:
        """The text of the last message, tool results included."""
        content = self.messages[-1].get("content") if self.messages else ""
        if isinstance(content, list):
            return "\n".join(str(block.get("text") or block.get("content") or "") for block in content)
        return str(content or "")


class ScriptedModel:
    """Answers from a queue of steps: replies, plain text, faults, or functions of the request's JSON.

    Rules made with ``when`` come first, then the queue, then ``default``. A request that is not valid gets a 400
    whose reason is kept in ``refusals``; so does a request for which no step is left. Use it as a context manager.
    """

    def __init__(self, steps: Iterable[Step] = (), *, default: Step | None = None, strict: bool = True) -> None:
        self.queue: deque[Step] = deque(steps)
        self.default = default
        self.strict = strict
        self.requests: list[RecordedRequest] = []
        self.refusals: list[str] = []
        self._rules: list[tuple[Callable[[dict[str, Any]], bool], Step, list[int | None]]] = []
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> Self:
        """Listen on a free port of 127.0.0.1."""
        self._server = _Server(self)
        serve = self._server.serve_forever
        self._thread = threading.Thread(target=serve, args=(0.02,), daemon=True, name="scripted-model")
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop listening; requests that hang are let go."""
        if self._server is not None and self._thread is not None:
            self._server.closing.set()
            self._server.shutdown()
            self._server.server_close()
            self._thread.join(5.0)
            self._server = self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The base URL, without ``/v1``."""
        if self._server is None:
            raise RuntimeError("the scripted model is not running")
        return f"http://127.0.0.1:{self._server.server_port}"

    def add(self, *steps: Step) -> None:
        """Append steps to the queue."""
        with self._lock:
            self.queue.extend(steps)

    def when(self, matches: Callable[[dict[str, Any]], bool], step: Step, times: int | None = None) -> None:
        """Answer requests that match with this step, before the queue is asked; for ``times`` requests, or always."""
        with self._lock:
            self._rules.append((matches, step, [times]))

    def answer(self, request: RecordedRequest) -> Reply | Fault:
        """Record a request, check it, and choose what to say."""
        with self._lock:
            self.requests.append(request)
        try:
            if self.strict:
                _CHECKS[request.path](request.body)
            step = self._next(request.body)
            expect(step is not None, "no scripted step is left for this request")
        except Refusal as exc:
            self.refusals.append(str(exc))
            return Fault(400, str(exc))
        said = step(request.body) if callable(step) else step
        return Reply(said) if isinstance(said, str) else said  # type: ignore[return-value]

    def _next(self, body: dict[str, Any]) -> Step | None:
        with self._lock:
            for matches, step, left in self._rules:
                if left[0] != 0 and matches(body):
                    left[0] = None if left[0] is None else left[0] - 1
                    return step
            return self.queue.popleft() if self.queue else self.default


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, model: ScriptedModel) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.model = model
        self.closing = threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that hung up; print anything else."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        if self.path == "/v1/models":
            self._send(200, json.dumps({"object": "list", "data": [{"id": "scripted", "object": "model"}]}))
        else:
            self._send(404, error_body(self.path, 404, f"nothing at {self.path}"))

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path not in _CHECKS:
            return self._send(404, error_body(self.path, 404, f"nothing at {self.path}"))
        if self.path == "/v1/messages" and self.server.model.strict:
            if not self.headers.get("x-api-key"):
                return self._send(401, error_body(self.path, 401, "x-api-key header is required"))
            if not self.headers.get("anthropic-version"):
                return self._send(400, error_body(self.path, 400, "anthropic-version: header is required"))
        try:
            body = json.loads(raw)
            expect(isinstance(body, dict), "a JSON object is due here")
        except (ValueError, Refusal) as exc:
            return self._send(400, error_body(self.path, 400, f"the request is not valid JSON: {exc}"))
        secret = ("x-api-key", "authorization")
        headers = {key.lower(): value for key, value in self.headers.items() if key.lower() not in secret}
        said = self.server.model.answer(RecordedRequest(self.path, headers, body))
        if isinstance(said, Fault) and not said.half:
            return self._fail(said)
        reply, half = (said.reply, True) if isinstance(said, Fault) else (said, False)
        wire = (AnthropicWire if self.path == "/v1/messages" else OpenAIWire)(reply, body.get("model", ""))
        if body.get("stream"):
            return self._stream(wire.events(), half)
        return self._send(200, wire.whole(), half=half)

    def _fail(self, fault: Fault) -> None:
        if fault.hang:
            self.server.closing.wait(60)
            self.close_connection = True
            return
        text = fault.body if fault.body is not None else error_body(self.path, fault.status, fault.message)
        self._send(fault.status, text, fault.headers.items())

    def _send(self, status: int, text: str, headers: Iterable[tuple[str, str]] = (), half: bool = False) -> None:
        data = text.encode()
        fixed = {"content-type": "application/json", "content-length": str(len(data))}
        self._head(status, [*fixed.items(), *headers])
        self.wfile.write(data[: len(data) // 2] if half else data)

    def _stream(self, events: list[str], half: bool) -> None:
        self._head(200, [("content-type", "text/event-stream"), ("transfer-encoding", "chunked")])
        for event in events[: len(events) // 2] if half else events:
            data = event.encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()
        if not half:
            self.wfile.write(b"0\r\n\r\n")

    def _head(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        self.send_response(status)
        for key, value in headers:
            self.send_header(key, value)
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
