"""What the package offers to a host (tools, parts of the prompt) and what it asks of one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, runtime_checkable
from uuid import UUID

from mira_ltmemory.protocols.memory import Change, IncomingMessage, Json
from mira_ltmemory.protocols.models import LLM


class Tool(Protocol):
    """A tool that the language model may call."""

    @property
    def name(self) -> str:
        """The name by which the model calls it."""
        ...

    @property
    def description(self) -> str:
        """What the model is told about it."""
        ...

    @property
    def schema(self) -> Json:
        """The JSON Schema of the arguments: an object with ``properties`` and ``required``."""
        ...

    def run(self, **arguments: Any) -> Json:
        """Do the work. Returns ``{"success": bool, ...}`` and never raises for an ordinary mistake."""
        ...


class Provider(Protocol):
    """A part of the system prompt."""

    @property
    def name(self) -> str:
        """The name of its switch."""
        ...

    def render(self) -> str:
        """Return the text as it is to stand in the prompt; empty where there is nothing to say."""
        ...


@runtime_checkable
class UnitOfWork(Protocol):
    """One transaction of one user. Leaving it without an error commits; an error rolls all of it back."""

    @property
    def user_id(self) -> UUID:
        """Whose rows it sees."""
        ...

    @property
    def change_set_id(self) -> int:
        """The change set of this transaction. Raises ``RuntimeError`` in a reading transaction."""
        ...


class Transactions(Protocol):
    """Opens units of work for one user."""

    def read(self) -> AbstractContextManager[UnitOfWork]:
        """A transaction that changes no memory."""
        ...

    def write(self, change: Change) -> AbstractContextManager[UnitOfWork]:
        """A transaction that is one change set."""
        ...


class Host(Protocol):
    """What a plugin may ask of the application that loaded it. Handed to every hook.

    ``services`` is where plugins leave objects for each other, by plugin name.
    """

    @property
    def name(self) -> str:
        """What the application is called."""
        ...

    @property
    def config(self) -> Any:
        """The application's own config object."""
        ...

    @property
    def timezone(self) -> str:
        """IANA name of the user's time zone."""
        ...

    @property
    def services(self) -> dict[str, Any]:
        """Objects that plugins leave for each other, by plugin name."""
        ...

    @property
    def llm(self) -> LLM | None:
        """The application's language model, where it has one."""
        ...

    def messages(self) -> Sequence[IncomingMessage]:
        """The messages of the live conversation that the host still holds, oldest first."""
        ...

    def refresh(self) -> None:
        """Render every provider again now: a tool changed memory in the middle of a turn."""
        ...
