"""What services ask of an embedding model, a language model and a clock."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

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


@dataclass(frozen=True, slots=True, eq=False)
class TokenSpace:
    """The space of token vectors of one model: hidden states less ``mean`` ``(hidden,)``, along ``basis``.

    ``basis`` is float32 of shape ``(dimensions, hidden)``. Vectors of different spaces are never compared.
    """

    mean: NDArray[np.float32]
    basis: NDArray[np.float32]

    @property
    def dimensions(self) -> int:
        """Length of a token's vector."""
        return int(self.basis.shape[0])


@dataclass(frozen=True, slots=True, eq=False)
class TokenVectors:
    """The tokens of one text that tell something: the word that each is part of, and its vector.

    ``words`` are in lower case; ``vectors`` is int8 of shape ``(len(words), dimensions)``, where a length of 1 is 127.
    """

    words: tuple[str, ...]
    vectors: NDArray[np.int8]


@runtime_checkable
class TokenEmbedder(Embedder, Protocol):
    """An embedder that gives vectors of a text's words too, from the same pass over the text."""

    def token_space(self) -> TokenSpace:
        """Return the space that this model's token vectors should have. Raises ``EmbeddingError``."""
        ...

    def embed_tokens(
        self, texts: Sequence[str], space: TokenSpace, skip: Container[str] = ()
    ) -> tuple[Vectors, list[TokenVectors]]:
        """Return what ``embed`` does, and of each text the tokens whose word is not in ``skip``.

        Raises ``EmbeddingError``.
        """
        ...


class Reranker(Protocol):
    """Reads a query and a text together, and tells how relevant the text is."""

    def score(self, query: str, texts: Sequence[str], seconds: float) -> list[float] | None:
        """Return a number for each text, higher is better, or none where ``seconds`` did not suffice.

        Raises ``EmbeddingError``.
        """
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
