"""Tables of the work on conversations: what was processed, what waits, and who works on it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Index, Text, text
from sqlmodel import Field

from mira_ltmemory.store.models.base import Base, Timestamp, to_user

_OPEN = text("state <> 'done'")


class BatchState(Base, table=True):
    """Messages of change sets up to ``through`` have their row in `BatchMessage`."""

    __tablename__ = "batch_states"
    __table_args__ = (to_user(),)

    user_id: UUID = Field(primary_key=True)
    through: int = Field(sa_type=BigInteger, nullable=False)


class BatchConversation(Base, table=True):
    """A conversation that has messages to process: one worker at a time holds its lease."""

    __tablename__ = "batch_conversations"
    __table_args__ = (to_user(),)

    user_id: UUID = Field(primary_key=True)
    conversation_id: UUID = Field(primary_key=True)
    lease_owner: str | None = Field(default=None, sa_type=Text)
    lease_until: datetime | None = Field(default=None, sa_type=Timestamp)


class BatchMessage(Base, table=True):
    """The mark of a message: ``state`` is ``waiting``, ``done`` or ``aside``.

    ``change_set_id`` is what stored something made from it; ``attempts`` counts failures; ``window_limit`` is how many
    messages its next window may hold.
    """

    __tablename__ = "batch_messages"
    __table_args__ = (
        to_user(),
        Index("ix_batch_messages_open", "user_id", "position", postgresql_where=_OPEN),
        Index("ix_batch_messages_conversation", "user_id", "conversation_id", "position", postgresql_where=_OPEN),
    )

    user_id: UUID = Field(primary_key=True)
    message_id: UUID = Field(primary_key=True)
    conversation_id: UUID
    position: int = Field(sa_type=BigInteger, nullable=False)
    state: str = Field(sa_type=Text)
    attempts: int
    window_limit: int | None = None
    retry_at: datetime | None = Field(default=None, sa_type=Timestamp)
    last_error: str | None = Field(default=None, sa_type=Text)
    change_set_id: int | None = Field(default=None, sa_type=BigInteger)
