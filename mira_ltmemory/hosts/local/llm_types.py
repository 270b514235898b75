"""What a model's answer looks like (the shape of anthropic's ``Message``), and what all bridges share."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Self
from uuid import uuid4

import httpx

from mira_ltmemory.hosts.local.errors import BridgeError


# The order of the fields is that of anthropic's repr, which is what ends up in saved conversations.
@dataclass(kw_only=True)
class TextBlock:
    """Words of the model."""

    citations: None = None
    text: str
    type: str = "text"

    def to_dict(self) -> dict[str, Any]:
        """As the API takes it back."""
        return {"type": "text", "text": self.text}


@dataclass(kw_only=True)
class ToolUseBlock:
    """A call of a tool that the model asks for."""

    id: str
    input: dict[str, Any]
    name: str
    type: str = "tool_use"

    def to_dict(self) -> dict[str, Any]:
        """As the API takes it back."""
        return {"type": "tool_use", "id": self.id, "name": self.name, "input": self.input}


ContentBlock = TextBlock | ToolUseBlock


@dataclass
class Usage:
    """Tokens that went in and came out."""

    input_tokens: int = 0
    output_tokens: int = 0


@dataclass
class ModelMessage:
    """A finished answer."""

    content: list[ContentBlock]
    stop_reason: str | None = "end_turn"
    usage: Usage = field(default_factory=Usage)
    model: str = ""
    id: str = field(default_factory=lambda: f"msg_{uuid4().hex}")
    role: str = "assistant"
    type: str = "message"


@dataclass
class StreamResult:
    """What a streamed request gives back, like anthropic's stream: it has no ``content`` of its own."""

    message: ModelMessage

    def get_final_message(self) -> ModelMessage:
        """Return the whole answer."""
        return self.message


def plain(value: Any) -> Any:
    """Messages with their block objects turned into dicts."""
    if isinstance(value, TextBlock | ToolUseBlock):
        return value.to_dict()
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


def sse_data(chunks: Iterator[str]) -> Iterator[str]:
    """Return the data of each server-sent event.

    Only newlines end a line: httpx's ``iter_lines`` also breaks at U+2028 and others that JSON may hold.
    """
    gathered: list[str] = []
    rest = ""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split("\n")
        for line in (one.rstrip("\r") for one in lines):
            if line.startswith("data:"):
                gathered.append(line[5:].removeprefix(" "))
            elif not line and gathered:
                yield "\n".join(gathered)
                gathered = []


def load_object(text: str, what: str) -> dict[str, Any]:
    """Parse a JSON object or raise ``BridgeError``."""
    try:
        data = json.loads(text)
    except ValueError as exc:
        raise BridgeError(f"{what} is not JSON", body=text) from exc
    if not isinstance(data, dict):
        raise BridgeError(f"{what} is not a JSON object", body=text)
    return data


class RateLimit:
    """A token bucket that all callers of one bridge share."""

    def __init__(self, per_minute: float, burst: int, sleep: Callable[[float], None] = time.sleep) -> None:
        self.per_second = per_minute / 60
        self.burst = burst
        self.sleep = sleep
        self._tokens = float(burst)
        self._seen = time.monotonic()
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Take a token, sleeping until there is one."""
        with self._lock:
            now = time.monotonic()
            self._tokens = min(self.burst, self._tokens + (now - self._seen) * self.per_second)
            self._seen = now
            self._tokens -= 1
            debt = -self._tokens / self.per_second
        if debt > 0:
            self.sleep(debt)


@cache
def _certificates() -> ssl.SSLContext:
    return httpx.create_ssl_context()


class BaseBridge:
    """HTTP, errors and the readers of answers. One request is one attempt: nothing here retries."""

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key: str = "",
        max_tokens: int = 1000,
        temperature: float = 0.4,
        timeout: float = 60.0,
        rate_limit: RateLimit | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/").removesuffix("/v1")
        self.model = model
        self.api_key = api_key
        self.max_tokens = max_tokens
        self.temperature = temperature
        self.rate_limit = rate_limit
        local = httpx.URL(self.base_url).host in ("127.0.0.1", "localhost", "::1")
        patience = httpx.Timeout(timeout, connect=min(timeout, 10.0))
        self._client = httpx.Client(timeout=patience, trust_env=not local, verify=_certificates())

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _post(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> Iterator[httpx.Response]:
        if self.rate_limit is not None:
            self.rate_limit.wait()
        try:
            with self._client.stream("POST", self.base_url + path, json=body, headers=headers) as response:
                if response.status_code != 200:
                    text = response.read().decode("utf-8", "replace")
                    raise BridgeError(
                        f"the model's server answered {response.status_code}: {text[:500]}", response.status_code, text
                    )
                yield response
        except httpx.HTTPError as exc:
            raise BridgeError(f"no answer from {self.base_url}: {type(exc).__name__} {exc}".rstrip()) from exc

    def extract_text_content(self, response: Any) -> str:
        """All text of an answer, its blocks joined with a space; "" if there is none."""
        blocks = getattr(response, "content", None) or []
        return " ".join(block.text for block in blocks if hasattr(block, "text")).strip()

    def extract_tool_calls(self, response: Any) -> list[dict[str, Any]]:
        """Return the tool calls of an answer as ``{"id", "tool_name", "input"}``."""
        blocks = getattr(response, "content", None) or []
        return [
            {"id": block.id, "tool_name": block.name, "input": block.input}
            for block in blocks
            if getattr(block, "type", "") == "tool_use"
        ]
