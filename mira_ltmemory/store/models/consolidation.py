"""Tables that consolidation derives: when a memory was shown, and how far each step has come."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from sqlalchemy import BigInteger, Column, ForeignKeyConstraint, Index, SmallInteger, Text
from sqlalchemy.dialects.postgresql import BIT
from sqlmodel import Field

from mira_ltmemory.store.models.base import SCHEMA, Base, Timestamp, to_user


class Use(Base, table=True):
    """How often a row was shown to the model on one day of the user's calendar."""

    __tablename__ = "uses"
    __table_args__ = (to_user(),)

    user_id: UUID = Field(primary_key=True)
    kind: str = Field(primary_key=True, sa_type=Text)
    row_id: UUID = Field(primary_key=True)
    day: dt.date = Field(primary_key=True)
    count: int


class ConsolidationMark(Base, table=True):
    """How far a step has come: rows up to the change set ``through``, and in it up to ``row_id``, are done."""

    __tablename__ = "consolidation_marks"
    __table_args__ = (to_user(),)

    user_id: UUID = Field(primary_key=True)
    step: str = Field(primary_key=True, sa_type=Text)
    through: int = Field(sa_type=BigInteger, nullable=False)
    row_id: UUID
    at: dt.datetime = Field(sa_type=Timestamp, nullable=False)


class ColdText(Base, table=True):
    """A text that left the indexes of current memory: how it is found when cold storage is searched.

    ``code`` packs a float4 scale and a signed byte for each dimension of the vector under ``model_id``; none where
    it has no vector yet. ``bits`` are what it is searched by (`codes.bits`).
    """

    __tablename__ = "cold_texts"
    __table_args__ = (
        to_user(),
        ForeignKeyConstraint(["model_id"], [f"{SCHEMA}.embedding_models.id"]),
        Index(None, "user_id", "kind", "model_id", postgresql_include=["row_id", "bits"]),
    )

    user_id: UUID = Field(primary_key=True)
    kind: str = Field(primary_key=True, sa_type=Text)
    row_id: UUID = Field(primary_key=True)
    content_hash: UUID
    model_id: int | None = Field(default=None, sa_type=SmallInteger)
    code: bytes | None = None
    bits: str | None = Field(default=None, sa_column=Column(BIT(varying=True)))
