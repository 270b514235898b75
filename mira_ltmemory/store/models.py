"""The tables, as SQLModel classes in a schema and a `MetaData` of our own.

Every table that holds a user's data has a primary key that begins with ``user_id`` and forced
row-level security. Journaled tables (`Journaled`) carry the change set that made each row; when a row
is changed or removed, a trigger keeps the old version in the table's ``_versions`` twin.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKeyConstraint,
    Index,
    MetaData,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

SCHEMA = "ltmemory"

metadata = MetaData(
    schema=SCHEMA,
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    },
)

EXEMPT_TABLES = frozenset({"users", "embedding_models", "alembic_version"})
"""Tables without row-level security: they hold no user's data. Workers list users from ``users``."""

Timestamp = DateTime(timezone=True)


def content_hash(content: str) -> UUID:
    """The first 128 bits of the content's SHA-256, as a UUID: small, and its equality is leakproof."""
    return UUID(bytes=hashlib.sha256(content.encode("utf-8")).digest()[:16])


NOW = text("now()")


class Base(SQLModel):
    """Root of the tables."""

    metadata: ClassVar[MetaData] = metadata


def _to(table: str, *columns: str) -> ForeignKeyConstraint:
    """Foreign key to another row of the same user."""
    remote = ["user_id", "id"]
    return ForeignKeyConstraint(["user_id", *columns], [f"{SCHEMA}.{table}.{name}" for name in remote])


def _to_user() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["user_id"], [f"{SCHEMA}.users.id"])


class User(Base, table=True):
    """A user who has a memory. Exempt from row-level security: ids only."""

    __tablename__ = "users"

    id: UUID = Field(primary_key=True)
    created_at: datetime = Field(sa_type=Timestamp, nullable=False, sa_column_kwargs={"server_default": NOW})


class UserState(Base, table=True):
    """Counters of one user. Its row lock orders the user's change sets."""

    __tablename__ = "user_states"
    __table_args__ = (_to_user(),)

    user_id: UUID = Field(primary_key=True)
    last_change_set_id: int = Field(sa_type=BigInteger, nullable=False, sa_column_kwargs={"server_default": text("0")})


class ChangeSet(Base, table=True):
    """The journal: who changed memory, with which tool, why and when. One per transaction."""

    __tablename__ = "change_sets"
    __table_args__ = (
        _to_user(),
        _to("change_sets", "parent_id"),
        _to("change_sets", "undoes"),
        Index(None, "user_id", "parent_id"),
        Index(None, "user_id", "undoes"),
        Index(None, "user_id", "created_at"),
    )

    user_id: UUID = Field(primary_key=True)
    id: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    parent_id: int | None = Field(default=None, sa_type=BigInteger)
    undoes: int | None = Field(default=None, sa_type=BigInteger)
    actor: str = Field(sa_type=Text)
    tool: str | None = Field(default=None, sa_type=Text)
    reason: str | None = Field(default=None, sa_type=Text)
    created_at: datetime = Field(sa_type=Timestamp, nullable=False)
    meta: dict[str, Any] = Field(
        default_factory=dict, sa_type=JSONB, nullable=False, sa_column_kwargs={"name": "metadata"}
    )


class Journaled(Base):
    """Columns of every journaled row.

    ``change_set_id`` made this version of the row and ``version`` counts its versions from 1.
    ``valid_from`` and ``valid_to`` bound when the row's content holds in the world, where that is known.
    """

    user_id: UUID = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    version: int = Field(default=1, nullable=False)
    change_set_id: int = Field(sa_type=BigInteger, nullable=False)
    origin: str = Field(sa_type=Text)
    valid_from: datetime | None = Field(default=None, sa_type=Timestamp)
    valid_to: datetime | None = Field(default=None, sa_type=Timestamp)
    meta: dict[str, Any] = Field(
        default_factory=dict, sa_type=JSONB, nullable=False, sa_column_kwargs={"name": "metadata"}
    )


class Superseded(Base):
    """What a version row has besides the columns of its table: the change set that ended it."""

    ended_by: int = Field(primary_key=True, sa_type=BigInteger)


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
        _to("change_sets", "change_set_id"),
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
    __table_args__ = (_to("change_sets", "change_set_id"), UniqueConstraint("user_id", "external_id"))


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
        _to("change_sets", "change_set_id"),
        _to("conversations", "conversation_id"),
        UniqueConstraint("user_id", "conversation_id", "external_id"),
        Index(None, "user_id", "conversation_id", "position"),
        Index(None, "user_id", "said_at"),
        Index(None, "user_id", "change_set_id"),
    )


class MessageVersion(Superseded, MessageColumns, table=True):
    """Earlier versions of messages."""

    __tablename__ = "messages_versions"


class PassageColumns(Journaled):
    """Archival memory: one passage. ``tier`` is ``hot`` or ``cold``; ``said_at`` is when it was stored or said."""

    content: str = Field(sa_type=Text)
    content_hash: UUID
    tags: list[str] = Field(default_factory=list, sa_type=ARRAY(Text), nullable=False)
    tier: str = Field(default="hot", sa_type=Text)
    said_at: datetime = Field(sa_type=Timestamp, nullable=False)


class Passage(PassageColumns, table=True):
    """The passages."""

    __tablename__ = "passages"
    __table_args__ = (
        _to("change_sets", "change_set_id"),
        Index(None, "user_id", "said_at"),
        Index(None, "user_id", "content_hash"),
        Index(None, "user_id", "change_set_id"),
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
        _to("change_sets", "change_set_id"),
        UniqueConstraint("user_id", "kind", "row_id", "source_kind", "source_id"),
        Index(None, "user_id", "source_kind", "source_id"),
    )


class SourceVersion(Superseded, SourceColumns, table=True):
    """Earlier versions of provenance links."""

    __tablename__ = "sources_versions"


class EmbeddingModelRow(Base, table=True):
    """An embedding model that made vectors here. Exempt from row-level security: no user's data."""

    __tablename__ = "embedding_models"
    __table_args__ = (UniqueConstraint("name", "sha256", "dimension"),)

    id: int = Field(primary_key=True, sa_type=SmallInteger, sa_column_kwargs={"autoincrement": False})
    name: str = Field(sa_type=Text)
    sha256: str = Field(sa_type=Text)
    dimension: int
    max_tokens: int
    active: bool
    created_at: datetime = Field(sa_type=Timestamp, nullable=False, sa_column_kwargs={"server_default": NOW})


class Vector(Base, table=True):
    """The vector of one text under one model. Rows are never updated: each update would add a graph node.

    ``content_hash`` is that of the embedded text, so that a changed row has a vector of its own and the
    superseded version keeps its old one.
    """

    __tablename__ = "vectors"
    __table_args__ = (
        _to_user(),
        ForeignKeyConstraint(["model_id"], [f"{SCHEMA}.embedding_models.id"]),
    )

    user_id: UUID = Field(primary_key=True)
    kind: str = Field(primary_key=True, sa_type=Text)
    row_id: UUID = Field(primary_key=True)
    model_id: int = Field(primary_key=True, sa_type=SmallInteger)
    content_hash: UUID = Field(primary_key=True)
    embedding: Any = Field(sa_type=HALFVEC, nullable=False)


class PendingEmbedding(Base, table=True):
    """A text that waits for its vector: enqueued with the row, removed with the vector's insert."""

    __tablename__ = "pending_embeddings"
    __table_args__ = (_to_user(), Index(None, "user_id", "kind", "enqueued_by"))

    user_id: UUID = Field(primary_key=True)
    kind: str = Field(primary_key=True, sa_type=Text)
    row_id: UUID = Field(primary_key=True)
    enqueued_by: int = Field(sa_type=BigInteger, nullable=False)


class WordTotal(Base, table=True):
    """What is known of all documents of one kind of one user: how many, their words, and the next number.

    Documents up to number ``packed`` are in `WordTerm` and `WordBlock`; later ones are read from `WordDocument`.
    Its row lock orders the writers of the words of one user.
    """

    __tablename__ = "word_totals"
    __table_args__ = (_to_user(),)

    user_id: UUID = Field(primary_key=True)
    kind: int = Field(primary_key=True, sa_type=SmallInteger)
    documents: int = Field(sa_type=BigInteger, nullable=False)
    length: int = Field(sa_type=BigInteger, nullable=False)
    next_document: int
    packed: int


class WordDocument(Base, table=True):
    """A row that can be found by its words. Numbers count up and are never used again.

    ``terms`` packs (term int8, count uint2), sorted by term; ``length`` counts the words.
    """

    __tablename__ = "word_documents"
    __table_args__ = (_to_user(), UniqueConstraint("user_id", "kind", "row_id"))

    user_id: UUID = Field(primary_key=True)
    kind: int = Field(primary_key=True, sa_type=SmallInteger)
    document: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    length: int
    row_id: UUID
    terms: bytes


class WordTerm(Base, table=True):
    """A term: the packed documents that hold it, counted, and the postings that fill no block yet.

    A posting packs (document int4, count uint2, length uint2); postings are in the order of the documents.
    """

    __tablename__ = "word_terms"
    __table_args__ = (_to_user(),)

    user_id: UUID = Field(primary_key=True)
    term: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    kind: int = Field(primary_key=True, sa_type=SmallInteger)
    documents: int
    postings: bytes


class WordBlock(Base, table=True):
    """A full block of a term's postings; ``first_document`` is where it begins."""

    __tablename__ = "word_blocks"
    __table_args__ = (_to_user(),)

    user_id: UUID = Field(primary_key=True)
    term: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    kind: int = Field(primary_key=True, sa_type=SmallInteger)
    first_document: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    postings: bytes


class JobState(Base, table=True):
    """What is known of a job of one user: when it ran, how it ended, and who runs it now."""

    __tablename__ = "jobs"
    __table_args__ = (_to_user(),)

    user_id: UUID = Field(primary_key=True)
    name: str = Field(primary_key=True, sa_type=Text)
    cron: str = Field(sa_type=Text)
    timezone: str = Field(sa_type=Text)
    next_run_at: datetime | None = Field(default=None, sa_type=Timestamp)
    last_started_at: datetime | None = Field(default=None, sa_type=Timestamp)
    last_finished_at: datetime | None = Field(default=None, sa_type=Timestamp)
    last_success_at: datetime | None = Field(default=None, sa_type=Timestamp)
    consecutive_failures: int = Field(default=0, nullable=False)
    last_error: str | None = Field(default=None, sa_type=Text)
    last_report: dict[str, Any] | None = Field(default=None, sa_type=JSONB)
    lease_owner: str | None = Field(default=None, sa_type=Text)
    lease_until: datetime | None = Field(default=None, sa_type=Timestamp)


JOURNALED: dict[type[Journaled], type[Superseded]] = {
    Block: BlockVersion,
    Conversation: ConversationVersion,
    Message: MessageVersion,
    Passage: PassageVersion,
    Source: SourceVersion,
}
"""Each journaled table and the twin that keeps its earlier versions."""
