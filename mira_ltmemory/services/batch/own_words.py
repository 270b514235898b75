"""What becomes of a window without a model: passages of the conversation's own words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta, tzinfo
from uuid import UUID

from mira_ltmemory.protocols import Category, Clock, Origin, Role, in_zone
from mira_ltmemory.services.batch.drafts import Draft, Drafts, embedded, store_drafts
from mira_ltmemory.services.batch.window import Window, WindowMessage
from mira_ltmemory.services.embeddings import EmbeddingService
from mira_ltmemory.services.text import cut, parts_of, word_count
from mira_ltmemory.store.unit_of_work import SqlUnitOfWork

PASSAGE_CHARS = 1_000
"""About what an embedding model reads of a text; a longer message is a passage of its own."""

MESSAGE_CHARS, MOST_PARTS = 4_000, 8
"""A message longer than this becomes a passage for each part; what is behind the last is left to recall memory."""

BEFORE_CHARS = 200
PAUSE = timedelta(minutes=20)
MIN_WORDS = 5


class OwnWords:
    """Keeps what was said in passages of neighbouring messages, each with its speaker and the date.

    A passage ends where it is long enough or a pause begins; it repeats the end of what was said before it. Passages
    of fewer than five words, and the text of tools and web pages, are left to recall memory.
    """

    name = "windows"

    def __init__(self, user_id: UUID, clock: Clock, embeddings: EmbeddingService, zone: tzinfo) -> None:
        self._user_id = user_id
        self._clock = clock
        self._embeddings = embeddings
        self._zone = zone

    def prepare(self, window: Window) -> Drafts | None:
        """Write and embed the passages."""
        drafts = list(self._drafts(window))
        return embedded(drafts, self._embeddings) if drafts else None

    def store(self, unit: SqlUnitOfWork, window: Window, prepared: Drafts) -> Mapping[str, int]:
        """Store them."""
        return {"passages": len(store_drafts(unit, prepared, self._clock.now()))}

    def _drafts(self, window: Window) -> Iterator[Draft]:
        before = next((message for message in reversed(window.context) if is_said(message)), None)
        said = [
            replace(message, content=part)
            for message in window.messages
            if is_said(message)
            for part in parts_of(message.content, MESSAGE_CHARS, MOST_PARTS)
        ]
        for index, group in enumerate(grouped(said)):
            if sum(word_count(message.content) for message in group) >= MIN_WORDS:
                yield Draft(
                    id=window.row_id(self._user_id, self.name, index),
                    content=self._text(group, before),
                    category=Category.WINDOW,
                    said_at=group[-1].said_at,
                    origin=origin_of(group),
                    sources=tuple(dict.fromkeys(message.id for message in group)),
                )
            before = group[-1]

    def _text(self, group: Sequence[WindowMessage], before: WindowMessage | None) -> str:
        first, last = (in_zone(message.said_at, self._zone) for message in (group[0], group[-1]))
        end = f"{last:%H:%M}" if first.date() == last.date() else f"{last:%Y-%m-%d %H:%M}"
        lines = [f"{first:%Y-%m-%d %H:%M}" + ("" if first == last else f" to {end}")]
        if before is not None and group[0].said_at - before.said_at <= PAUSE:
            lines.append(f"(before) {speaker(before)}: {cut(' '.join(before.content.split()), BEFORE_CHARS)}")
        lines += [f"{speaker(message)}: {message.content}" for message in group]
        return "\n".join(lines)


def is_said(message: WindowMessage) -> bool:
    """Whether a person or the assistant said it, in words."""
    return message.trusted and message.role in (Role.USER, Role.ASSISTANT) and bool(message.content.strip())


def speaker(message: WindowMessage) -> str:
    """Who said it, as people read it."""
    return message.speaker or ("User" if message.role is Role.USER else "Assistant")


def origin_of(messages: Sequence[WindowMessage]) -> Origin:
    """The origin of what was made from messages: the user's where the user said a part of it."""
    origins = [message.origin for message in messages]
    return Origin.USER if Origin.USER in origins else origins[0]


def grouped(messages: Sequence[WindowMessage]) -> Iterator[list[WindowMessage]]:
    """Neighbouring messages that make one passage."""
    group: list[WindowMessage] = []
    chars = 0
    for message in messages:
        size = len(message.content)
        if group and (chars + size > PASSAGE_CHARS or message.said_at - group[-1].said_at > PAUSE):
            yield group
            group, chars = [], 0
        group.append(message)
        chars += size
    if group:
        yield group
