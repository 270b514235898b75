"""A client for servers that speak OpenAI's chat completions: Ollama, llama.cpp, vLLM, OpenAI and others."""

from __future__ import annotations

import ipaddress
import json
import ssl
import time
from collections.abc import Sequence
from functools import cache

import httpx

from mira_ltmemory.errors import LLMBadAnswer, LLMError, LLMRejected, LLMUnavailable, one_line
from mira_ltmemory.llm.patient import retry_after
from mira_ltmemory.llm.shapes import read_reply, to_openai, tool_schema
from mira_ltmemory.protocols import Json, LLMReply

_PASSING = frozenset({408, 409, 425, 429, 529})
"""Statuses beside 5xx after which the same request may succeed later."""

_CONNECT_S = 10.0
_MOST_BYTES = 8_000_000


class OpenAIClient:
    """Asks ``POST <base_url>/chat/completions``; one call is one attempt. Thread-safe.

    ``base_url`` ends before ``/chat/completions``, mostly with ``/v1``. ``timeout`` is in seconds, from the request to
    the whole answer. The key is sent in a header and is never part of an error or a log.
    """

    def __init__(self, base_url: str, model: str, *, api_key: str | None = None, timeout: float = 120.0) -> None:
        self._url = f"{base_url.rstrip('/')}/chat/completions"
        self._model = model
        self._headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        self._key = api_key or ""
        self._timeout = timeout
        patience = httpx.Timeout(timeout, connect=min(timeout, _CONNECT_S))
        self._client = httpx.Client(timeout=patience, trust_env=not _is_local(self._url), verify=_certificates())

    @property
    def name(self) -> str:
        """The model's name."""
        return self._model

    def complete(
        self,
        messages: Sequence[Json],
        *,
        system: str | None = None,
        tools: Sequence[Json] = (),
        max_tokens: int = 1024,
        temperature: float = 0.0,
    ) -> LLMReply:
        """Answer once. Raises ``LLMUnavailable``, ``LLMRejected`` and ``LLMBadAnswer``."""
        told: list[Json] = [{"role": "system", "content": system}] if system else []
        body: Json = {
            "model": self._model,
            "messages": told + to_openai(messages),
            "max_tokens": max_tokens,
            "temperature": temperature,
        }
        if tools:
            body["tools"] = [tool_schema(tool) for tool in tools]
        return read_reply(self._post(json.dumps(body)))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _post(self, body: str) -> str:
        headers = {"content-type": "application/json", **self._headers}
        until = time.monotonic() + self._timeout
        try:
            with self._client.stream("POST", self._url, content=body, headers=headers) as response:
                answer = self._read(response, until)
        except httpx.TimeoutException as error:
            raise LLMUnavailable(
                f"The model at {self._where} did not answer in time ({type(error).__name__})."
            ) from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            told = self._told(f"{type(error).__name__} {error}")
            raise LLMUnavailable(f"The model at {self._where} gave no whole answer: {told}") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise LLMRejected(f"The model cannot be asked: {self._told(str(error))}") from error
        if response.status_code != 200:
            raise self._refused(response, answer.decode("utf-8", "replace"))
        try:
            return answer.decode("utf-8")
        except UnicodeDecodeError as error:
            raise LLMBadAnswer(f"The answer of the model at {self._where} is not UTF-8.") from error

    def _read(self, response: httpx.Response, until: float) -> bytes:
        """The body. httpx bounds the time between two pieces of it: a server that drips would never end."""
        answer = bytearray()
        for piece in response.iter_bytes():
            answer += piece
            if time.monotonic() > until:
                raise httpx.ReadTimeout(f"more than {self._timeout:g} s")
            if len(answer) > _MOST_BYTES:
                raise LLMBadAnswer(f"The answer of the model at {self._where} is longer than {_MOST_BYTES:,} bytes.")
        return bytes(answer)

    def _refused(self, response: httpx.Response, body: str) -> LLMError:
        told = f"The model at {self._where} answered {response.status_code}: {self._told(body)}"
        if response.status_code in _PASSING or response.status_code >= 500:
            return LLMUnavailable(told, retry_after=retry_after(response.headers))
        return LLMRejected(told)

    def _told(self, text: str) -> str:
        return one_line(text.replace(self._key, "[key]") if self._key else text, 300)

    @property
    def _where(self) -> str:
        return httpx.URL(self._url).host


def _is_local(url: str) -> bool:
    host = httpx.URL(url).host
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@cache
def _certificates() -> ssl.SSLContext:
    return httpx.create_ssl_context()
