"""The tables, as SQLModel classes in a schema and a `MetaData` of our own.

Every table that holds a user's data has a primary key that begins with ``user_id`` and forced
row-level security. Journaled tables (`Journaled`) carry the change set that made each row; when a row
is changed or removed, a trigger keeps the old version in the table's ``_versions`` twin.
"""

from __future__ import annotations

from mira_ltmemory.store.models.base import (
    EXEMPT_TABLES,
    SCHEMA,
    Base,
    ChangeSet,
    Journaled,
    Superseded,
    User,
    UserState,
    content_hash,
    metadata,
)
from mira_ltmemory.store.models.batches import BatchConversation, BatchMessage, BatchState
from mira_ltmemory.store.models.consolidation import ColdText, ConsolidationMark, Use
from mira_ltmemory.store.models.derived import (
    EmbeddingModelRow,
    PassageTag,
    PendingEmbedding,
    SearchCalibration,
    TokenVector,
    UserModelRow,
    Vector,
    WordBlock,
    WordDocument,
    WordTerm,
    WordTotal,
)
from mira_ltmemory.store.models.graph import (
    GRAPH_JOURNALED,
    Entity,
    EntityAlias,
    EntityAliasVersion,
    EntityMerge,
    EntityMergeVersion,
    EntityVersion,
    Mention,
    MentionVersion,
    Relation,
    RelationVersion,
)
from mira_ltmemory.store.models.memory import (
    JOURNALED,
    Block,
    BlockVersion,
    Conversation,
    ConversationVersion,
    Message,
    MessageVersion,
    Passage,
    PassageVersion,
    Source,
    SourceVersion,
)
from mira_ltmemory.store.models.upkeep import JobState, Snapshot, Tombstone

__all__ = [
    "EXEMPT_TABLES",
    "GRAPH_JOURNALED",
    "JOURNALED",
    "SCHEMA",
    "Base",
    "BatchConversation",
    "BatchMessage",
    "BatchState",
    "Block",
    "BlockVersion",
    "ChangeSet",
    "ColdText",
    "ConsolidationMark",
    "Conversation",
    "ConversationVersion",
    "EmbeddingModelRow",
    "Entity",
    "EntityAlias",
    "EntityAliasVersion",
    "EntityMerge",
    "EntityMergeVersion",
    "EntityVersion",
    "JobState",
    "Journaled",
    "Mention",
    "MentionVersion",
    "Message",
    "MessageVersion",
    "Passage",
    "PassageTag",
    "PassageVersion",
    "PendingEmbedding",
    "Relation",
    "RelationVersion",
    "SearchCalibration",
    "Snapshot",
    "Source",
    "SourceVersion",
    "Superseded",
    "TokenVector",
    "Tombstone",
    "Use",
    "User",
    "UserModelRow",
    "UserState",
    "Vector",
    "WordBlock",
    "WordDocument",
    "WordTerm",
    "WordTotal",
    "content_hash",
    "metadata",
]
