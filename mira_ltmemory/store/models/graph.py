"""The journaled tables of the knowledge graph: who and what was spoken of, where, and how it hangs together."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import REAL, Index, Text, UniqueConstraint
from sqlmodel import Field

from mira_ltmemory.store.models.base import Journaled, Superseded, Timestamp, to_row


class EntityColumns(Journaled):
    """Someone or something with a name. ``content`` is the text that is embedded; ``content_hash`` is of that text."""

    type: str = Field(sa_type=Text)
    name: str = Field(sa_type=Text)
    content: str = Field(sa_type=Text)
    content_hash: UUID


class Entity(EntityColumns, table=True):
    """The entities. Which of them are the same one tells `EntityMerge`."""

    __tablename__ = "entities"
    __table_args__ = (to_row("change_sets", "change_set_id"), Index(None, "user_id", "change_set_id"))


class EntityVersion(Superseded, EntityColumns, table=True):
    """Earlier versions of entities."""

    __tablename__ = "entities_versions"


class EntityAliasColumns(Journaled):
    """A name by which an entity is called; ``key`` is the name as it is compared."""

    entity_id: UUID
    alias: str = Field(sa_type=Text)
    key: str = Field(sa_type=Text)


class EntityAlias(EntityAliasColumns, table=True):
    """The names of entities. Two entities may have the same one."""

    __tablename__ = "entity_aliases"
    __table_args__ = (
        to_row("change_sets", "change_set_id"),
        to_row("entities", "entity_id"),
        UniqueConstraint("user_id", "entity_id", "key"),
        Index(None, "user_id", "key"),
        Index(None, "user_id", "change_set_id"),
    )


class EntityAliasVersion(Superseded, EntityAliasColumns, table=True):
    """Earlier versions of names."""

    __tablename__ = "entity_aliases_versions"


class MentionColumns(Journaled):
    """Where an entity is spoken of: characters ``start_at`` to ``end_at`` (exclusive) of a message or passage.

    ``method`` tells what found it: ``rule``, ``model`` or ``user``; ``said_at`` is when the source was said.
    """

    entity_id: UUID
    source_kind: str = Field(sa_type=Text)
    source_id: UUID
    start_at: int
    end_at: int
    said_at: datetime = Field(sa_type=Timestamp, nullable=False)
    confidence: float = Field(sa_type=REAL)
    method: str = Field(sa_type=Text)


class Mention(MentionColumns, table=True):
    """The mentions."""

    __tablename__ = "mentions"
    __table_args__ = (
        to_row("change_sets", "change_set_id"),
        to_row("entities", "entity_id"),
        Index(None, "user_id", "entity_id", "said_at"),
        Index(None, "user_id", "said_at"),
        Index(None, "user_id", "source_id"),
        Index(None, "user_id", "change_set_id"),
    )


class MentionVersion(Superseded, MentionColumns, table=True):
    """Earlier versions of mentions."""

    __tablename__ = "mentions_versions"


class RelationColumns(Journaled):
    """How two entities hang together, such as ``works_at``; ``valid_from`` and ``valid_until`` bound when it holds.

    Its evidence are its `Source` links. An ``inferred`` relation was said by nobody: ``rule`` names what inferred it.
    """

    subject_id: UUID
    predicate: str = Field(sa_type=Text)
    object_id: UUID
    confidence: float = Field(sa_type=REAL)
    inferred: bool
    rule: str | None = Field(default=None, sa_type=Text)


class Relation(RelationColumns, table=True):
    """The relations."""

    __tablename__ = "relations"
    __table_args__ = (
        to_row("change_sets", "change_set_id"),
        to_row("entities", "subject_id"),
        to_row("entities", "object_id"),
        Index(None, "user_id", "subject_id"),
        Index(None, "user_id", "object_id"),
        Index(None, "user_id", "change_set_id"),
    )


class RelationVersion(Superseded, RelationColumns, table=True):
    """Earlier versions of relations."""

    __tablename__ = "relations_versions"


class EntityMergeColumns(Journaled):
    """That an entity is the same as another (``verdict`` ``same``), or is not (``different``), as somebody decided.

    Nothing moves by it: readers take the entities that are the same together, so that undoing it parts them again.
    """

    entity_id: UUID
    into_id: UUID
    verdict: str = Field(sa_type=Text)


class EntityMerge(EntityMergeColumns, table=True):
    """What was decided of pairs of entities."""

    __tablename__ = "entity_merges"
    __table_args__ = (
        to_row("change_sets", "change_set_id"),
        to_row("entities", "entity_id"),
        to_row("entities", "into_id"),
        UniqueConstraint("user_id", "entity_id", "into_id"),
        Index(None, "user_id", "into_id"),
        Index(None, "user_id", "change_set_id"),
    )


class EntityMergeVersion(Superseded, EntityMergeColumns, table=True):
    """Earlier versions of decisions."""

    __tablename__ = "entity_merges_versions"


GRAPH_JOURNALED: dict[type[Journaled], type[Superseded]] = {
    Entity: EntityVersion,
    EntityAlias: EntityAliasVersion,
    Mention: MentionVersion,
    Relation: RelationVersion,
    EntityMerge: EntityMergeVersion,
}
"""The journaled tables of the graph, those that others refer to first."""
