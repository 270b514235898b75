"""The bridge to the Anthropic Messages API. Its sisters for OpenAI-compatible servers are re-exported here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

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
from mira_ltmemory.hosts.local.openai_bridge import OllamaBridge, OpenAIBridge

__all__ = ["LLMBridge", "OllamaBridge", "OpenAIBridge"]

API_VERSION = "2023-06-01"


class LLMBridge(BaseBridge):
    """Asks a server that speaks ``POST /v1/messages``."""

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
        extended_thinking: bool | None = None,
        extended_thinking_budget: int | None = None,
    ) -> ModelMessage | StreamResult:
        """Send one request. Streamed, it feeds ``callback`` and returns something with ``get_final_message()``.

        ``dynamic_content`` is dropped unless ``system_prompt`` and ``cache_control`` are given, as in MIRA.
        The two thinking parameters are taken and ignored; anything else (``tool_choice``) is a ``TypeError``.
        """
        body: dict[str, Any] = {
            "model": self.model,
            "messages": plain(messages),
            "max_tokens": max_tokens if max_tokens is not None else self.max_tokens,
            "temperature": temperature if temperature is not None else self.temperature,
        }
        if system_prompt and dynamic_content and cache_control:
            body["system"] = [
                {"type": "text", "text": system_prompt, "cache_control": cache_control},
                {"type": "text", "text": dynamic_content},
            ]
        elif system_prompt:
            body["system"] = system_prompt
        if tools:
            body["tools"] = tools
        if stream:
            body["stream"] = True
        headers = {"x-api-key": self.api_key, "anthropic-version": API_VERSION}
        with self._post("/v1/messages", body, headers) as response:
            if stream:
                return StreamResult(_assemble(sse_data(response.iter_text()), callback))
            text = response.read().decode("utf-8", "replace")
        data = load_object(text, "the answer")
        try:
            return _message(data, [_block(item) for item in data["content"]])
        except (KeyError, TypeError) as exc:
            raise BridgeError("the answer is not a message", 200, text) from exc


def _block(data: dict[str, Any]) -> ContentBlock:
    if data["type"] == "tool_use":
        return ToolUseBlock(id=data["id"], input=data["input"], name=data["name"])
    return TextBlock(text=data.get("text", ""))


def _message(data: dict[str, Any], content: list[ContentBlock]) -> ModelMessage:
    usage = data.get("usage") or {}
    return ModelMessage(
        content,
        data.get("stop_reason"),
        Usage(usage.get("input_tokens", 0), usage.get("output_tokens", 0)),
        data.get("model", ""),
        data["id"],
    )


def _assemble(events: Iterator[str], callback: Callable[[str], None] | None) -> ModelMessage:
    head: dict[str, Any] = {}
    blocks: list[dict[str, Any]] = []
    for raw in events:
        event = load_object(raw, "an event of the stream")
        kind = event.get("type")
        if kind == "message_start":
            head = event["message"]
        elif kind == "content_block_start":
            blocks.append({**event["content_block"], "json": ""})
        elif kind == "content_block_delta":
            delta = event["delta"]
            if delta["type"] == "text_delta":
                blocks[-1]["text"] += delta["text"]
                if callback is not None:
                    callback(delta["text"])
            elif delta["type"] == "input_json_delta":
                blocks[-1]["json"] += delta["partial_json"]
        elif kind == "message_delta":
            head["stop_reason"] = event["delta"].get("stop_reason")
            head["usage"] = {**head.get("usage", {}), **event.get("usage", {})}
        elif kind == "error":
            raise BridgeError(f"the stream broke off: {event.get('error')}", 200, raw)
        elif kind == "message_stop":
            for block in blocks:
                if block["type"] == "tool_use":
                    block["input"] = load_object(block["json"] or "{}", "a tool's input")
            return _message(head, [_block(block) for block in blocks])
    raise BridgeError("the stream ended before the message did", 200)
