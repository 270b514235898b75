"""A window of a conversation, and what a step of its processing is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID, uuid5

from mira_ltmemory.protocols import Kind, Origin, Role
from mira_ltmemory.store.batches import BatchRow
from mira_ltmemory.store.unit_of_work import SqlUnitOfWork

UNTRUSTED = frozenset({Origin.TOOL, Origin.WEB})


@dataclass(frozen=True, slots=True)
class WindowMessage:
    """A captured message. ``external_id`` is the host's id of it, ``position`` its place in the conversation.

    Where ``kind`` says so it is a passage, read like a message by those steps that can.
    """

    id: UUID
    conversation_id: UUID
    external_id: str
    position: int
    role: Role
    speaker: str | None
    origin: Origin
    content: str
    said_at: datetime
    kind: Kind = Kind.MESSAGE

    @property
    def trusted(self) -> bool:
        """Whether a person or the assistant said it; the text of a tool or a web page becomes no fact on its own."""
        return self.origin not in UNTRUSTED


@dataclass(frozen=True, slots=True)
class Window:
    """Messages of one conversation, oldest first, that are processed together; ``context`` stood just before them."""

    conversation_id: UUID
    messages: tuple[WindowMessage, ...]
    context: tuple[WindowMessage, ...] = ()

    @classmethod
    def of(cls, rows: Sequence[BatchRow], context: Sequence[BatchRow] = ()) -> Window:
        """The window of stored messages of one conversation, in order."""
        return cls(rows[0].conversation_id, tuple(map(_message, rows)), tuple(map(_message, context)))

    def message(self, message_id: UUID) -> WindowMessage | None:
        """One of its own messages by id; none of the context."""
        return next((message for message in self.messages if message.id == message_id), None)

    def row_id(self, user_id: UUID, step: str, index: int | str = 0) -> UUID:
        """The id of what a step makes from this window: the same whenever, and however often, it is processed."""
        named = ",".join(str(message.id) for message in self.messages)
        return uuid5(user_id, f"{step}:{index}:{named}")


class WindowStep(Protocol):
    """One thing that is made of each window, such as facts or entities.

    ``prepare`` reads and may call a model: no transaction is open; none says that there is nothing to store. ``store``
    writes what was prepared inside the window's one transaction, beside the mark that its messages are processed; it
    may find another memory than ``prepare`` saw and has to check what it builds on. What either raises leaves nothing
    of the window behind.
    """

    @property
    def name(self) -> str:
        """The step's name, in ids and reports."""
        ...

    def prepare(self, window: Window) -> Any:
        """Work out what is to be stored. Raises ``LtMemoryError``."""
        ...

    def store(self, unit: SqlUnitOfWork, window: Window, prepared: Any) -> Mapping[str, int]:
        """Store it and return counts by name, for the run's report."""
        ...


def _message(row: BatchRow) -> WindowMessage:
    return WindowMessage(
        id=row.id,
        conversation_id=row.conversation_id,
        external_id=row.external_id,
        position=row.position,
        role=Role(row.role),
        speaker=row.speaker,
        origin=Origin(row.origin),
        content=row.content,
        said_at=row.said_at,
    )


def sources_of(window: Window, ids: Sequence[UUID]) -> list[WindowMessage]:
    """The window's messages with these ids, in its order."""
    wanted = set(ids)
    return [message for message in window.messages if message.id in wanted]
