"""What memory is made of and what a search says: value types that every room shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, TypeAlias
from uuid import UUID

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
    ALIAS = "alias"
    MENTION = "mention"
    RELATION = "relation"
    MERGE = "merge"


class Category(StrEnum):
    """What an archival passage is: kept on purpose, or made by the memory's own work from what was said."""

    NOTE = "note"
    FACT = "fact"
    WINDOW = "window"
    SUMMARY = "summary"
    INSIGHT = "insight"


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

    ``start`` is inclusive and ``end`` exclusive, both aware datetimes. Empty tuples do not filter. Passages that are
    ended at ``valid_at`` (none: when the search is made) are left out unless ``include_ended``.
    """

    tags: tuple[str, ...] = ()
    tag_match_mode: Literal["any", "all"] = "any"
    roles: tuple[Role, ...] = ()
    origins: tuple[Origin, ...] = ()
    start: datetime | None = None
    end: datetime | None = None
    conversation_id: UUID | None = None
    tiers: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    include_ended: bool = False
    valid_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Conflicting:
    """A current passage that contradicts another."""

    id: UUID
    content: str
    said_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One row that a search found. ``score`` orders hits of one search and means nothing across searches.

    ``probability`` is the calibrated chance that the hit is relevant, where the store is calibrated.
    ``features`` explains the score by name. A passage has its ``category``, and from and until when it holds where
    that is known.
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
    category: str | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    confidence: float | None = None
    tier: str = "hot"
    conflicts: tuple[Conflicting, ...] = ()
    features: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """The hits of one search, best first, and what the reader has to know about it.

    ``total`` counts the rows that the filter left to be searched. ``notes`` tells in sentences what
    limited the search (words only, nothing likely to be relevant, ...). ``likely`` is false where no hit is likely to
    be what was asked for; ``calibrated`` says whether that was measured in this store, or goes by what is usual.
    """

    hits: tuple[Hit, ...]
    total: int
    notes: tuple[str, ...] = ()
    likely: bool = True
    calibrated: bool = False


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
