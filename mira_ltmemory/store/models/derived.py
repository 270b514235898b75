"""Tables that are derived from memory: embedding models, vectors, the queue for them, and the word index."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import (
    REAL,
    BigInteger,
    ForeignKeyConstraint,
    Index,
    SmallInteger,
    Text,
    UniqueConstraint,
)
from sqlmodel import Field

from mira_ltmemory.store.models.base import NOW, SCHEMA, Base, Timestamp, to_user


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
    token_space: bytes | None = None
    path: str | None = Field(default=None, sa_type=Text)
    tokenizer: str | None = Field(default=None, sa_type=Text)
    stamp: str | None = Field(default=None, sa_type=Text)


class UserModelRow(Base, table=True):
    """What an embedding model is to a user: in use, being filled, or retired."""

    __tablename__ = "user_models"
    __table_args__ = (to_user(), ForeignKeyConstraint(["model_id"], [f"{SCHEMA}.embedding_models.id"]))

    user_id: UUID = Field(primary_key=True)
    model_id: int = Field(primary_key=True, sa_type=SmallInteger)
    state: str = Field(sa_type=Text)
    changed_at: datetime = Field(sa_type=Timestamp, nullable=False)
    overlap: float | None = Field(default=None, sa_type=REAL)


class Vector(Base, table=True):
    """The vector of one text under one model. Rows are never updated: each update would add a graph node.

    ``content_hash`` is that of the embedded text, so that a changed row has a vector of its own and the
    superseded version keeps its old one.
    """

    __tablename__ = "vectors"
    __table_args__ = (
        to_user(),
        ForeignKeyConstraint(["model_id"], [f"{SCHEMA}.embedding_models.id"]),
    )

    user_id: UUID = Field(primary_key=True)
    kind: str = Field(primary_key=True, sa_type=Text)
    row_id: UUID = Field(primary_key=True)
    model_id: int = Field(primary_key=True, sa_type=SmallInteger)
    content_hash: UUID = Field(primary_key=True)
    embedding: Any = Field(sa_type=HALFVEC, nullable=False)


class TokenVector(Base, table=True):
    """The vectors of the words of one text under one model: int8, packed one after the other. Goes with its vector."""

    __tablename__ = "token_vectors"
    __table_args__ = (
        ForeignKeyConstraint(
            ["user_id", "kind", "row_id", "model_id", "content_hash"],
            [f"{SCHEMA}.vectors.{name}" for name in ("user_id", "kind", "row_id", "model_id", "content_hash")],
            ondelete="CASCADE",
        ),
    )

    user_id: UUID = Field(primary_key=True)
    kind: str = Field(primary_key=True, sa_type=Text)
    row_id: UUID = Field(primary_key=True)
    model_id: int = Field(primary_key=True, sa_type=SmallInteger)
    content_hash: UUID = Field(primary_key=True)
    tokens: bytes


class EmbeddingCache(Base, table=True):
    """A user's cache of embeddings: the secret that its keys are made with, and how often a text was known."""

    __tablename__ = "embedding_caches"
    __table_args__ = (to_user(),)

    user_id: UUID = Field(primary_key=True)
    secret: bytes
    hits: int = Field(sa_type=BigInteger, nullable=False)
    misses: int = Field(sa_type=BigInteger, nullable=False)
    since: datetime = Field(sa_type=Timestamp, nullable=False)


class CachedEmbedding(Base, table=True):
    """The vectors of a text, such as a query, by a keyed hash of it: float16; of its words int8, and their places."""

    __tablename__ = "cached_embeddings"
    __table_args__ = (to_user(), ForeignKeyConstraint(["model_id"], [f"{SCHEMA}.embedding_models.id"]))

    user_id: UUID = Field(primary_key=True)
    model_id: int = Field(primary_key=True, sa_type=SmallInteger)
    text_key: UUID = Field(primary_key=True)
    vector: bytes
    tokens: bytes | None = None
    places: bytes | None = None
    used_at: datetime = Field(sa_type=Timestamp, nullable=False)


class SearchCalibration(Base, table=True):
    """How strong a find by chance is, of searches that go by words alone, by vectors, or by those of words too."""

    __tablename__ = "search_calibrations"
    __table_args__ = (to_user(),)

    user_id: UUID = Field(primary_key=True)
    kind: str = Field(primary_key=True, sa_type=Text)
    way: str = Field(primary_key=True, sa_type=Text)
    mean: float = Field(sa_type=REAL)
    spread: float = Field(sa_type=REAL)
    questions: int
    documents: int = Field(sa_type=BigInteger, nullable=False)
    measured_at: datetime = Field(sa_type=Timestamp, nullable=False)


class PendingEmbedding(Base, table=True):
    """A text that waits for its vector: enqueued with the row, removed with the vector's insert."""

    __tablename__ = "pending_embeddings"
    __table_args__ = (to_user(), Index(None, "user_id", "kind", "enqueued_by"))

    user_id: UUID = Field(primary_key=True)
    kind: str = Field(primary_key=True, sa_type=Text)
    row_id: UUID = Field(primary_key=True)
    enqueued_by: int = Field(sa_type=BigInteger, nullable=False)


class PassageTag(Base, table=True):
    """A tag of a present passage, by the tag's hash as `content_hash` makes it. Triggers of ``passages`` keep it."""

    __tablename__ = "passage_tags"
    __table_args__ = (to_user(),)

    user_id: UUID = Field(primary_key=True)
    tag_hash: UUID = Field(primary_key=True)
    passage_id: UUID = Field(primary_key=True)


class WordTotal(Base, table=True):
    """What is known of all documents of one kind of one user: how many, their words, and the next number.

    Documents up to number ``packed`` are in `WordTerm` and `WordBlock`; later ones are read from `WordDocument`.
    Its row lock orders the writers of the words of one user.
    """

    __tablename__ = "word_totals"
    __table_args__ = (to_user(),)

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
    __table_args__ = (to_user(), UniqueConstraint("user_id", "kind", "row_id"))

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
    __table_args__ = (to_user(),)

    user_id: UUID = Field(primary_key=True)
    term: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    kind: int = Field(primary_key=True, sa_type=SmallInteger)
    documents: int
    postings: bytes


class WordBlock(Base, table=True):
    """A full block of a term's postings; ``first_document`` is where it begins."""

    __tablename__ = "word_blocks"
    __table_args__ = (to_user(),)

    user_id: UUID = Field(primary_key=True)
    term: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    kind: int = Field(primary_key=True, sa_type=SmallInteger)
    first_document: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    postings: bytes
