"""The ground of every table: our own metadata, users, the journal, and the columns of a journaled row."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    DateTime,
    ForeignKeyConstraint,
    Index,
    MetaData,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
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


def to_row(table: str, *columns: str) -> ForeignKeyConstraint:
    """Foreign key to another row of the same user."""
    remote = ["user_id", "id"]
    return ForeignKeyConstraint(["user_id", *columns], [f"{SCHEMA}.{table}.{name}" for name in remote])


def to_user() -> ForeignKeyConstraint:
    """Foreign key to the user."""
    return ForeignKeyConstraint(["user_id"], [f"{SCHEMA}.users.id"])


class User(Base, table=True):
    """A user who has a memory. Exempt from row-level security: ids only."""

    __tablename__ = "users"

    id: UUID = Field(primary_key=True)
    created_at: datetime = Field(sa_type=Timestamp, nullable=False, sa_column_kwargs={"server_default": NOW})


class UserState(Base, table=True):
    """Counters of one user. Its row lock orders the user's change sets.

    ``kept_from`` is the first change set at whose end memory is still known in full; vacuum moves it.
    """

    __tablename__ = "user_states"
    __table_args__ = (to_user(),)

    user_id: UUID = Field(primary_key=True)
    last_change_set_id: int = Field(sa_type=BigInteger, nullable=False, sa_column_kwargs={"server_default": text("0")})
    kept_from: int = Field(
        default=0, sa_type=BigInteger, nullable=False, sa_column_kwargs={"server_default": text("0")}
    )


class ChangeSet(Base, table=True):
    """The journal: who changed memory, with which tool, why and when. One per transaction."""

    __tablename__ = "change_sets"
    __table_args__ = (
        to_user(),
        to_row("change_sets", "parent_id"),
        to_row("change_sets", "undoes"),
        Index(None, "user_id", "parent_id"),
        Index(None, "user_id", "undoes"),
        Index(None, "user_id", "created_at"),
        Index("ix_change_sets_review", "user_id", "id", postgresql_where=text("metadata ? 'review'")),
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
    ``valid_from`` and ``valid_until`` bound when the row's content holds in the world, where that is known.
    """

    user_id: UUID = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    version: int = Field(default=1, nullable=False)
    change_set_id: int = Field(sa_type=BigInteger, nullable=False)
    origin: str = Field(sa_type=Text)
    valid_from: datetime | None = Field(default=None, sa_type=Timestamp)
    valid_until: datetime | None = Field(default=None, sa_type=Timestamp)
    meta: dict[str, Any] = Field(
        default_factory=dict, sa_type=JSONB, nullable=False, sa_column_kwargs={"name": "metadata"}
    )


class Superseded(Base):
    """What a version row has besides the columns of its table: the change set that ended it."""

    ended_by: int = Field(primary_key=True, sa_type=BigInteger)
