"""Tables about memory as a whole: its jobs, its named moments, and what was erased from it."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    Identity,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from mira_ltmemory.store.models.base import Base, Timestamp, to_user


class JobState(Base, table=True):
    """What is known of a job of one user: when it ran, how it ended, and who runs it now."""

    __tablename__ = "jobs"
    __table_args__ = (to_user(),)

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


class Snapshot(Base, table=True):
    """A named moment: ``moment`` is the last change set that belongs to it."""

    __tablename__ = "snapshots"
    __table_args__ = (to_user(), UniqueConstraint("user_id", "name"))

    user_id: UUID = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    name: str = Field(sa_type=Text)
    note: str | None = Field(default=None, sa_type=Text)
    moment: int = Field(sa_type=BigInteger, nullable=False)
    created_at: datetime = Field(sa_type=Timestamp, nullable=False)


class Tombstone(Base, table=True):
    """A row that was erased: its id, which is derived from its source's, so that no capture brings it back."""

    __tablename__ = "tombstones"
    __table_args__ = (to_user(),)

    user_id: UUID = Field(primary_key=True)
    kind: str = Field(primary_key=True, sa_type=Text)
    row_id: UUID = Field(primary_key=True)
    receipt_id: UUID
    erased_at: datetime = Field(sa_type=Timestamp, nullable=False)


class HeldBlockEdit(Base, table=True):
    """An edit of core memory that waits for a person, with what it takes to carry it out."""

    __tablename__ = "held_edits"
    __table_args__ = (to_user(),)

    user_id: UUID = Field(primary_key=True)
    id: int = Field(sa_column=Column(BigInteger, Identity(always=False), primary_key=True))
    operation: str = Field(sa_type=Text)
    label: str = Field(sa_type=Text)
    arguments: dict[str, Any] = Field(sa_type=JSONB, nullable=False)
    tool: str | None = Field(default=None, sa_type=Text)
    before: str = Field(sa_type=Text)
    after: str = Field(sa_type=Text)
    sources: list[str] = Field(sa_type=JSONB, nullable=False)
    held_at: datetime = Field(sa_type=Timestamp, nullable=False)
