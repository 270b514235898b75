"""The graph as its readers see it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from mira_ltmemory.protocols import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityBrief:
    """An entity in a list. ``score`` orders one list and means nothing across lists."""

    id: UUID
    type: str
    name: str
    aliases: tuple[str, ...] = ()
    mentions: int = 0
    first: datetime | None = None
    last: datetime | None = None
    score: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MentionView:
    """Where an entity was spoken of: an excerpt around it, when and by whom it was said, and the text's id."""

    excerpt: str
    said_at: datetime
    kind: Kind
    id: UUID
    speaker: str | None = None
    conversation: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RelationView:
    """A relation as a sentence has it. ``inferred`` ones were said by nobody; ``rule`` names what inferred them.

    ``evidence`` are ids of the texts that say it.
    """

    subject: str
    predicate: str
    object: str
    confidence: float
    inferred: bool
    rule: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    evidence: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityView:
    """All that is known of an entity, those that are the same taken together.

    ``members`` are the ids of these; ``possible`` may be the same one, which nobody decided.
    """

    brief: EntityBrief
    members: tuple[UUID, ...]
    relations: tuple[RelationView, ...] = ()
    mentions: tuple[MentionView, ...] = ()
    possible: tuple[EntityBrief, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """What a name stands for: one ``entity``, or several ``candidates``, or none and names that are ``near``."""

    name: str
    entity: EntityView | None = None
    candidates: tuple[EntityBrief, ...] = ()
    near: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """A merge that was made: what went into what, why, and the change set that an undo takes back."""

    entity: str
    into: str
    reason: str
    change_set_id: int
