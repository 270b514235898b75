"""What services ask of an embedding model, a language model and a clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol, TypeAlias

from mira_ltmemory.protocols.memory import EmbeddingModel, Json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors: TypeAlias = NDArray[np.float32]


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
