"""The words that every room shares: value types, and the small protocols that tie rooms together.

Services receive an ``Embedder``, an ``LLM`` and a ``Clock`` as constructor arguments; tests give
small real classes. Nothing here imports another room.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, runtime_checkable
from uuid import UUID

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors: TypeAlias = NDArray[np.float32]

Json: TypeAlias = dict[str, Any]


class Origin(StrEnum):
    """Where a text came from. ``RECALLED`` text is memory shown again: it is never captured."""

    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"
    WEB = "web"
    RECALLED = "recalled"
    IMPORT = "import"


class Actor(StrEnum):
    """Who made a change."""

    MODEL = "model"
    USER = "user"
    AUTOMATION = "automation"
    SYSTEM = "system"


class Role(StrEnum):
    """The side of a conversation that said a message."""

    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"
    SYSTEM = "system"


class Kind(StrEnum):
    """What a row is, where rows of several tables are named together."""

    BLOCK = "block"
    MESSAGE = "message"
    PASSAGE = "passage"
    ENTITY = "entity"
    RELATION = "relation"


@dataclass(frozen=True, slots=True)
class Change:
    """Who changes memory, with which tool, why, and as part of which run (the parent change set)."""

    actor: Actor
    tool: str | None = None
    reason: str | None = None
    parent: int | None = None
    undoes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which rows a search may return; applied inside the search, never after it.

    ``start`` is inclusive and ``end`` exclusive, both aware datetimes. Empty tuples do not filter.
    """

    tags: tuple[str, ...] = ()
    tag_match_mode: Literal["any", "all"] = "any"
    roles: tuple[Role, ...] = ()
    origins: tuple[Origin, ...] = ()
    start: datetime | None = None
    end: datetime | None = None
    conversation_id: UUID | None = None
    tiers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One row that a search found. ``score`` orders hits of one search and means nothing across searches.

    ``probability`` is the calibrated chance that the hit is relevant, where the store is calibrated.
    ``features`` explains the score by name.
    """

    kind: Kind
    id: UUID
    content: str
    score: float
    said_at: datetime
    origin: Origin
    role: Role | None = None
    speaker: str | None = None
    conversation_id: str | None = None
    external_id: str | None = None
    tags: tuple[str, ...] = ()
    probability: float | None = None
    features: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """The hits of one search, best first, and what the reader has to know about it.

    ``total`` counts the rows that the filter left to be searched. ``notes`` tells in sentences what
    limited the search (words only, nothing likely to be relevant, ...).
    """

    hits: tuple[Hit, ...]
    total: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingMessage:
    """A message as a host or an import file gives it.

    ``external_id`` is unique inside its conversation; the pair identifies the message for ever.
    ``position`` orders the messages of one conversation.
    """

    conversation_id: str
    external_id: str
    role: Role
    content: str
    said_at: datetime
    origin: Origin
    position: int | None = None
    speaker: str | None = None
    metadata: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EmbeddingModel:
    """Identity of an embedding model: vectors of different identities are never compared.

    ``sha256`` is the hex digest of the model file; ``max_tokens`` is where a text is cut.
    """

    name: str
    dimension: int
    sha256: str
    max_tokens: int


class Embedder(Protocol):
    """Turns texts into unit vectors."""

    @property
    def model(self) -> EmbeddingModel:
        """Identity of the model that makes the vectors."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return float32 of shape ``(len(texts), dimension)``, rows of length 1. Raises ``EmbeddingError``."""
        ...


class Clock(Protocol):
    """Tells the time. Everything that asks for the time asks a clock, so that tests can move it."""

    def now(self) -> datetime:
        """Return the present moment, aware, in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the present moment, aware, in UTC."""
        return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A language model's request to run a tool."""

    id: str
    name: str
    arguments: Json


@dataclass(frozen=True, slots=True)
class LLMReply:
    """What a language model answered, with the tokens that it read and wrote."""

    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    input_tokens: int = 0
    output_tokens: int = 0
    stop_reason: str | None = None


class LLM(Protocol):
    """A language model that answers a conversation."""

    @property
    def name(self) -> str:
        """The model's name, for reports."""
        ...

    def complete(
        self,
        messages: Sequence[Json],
        *,
        system: str | None = None,
        tools: Sequence[Json] = (),
        max_tokens: int = 1024,
        temperature: float = 0.0,
    ) -> LLMReply:
        """Answer once. ``messages`` hold ``role`` and ``content``; ``tools`` hold ``name``, ``description``
        and ``input_schema``. Raises ``LLMError``.
        """
        ...


Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with a label, the units done and the units in all (0 where unknown)."""


def no_progress(label: str, done: int, total: int) -> None:
    """A progress callback that shows nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRun:
    """What a job is told when it runs: ``change`` is the parent under which its edits belong."""

    name: str
    scheduled_for: datetime
    change: Change
    progress: Progress = no_progress


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReport:
    """What a job did: one sentence, and numbers by name. JSON-able."""

    summary: str
    counts: Mapping[str, int] = field(default_factory=dict)


JobFunction: TypeAlias = Callable[[JobRun], JobReport]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job of the automation engine: ``cron`` has five fields and is read in ``timezone`` (IANA name)."""

    name: str
    cron: str
    timezone: str
    description: str
    run: JobFunction


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
