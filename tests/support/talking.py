"""Conversations for tests of what is made from them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.protocols import IncomingMessage, Origin, Role
from mira_ltmemory.services.batch.window import Window, WindowMessage
from mira_ltmemory.store.batches import BatchRow

START = datetime(2025, 5, 5, 9, 30, tzinfo=UTC)
TALK = uuid.uuid5(uuid.NAMESPACE_URL, "talk")
ORIGINS = {Role.USER: Origin.USER, Role.ASSISTANT: Origin.ASSISTANT, Role.TOOL: Origin.TOOL}


def said(
    memory: MemoryManager,
    *texts: str | tuple[Role, str],
    conversation: str = "talk",
    apart: timedelta = timedelta(minutes=1),
    **more: Any,
) -> list[IncomingMessage]:
    """Capture messages one after the other and move the clock; a bare text is the user's."""
    messages: list[IncomingMessage] = []
    for text in texts:
        role, content = (Role.USER, text) if isinstance(text, str) else text
        at = memory.clock.advance(seconds=apart.total_seconds())  # type: ignore[attr-defined]
        values: dict[str, Any] = {
            "conversation_id": conversation,
            "external_id": f"{at.isoformat()}",
            "role": role,
            "content": content,
            "said_at": at,
            "origin": ORIGINS[role],
            **more,
        }
        messages.append(IncomingMessage(**values))
    memory.capture(messages)
    return messages


def rows(memory: MemoryManager, columns: str = "content", where: str = "true") -> list[Any]:
    """Columns of every present passage, oldest first."""
    with memory.store.read() as unit:
        found = unit.passages.execute(
            f"SELECT {columns} FROM ltmemory.passages WHERE user_id = :user_id AND {where} ORDER BY said_at, id"
        ).all()
    return [row[0] if len(row) == 1 else tuple(row) for row in found]


def marks(memory: MemoryManager) -> Sequence[tuple[str, int, str | None]]:
    """State, attempts and last error of every message's mark, in the order of time."""
    with memory.store.read() as unit:
        found = unit.batches.execute(
            "SELECT state, attempts, last_error FROM ltmemory.batch_messages WHERE user_id = :user_id ORDER BY position"
        ).all()
    return [tuple(row) for row in found]


def row(number: int, content: str = "x", minutes: float = 0, limit: int | None = None) -> BatchRow:
    """A stored message that waits, as the store reads it."""
    at = START + timedelta(minutes=minutes)
    id = uuid.uuid5(TALK, str(number))
    return BatchRow(id, TALK, str(number), number, "user", None, "user", content, at, 0, limit)


def message(content: str, number: int = 1, role: Role = Role.USER, minutes: float = 0) -> WindowMessage:
    """A message of a window."""
    found = Window.of([row(number, content, minutes)]).messages[0]
    return WindowMessage(**{**{name: getattr(found, name) for name in found.__slots__}, "role": role})
