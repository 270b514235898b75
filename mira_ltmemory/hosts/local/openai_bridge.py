"""Bridges to servers that speak OpenAI's chat completions: Ollama, llama.cpp, vLLM and others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

from mira_ltmemory.hosts.local.errors import BridgeError
from mira_ltmemory.hosts.local.llm_types import (
    BaseBridge,
    ContentBlock,
    ModelMessage,
    StreamResult,
    TextBlock,
    ToolUseBlock,
    Usage,
    load_object,
    plain,
    sse_data,
)
from mira_ltmemory.llm.shapes import STOP_REASONS, arguments_of, to_openai, tool_schema


class OpenAIBridge(BaseBridge):
    """Asks ``POST /v1/chat/completions`` and answers in anthropic's shape."""

    def generate_response(
        self,
        messages: list[dict[str, Any]],
        system_prompt: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        tools: list[dict[str, Any]] | None = None,
        stream: bool = False,
        callback: Callable[[str], None] | None = None,
        cache_control: dict[str, str] | None = None,
        dynamic_content: str | None = None,
    ) -> ModelMessage | StreamResult:
        """Send one request; the parameters are those of ``LLMBridge``."""
        system = "\n\n".join(part for part in (system_prompt, dynamic_content) if part)
        body: dict[str, Any] = {
            "model": self.model,
            "messages": ([{"role": "system", "content": system}] if system else []) + to_openai(plain(messages)),
            "max_tokens": max_tokens if max_tokens is not None else self.max_tokens,
            "temperature": temperature if temperature is not None else self.temperature,
        }
        if schemas := self.tool_schemas(tools or []):
            body["tools"] = schemas
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        headers = {"authorization": f"Bearer {self.api_key}"} if self.api_key else {}
        with self._post("/v1/chat/completions", body, headers) as response:
            if stream:
                return StreamResult(_assemble(sse_data(response.iter_text()), callback))
            text = response.read().decode("utf-8", "replace")
        data = load_object(text, "the answer")
        try:
            choice = data["choices"][0]
            return _message(data, choice["message"], choice.get("finish_reason"))
        except (KeyError, IndexError, TypeError) as exc:
            raise BridgeError("the answer is not a chat completion", 200, text) from exc

    def tool_schemas(self, tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the tools as function schemas, from either form of the repository's definitions."""
        return [tool["openai_schema"] if "openai_schema" in tool else tool_schema(tool) for tool in tools]


class OllamaBridge(OpenAIBridge):
    """As MIRA's: a tool without an ``openai_schema`` never reaches the model."""

    def __init__(self, base_url: str = "http://localhost:11434", model: str = "qwen3:4b", **options: Any) -> None:
        super().__init__(base_url, model, **options)

    def tool_schemas(self, tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Only the schemas that the tools brought themselves."""
        return [tool["openai_schema"] for tool in tools if "openai_schema" in tool]


def _message(data: dict[str, Any], message: dict[str, Any], finish: str | None) -> ModelMessage:
    content: list[ContentBlock] = []
    if message.get("content"):
        content.append(TextBlock(text=message["content"]))
    for call in message.get("tool_calls") or []:
        function = call["function"]
        arguments = arguments_of(function.get("arguments") or "{}")
        name = function["name"]
        content.append(ToolUseBlock(id=call.get("id") or f"call_{uuid4().hex}", input=arguments, name=name))
    usage = data.get("usage") or {}
    return ModelMessage(
        content,
        STOP_REASONS.get(finish or "", finish),
        Usage(usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0)),
        data.get("model", ""),
        data.get("id") or f"chatcmpl-{uuid4().hex}",
    )


def _assemble(events: Iterator[str], callback: Callable[[str], None] | None) -> ModelMessage:
    head: dict[str, Any] = {}
    text, finish = "", None
    calls: dict[int, dict[str, Any]] = {}
    for raw in events:
        if raw == "[DONE]":
            ordered = [calls[index] for index in sorted(calls)]
            return _message(head, {"content": text, "tool_calls": ordered}, finish)
        chunk = load_object(raw, "an event of the stream")
        if "error" in chunk:
            raise BridgeError(f"the stream broke off: {chunk['error']}", 200, raw)
        head |= {key: chunk[key] for key in ("id", "model", "usage") if chunk.get(key)}
        for choice in chunk.get("choices", []):
            finish = choice.get("finish_reason") or finish
            delta = choice.get("delta") or {}
            if piece := delta.get("content"):
                text += piece
                if callback is not None:
                    callback(piece)
            for part in delta.get("tool_calls") or []:
                _merge_call(calls.setdefault(part.get("index", 0), {}), part)
    raise BridgeError("the stream ended before the message did", 200)


def _merge_call(call: dict[str, Any], part: dict[str, Any]) -> None:
    function = call.setdefault("function", {"name": "", "arguments": ""})
    if part.get("id"):
        call["id"] = part["id"]
    piece = part.get("function") or {}
    function["name"] += piece.get("name") or ""
    function["arguments"] += piece.get("arguments") or ""
