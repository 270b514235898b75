"""The journaled tables: core, recall and archival memory, and where rows came from."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    REAL,
    BigInteger,
    CheckConstraint,
    Index,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field

from mira_ltmemory.store.models.base import Journaled, Superseded, Timestamp, to_row
from mira_ltmemory.store.models.graph import GRAPH_JOURNALED


class BlockColumns(Journaled):
    """A core memory block: always in the prompt, edited by the model. ``char_limit`` is in characters."""

    label: str = Field(sa_type=Text)
    description: str = Field(sa_type=Text)
    content: str = Field(sa_type=Text)
    char_limit: int
    read_only: bool
    position: int


class Block(BlockColumns, table=True):
    """The present blocks."""

    __tablename__ = "blocks"
    __table_args__ = (
        to_row("change_sets", "change_set_id"),
        UniqueConstraint("user_id", "label"),
        CheckConstraint("char_length(content) <= char_limit", name="content_fits"),
    )


class BlockVersion(Superseded, BlockColumns, table=True):
    """Earlier versions of blocks."""

    __tablename__ = "blocks_versions"


class ConversationColumns(Journaled):
    """A conversation of the host; ``external_id`` is the host's id of it."""

    external_id: str = Field(sa_type=Text)
    title: str | None = Field(default=None, sa_type=Text)


class Conversation(ConversationColumns, table=True):
    """The conversations."""

    __tablename__ = "conversations"
    __table_args__ = (to_row("change_sets", "change_set_id"), UniqueConstraint("user_id", "external_id"))


class ConversationVersion(Superseded, ConversationColumns, table=True):
    """Earlier versions of conversations."""

    __tablename__ = "conversations_versions"


class MessageColumns(Journaled):
    """Recall memory: one message. ``position`` orders a conversation; ``content_hash`` as `content_hash` makes it."""

    conversation_id: UUID
    external_id: str = Field(sa_type=Text)
    position: int = Field(sa_type=BigInteger)
    role: str = Field(sa_type=Text)
    speaker: str | None = Field(default=None, sa_type=Text)
    content: str = Field(sa_type=Text)
    content_hash: UUID
    said_at: datetime = Field(sa_type=Timestamp, nullable=False)


class Message(MessageColumns, table=True):
    """The messages."""

    __tablename__ = "messages"
    __table_args__ = (
        to_row("change_sets", "change_set_id"),
        to_row("conversations", "conversation_id"),
        UniqueConstraint("user_id", "conversation_id", "external_id"),
        Index(None, "user_id", "conversation_id", "position"),
        Index(None, "user_id", "said_at"),
        Index(None, "user_id", "change_set_id"),
        Index("ix_messages_user_id_role_origin", "user_id", "role", "origin"),
    )


class MessageVersion(Superseded, MessageColumns, table=True):
    """Earlier versions of messages."""

    __tablename__ = "messages_versions"


class PassageColumns(Journaled):
    """Archival memory: one passage. ``tier`` is ``hot`` or ``cold``; ``said_at`` is when it was stored or said.

    ``category`` is a `Category`. ``valid_until`` in the past says that it is ended: superseded, or over. ``confidence``
    (0 to 1) is how sure its maker was, where it said so.
    """

    content: str = Field(sa_type=Text)
    content_hash: UUID
    tags: list[str] = Field(default_factory=list, sa_type=ARRAY(Text), nullable=False)
    tier: str = Field(default="hot", sa_type=Text)
    said_at: datetime = Field(sa_type=Timestamp, nullable=False)
    category: str = Field(default="note", sa_type=Text, sa_column_kwargs={"server_default": text("'note'")})
    confidence: float | None = Field(default=None, sa_type=REAL)


class Passage(PassageColumns, table=True):
    """The passages."""

    __tablename__ = "passages"
    __table_args__ = (
        to_row("change_sets", "change_set_id"),
        Index("ix_passages_insight", "user_id", "said_at", postgresql_where=text("category = 'insight'")),
        Index("ix_passages_ended", "user_id", "valid_until", postgresql_where=text("valid_until IS NOT NULL")),
        Index(None, "user_id", "said_at"),
        Index(None, "user_id", "content_hash"),
        Index(None, "user_id", "change_set_id"),
        Index("ix_passages_user_id_category_tier_origin", "user_id", "category", "tier", "origin"),
    )


class PassageVersion(Superseded, PassageColumns, table=True):
    """Earlier versions of passages."""

    __tablename__ = "passages_versions"


class SourceColumns(Journaled):
    """Provenance: the row (``kind``, ``row_id``) came from the row (``source_kind``, ``source_id``)."""

    kind: str = Field(sa_type=Text)
    row_id: UUID
    source_kind: str = Field(sa_type=Text)
    source_id: UUID


class Source(SourceColumns, table=True):
    """The provenance links."""

    __tablename__ = "sources"
    __table_args__ = (
        to_row("change_sets", "change_set_id"),
        UniqueConstraint("user_id", "kind", "row_id", "source_kind", "source_id"),
        Index(None, "user_id", "source_kind", "source_id"),
    )


class SourceVersion(Superseded, SourceColumns, table=True):
    """Earlier versions of provenance links."""

    __tablename__ = "sources_versions"


JOURNALED: dict[type[Journaled], type[Superseded]] = {
    Block: BlockVersion,
    Conversation: ConversationVersion,
    Message: MessageVersion,
    Passage: PassageVersion,
    **GRAPH_JOURNALED,
    Source: SourceVersion,
}
"""Each journaled table and the twin that keeps its earlier versions."""
