"""Lets the graph's step work on messages of a test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.protocols import LLM, Actor, Change, IncomingMessage, Origin, Role
from mira_ltmemory.services.batch.window import Window, WindowMessage
from mira_ltmemory.services.graph.step import GraphStep
from mira_ltmemory.services.graph.views import EntityView

BY_USER = Change(Actor.USER, "test")
BY_JOB = Change(Actor.AUTOMATION, "process_conversations")


def say(memory: MemoryManager, *texts: str, talk: str = "talk", **more: Any) -> list[WindowMessage]:
    """Capture messages of one conversation, and return them as a window has them."""
    said = []
    for text in texts:
        memory.clock.advance(minutes=1)  # type: ignore[attr-defined]
        values: dict[str, Any] = {
            "conversation_id": talk, "external_id": f"{memory.clock.now().timestamp()}", "role": Role.USER,
            "content": text, "said_at": memory.clock.now(), "origin": Origin.USER, **more,
        }  # fmt: skip
        message = IncomingMessage(**values)
        memory.capture([message])
        with memory.store.read() as unit:
            key = unit.messages.conversation_key(talk)
            stored = unit.messages.get(unit.messages.message_key(key, message.external_id))
        assert stored is not None
        said.append(
            WindowMessage(
                stored.id,
                key,
                stored.external_id,
                stored.position,
                Role(stored.role),
                stored.speaker,
                Origin(stored.origin),
                stored.content,
                stored.said_at,
            )
        )
    return said


def process(
    memory: MemoryManager, said: Sequence[WindowMessage], context: Sequence[WindowMessage] = (), llm: LLM | None = None
) -> tuple[int, dict[str, int]]:
    """Let the graph's step work on one window; return the change set and what it counted."""
    step = GraphStep(memory.store, memory.embeddings, memory.settings.zone, llm)
    window = Window(said[0].conversation_id, tuple(said), tuple(context))
    prepared = step.prepare(window)
    with memory.store.write(BY_JOB) as unit:
        counts = step.store(unit, window, prepared)
        return unit.change_set_id, dict(counts)


def talk(memory: MemoryManager, *texts: str, talk: str = "talk") -> int:
    return process(memory, say(memory, *texts, talk=talk))[0]


def view(memory: MemoryManager, name: str) -> EntityView:
    found = memory.graph.lookup(name).entity
    assert found is not None, memory.graph.lookup(name)
    return found
