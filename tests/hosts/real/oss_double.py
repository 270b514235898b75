"""A small double of mira-OSS: what a plugin touches of it, written from its observed behaviour."""

from __future__ import annotations

import json
import sys
import types
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any


@dataclass(frozen=True)
class Event:
    continuum_id: str
    parts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def create(cls, continuum_id: str, **parts: Any) -> Event:
        return cls(continuum_id, parts)

    def __getattr__(self, name: str) -> Any:
        return self.parts[name]


class UpdateTrinketEvent(Event):
    pass


class TrinketContentEvent(Event):
    pass


class TurnCompletedEvent(Event):
    pass


class EventBus:
    def __init__(self) -> None:
        self.subscribers: dict[str, list[Callable[[Any], None]]] = {}

    def subscribe(self, event_type: str, callback: Callable[[Any], None]) -> None:
        self.subscribers.setdefault(event_type, []).append(callback)

    def unsubscribe(self, event_type: str, callback: Callable[[Any], None]) -> None:
        self.subscribers[event_type].remove(callback)

    def publish(self, event: Any) -> None:
        for callback in list(self.subscribers.get(type(event).__name__, [])):
            callback(event)


class WorkingMemory:
    """Trinkets by the name of their class; sections are asked for and collected through events."""

    def __init__(self, event_bus: EventBus) -> None:
        self.event_bus = event_bus
        self._trinkets: dict[str, Any] = {}
        self._sections: dict[str, str] = {}
        event_bus.subscribe("TrinketContentEvent", self._take)

    def register_trinket(self, trinket: Any) -> None:
        self._trinkets[type(trinket).__name__] = trinket

    def _take(self, event: Any) -> None:
        self._sections[event.variable_name] = event.content

    def compose(self, continuum_id: str) -> str:
        self._sections.clear()
        for trinket in self._trinkets.values():
            trinket.handle_update_request(UpdateTrinketEvent.create(continuum_id, context={}))
        return "\n\n".join(self._sections.values())


class ToolRepository:
    def __init__(self) -> None:
        self.tool_classes: dict[str, type] = {}
        self.enabled_tools: set[str] = set()

    def register_tool_class(self, tool_class: type, tool_name: str) -> None:
        if tool_name in self.tool_classes:
            raise ValueError(f"Tool with name '{tool_name}' is already registered")
        self.tool_classes[tool_name] = tool_class

    def enable_tool(self, name: str) -> None:
        self.enabled_tools |= {name, *self.tool_classes[name]().get_dependencies()}

    def disable_tool(self, name: str) -> None:
        self.enabled_tools.discard(name)

    def get_all_tool_definitions(self) -> list[Any]:
        return [self.tool_classes[name]().anthropic_schema for name in self.enabled_tools]

    def invoke_tool(self, name: str, params: dict[str, Any]) -> Any:
        return self.tool_classes[name]().run(**params)


class LLMProvider:
    """Reads its limits from itself, its system prompt from the messages, and runs the tools that are called."""

    def __init__(self, url: str, tool_repo: Any) -> None:
        self.url, self.tool_repo, self.model = url, tool_repo, "scripted"
        self.max_tokens, self.temperature = 500, 0.5

    def generate_response(
        self, messages: list[Any], tools: list[Any] | None = None, thinking_enabled: bool | None = None
    ) -> Any:
        talk = [one for one in messages if one["role"] != "system"]
        system = next((one["content"] for one in messages if one["role"] == "system"), "")
        while True:
            body = {"model": self.model, "max_tokens": self.max_tokens, "temperature": self.temperature}
            body |= {"messages": talk, "system": system} | ({"tools": tools} if tools else {})
            response = self._post(body)
            calls = self.extract_tool_calls(response)
            if not calls or not self.tool_repo:
                return response
            results = [
                {"type": "tool_result", "tool_use_id": call["id"],
                 "content": str(self.tool_repo.invoke_tool(call["tool_name"], call["input"]))}
                for call in calls
            ]  # fmt: skip
            talk = [*talk, {"role": "assistant", "content": response.content}, {"role": "user", "content": results}]

    def _post(self, body: dict[str, Any]) -> Any:
        headers = {"x-api-key": "none", "anthropic-version": "2023-06-01", "content-type": "application/json"}
        request = urllib.request.Request(f"{self.url}/v1/messages", json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                read = json.load(response)
        except OSError as error:
            raise RuntimeError("the model gave no answer") from error
        usage = SimpleNamespace(**read["usage"])
        return SimpleNamespace(content=read["content"], usage=usage, stop_reason=read["stop_reason"])

    def extract_text_content(self, message: Any) -> str:
        return "".join(block["text"] for block in message.content if block["type"] == "text")

    def extract_tool_calls(self, message: Any) -> list[Any]:
        found = [block for block in message.content if block["type"] == "tool_use"]
        return [{"id": block["id"], "tool_name": block["name"], "input": block["input"]} for block in found]


class Continuum:
    def __init__(self) -> None:
        self.id = uuid.uuid4()
        self.messages: list[Any] = []

    def _add(self, role: str, content: str, metadata: dict[str, Any] | None) -> None:
        made = {"id": uuid.uuid4(), "role": role, "content": content, "created_at": datetime.now(UTC)}
        self.messages.append(SimpleNamespace(**made, metadata=metadata or {}))

    def add_user_message(self, content: str) -> None:
        self._add("user", content, None)

    def add_assistant_message(self, content: str, metadata: dict[str, Any] | None = None) -> None:
        self._add("assistant", content, metadata)

    def apply_cache(self, messages: list[Any]) -> None:
        self.messages = messages


class SchedulerService:
    """Jobs with their triggers; a test asks when each fires and runs it."""

    def __init__(self) -> None:
        self._registered_jobs: dict[str, Any] = {}
        self.scheduler = self
        self.armed: dict[str, Any] = {}

    def get_job(self, job_id: str) -> Any:
        """As in APScheduler, of which it is a double too."""
        return SimpleNamespace(modify=lambda next_run_time: self.armed.update({job_id: next_run_time}))

    def register_job(self, job_id: str, func: Any, trigger: Any, component: str, description: str) -> bool:
        self._registered_jobs[job_id] = SimpleNamespace(func=func, trigger=trigger, component=component)
        return True

    def unregister_job(self, job_id: str) -> bool:
        del self._registered_jobs[job_id]
        return True


def stand_in_for_apscheduler() -> None:
    """The one class of APScheduler that a trigger derives from."""
    module = types.ModuleType("apscheduler.triggers.base")
    module.BaseTrigger = type("BaseTrigger", (), {})  # type: ignore[attr-defined]
    for name in ("apscheduler", "apscheduler.triggers"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["apscheduler.triggers.base"] = module
