"""Passages that are made from a window: drafted and embedded first, stored in the window's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from mira_ltmemory.protocols import Category, Json, Kind, Origin
from mira_ltmemory.services.embeddings import Embedded, EmbeddingService
from mira_ltmemory.services.untrusted import link
from mira_ltmemory.store.models import Passage, content_hash
from mira_ltmemory.store.unit_of_work import SqlUnitOfWork
from mira_ltmemory.store.vectors import PendingText


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A passage to be stored; ``sources`` are the messages that it was made from."""

    id: UUID
    content: str
    category: Category
    said_at: datetime
    origin: Origin
    sources: tuple[UUID, ...]
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    confidence: float | None = None
    tags: tuple[str, ...] = ()
    meta: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Drafts:
    """Drafts with their vectors, in the same order; without vectors, they are embedded later."""

    drafts: tuple[Draft, ...]
    embedded: Embedded | None = None


def embedded(drafts: Sequence[Draft], embeddings: EmbeddingService) -> Drafts:
    """Embed drafts, where there is a model. No transaction may be open."""
    return Drafts(tuple(drafts), embeddings.embed_now([draft.content for draft in drafts]) if drafts else None)


def store_drafts(unit: SqlUnitOfWork, made: Drafts, now: datetime) -> list[Draft]:
    """Store drafts and return those that are new.

    One that is there already, whose very text holds at present or was erased at the user's request, is left out.
    """
    ids = [draft.id for draft in made.drafts]
    away = unit.passages.stored(ids) | set(unit.erasure.tombstoned(Kind.PASSAGE.value, ids))
    stored: list[Draft] = []
    for index, draft in enumerate(made.drafts):
        text_hash = content_hash(draft.content)
        if draft.id in away or unit.erasure.text_erased(text_hash) is not None:
            continue
        if unit.passages.with_content(text_hash, now):
            continue
        unit.passages.add([_row(unit, draft)])
        link(unit, Kind.PASSAGE, draft.id, [str(id) for id in draft.sources], draft.origin)
        unit.words.add(Kind.PASSAGE, [(draft.id, draft.content)])
        if made.embedded is None:
            unit.vectors.enqueue(Kind.PASSAGE, [draft.id])
        else:
            model_id, vectors, tokens = made.embedded
            item, own = PendingText(Kind.PASSAGE, draft.id, text_hash, draft.content), slice(index, index + 1)
            unit.vectors.add([item], vectors[own], model_id, None if tokens is None else tokens[own])
        stored.append(draft)
    return stored


def _row(unit: SqlUnitOfWork, draft: Draft) -> Passage:
    return Passage(
        user_id=unit.user_id,
        id=draft.id,
        change_set_id=unit.change_set_id,
        origin=draft.origin.value,
        content=draft.content,
        content_hash=content_hash(draft.content),
        tags=list(draft.tags),
        said_at=draft.said_at,
        category=draft.category.value,
        valid_from=draft.valid_from,
        valid_until=draft.valid_until,
        confidence=draft.confidence,
        meta=dict(draft.meta),
    )
