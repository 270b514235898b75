"""Memories for the user's last message: looked up once a message, shown only where they are likely to be relevant.

What an update costs: the embedding of the message, and a search among few candidates in each of messages and
passages. Where the message is the same as at the last update nothing is searched; where memory changed meanwhile, the
memories shown are read again, so that what was forgotten or has ended is shown no longer.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from mira_ltmemory.protocols import Filter, Hit, IncomingMessage, Kind
from mira_ltmemory.services.context.core import CoreBlocks
from mira_ltmemory.services.context.live import LiveConversation, as_query, last_of_user
from mira_ltmemory.services.search import Searcher
from mira_ltmemory.services.search.query import telling
from mira_ltmemory.services.search.searcher import EmbeddedQuery
from mira_ltmemory.services.text import folded
from mira_ltmemory.store.context import SourceMessage
from mira_ltmemory.store.unit_of_work import SqlUnitOfWork, Store

MOST = 8
"""Memories that are handed on at most; the prompt's budget may leave out more."""

WIDTH, LOOKED_AT = 40, 16
"""Candidates of each source, and how many of them are read in full: the best few are wanted, and quickly."""

_CONTAINED = 20


@dataclass(frozen=True, slots=True)
class Memory:
    """A memory that is likely to be relevant. ``messages`` are the messages behind a passage, where it has any."""

    hit: Hit
    messages: tuple[SourceMessage, ...] = ()


@dataclass(frozen=True, slots=True)
class _Kept:
    key: tuple[str, str, str]
    version: int
    memories: tuple[Memory, ...]


class RelevantMemories:
    """Finds what memory holds about the user's last message. Thread-safe.

    ``least`` is the probability of being relevant below which a memory is not shown.
    """

    def __init__(
        self, store: Store, searcher: Searcher, core: CoreBlocks, live: LiveConversation, *, least: float
    ) -> None:
        self._store = store
        self._core = core
        self._searcher = searcher
        self._live = live
        self._least = least
        self._kept: _Kept | None = None
        self._ahead: tuple[str, EmbeddedQuery | None] | None = None
        self._lock = threading.Lock()

    def embed_ahead(self) -> None:
        """Embed what `current` will look for next, so that an update has no model to wait for while it reads.

        Raises ``StoreError``.
        """
        asked = last_of_user(self._live.messages())
        with self._lock:
            if asked is None or (self._kept is not None and self._kept.key == _key(asked)):
                return
            query = as_query(asked.content)
            if telling(query, ()):
                self._ahead = query, self._searcher.embed(query)

    def current(self) -> Sequence[Memory]:
        """What is likely to be relevant now, best first, without what the model sees anyway. Raises ``StoreError``."""
        messages = self._live.messages()
        asked = last_of_user(messages)
        if asked is None:
            return ()
        key = _key(asked)
        with self._lock, self._store.reading():
            kept = self._kept if self._kept is not None and self._kept.key == key else None
            query = as_query(asked.content)
            # First of all: while the model works no transaction is held.
            embedded = self._embedded(query) if kept is None and telling(query, ()) else None
            with self._store.read() as unit:
                version = unit.journal.last_edit_id()
                if kept is not None and kept.version == version:
                    return kept.memories
                if kept is not None:
                    memories = _still(unit, kept.memories, self._store.clock.now())
                else:
                    memories = self._look(unit, query, embedded, messages)
            self._kept = _Kept(key, version, memories)
            return memories

    def forget(self) -> None:
        """Forget what was shown; the next update looks again."""
        with self._lock:
            self._kept = self._ahead = None

    def _embedded(self, query: str) -> EmbeddedQuery | None:
        ahead, self._ahead = self._ahead, None
        return ahead[1] if ahead is not None and ahead[0] == query else self._searcher.embed(query)

    def _look(
        self, unit: SqlUnitOfWork, query: str, embedded: EmbeddedQuery | None, live: Sequence[IncomingMessage]
    ) -> tuple[Memory, ...]:
        if not telling(query, ()):
            return ()
        # The live messages are among the nearest, and do not count.
        seen_anyway = min(len(live), WIDTH)
        width, wanted = WIDTH + seen_anyway, LOOKED_AT + seen_anyway
        hits = [
            hit
            for kind in unit.context.kinds()
            for hit in self._searcher.search(kind, query, Filter(), wanted, width=width, embedded=embedded).hits
            if is_likely(hit, self._least)
        ]
        if not hits:
            return ()
        hits.sort(key=lambda hit: (-likelihood(hit), -hit.said_at.timestamp(), str(hit.id)))
        seen = _ids(unit, live)
        texts = [folded(block.content) for block in self._core.current()]
        behind = unit.context.messages_behind([hit.id for hit in hits if hit.kind is Kind.PASSAGE])
        texts += [folded(message.content) for message in live]
        return tuple(_chosen(hits, behind, seen, texts))


def _key(asked: IncomingMessage) -> tuple[str, str, str]:
    return asked.conversation_id, asked.external_id, asked.content


_RULE = 0.3  # half of what the rule gives at most is worth as much as a probability of .15


def likelihood(hit: Hit) -> float:
    """How likely a hit is to be relevant, from 0 to 1: as calibrated, or else by a cautious rule of thumb.

    The rule: centred cosine plus half of the share of the query's words. Of questions about other people's
    conversations, 10 to 18 % then found anything at half of its range; of questions that memory answers, 84 to 92 %.
    """
    if hit.probability is not None:
        return hit.probability
    words = min(hit.features.get("bm25", 0.0), 1.0)
    if "cosine" not in hit.features:  # no vector to go by
        return _RULE * words
    return _RULE * min(1.0, max(0.0, hit.features.get("meaning", 0.0)) + 0.5 * words)


def is_likely(hit: Hit, least: float) -> bool:
    """Whether a hit may be shown without having been asked for."""
    return likelihood(hit) >= least


def _chosen(
    hits: Iterable[Hit], behind: dict[UUID, list[SourceMessage]], seen: frozenset[UUID], texts: list[str]
) -> list[Memory]:
    """The best hits that say something new: to the live context, to core memory, and to those before them."""
    chosen: list[Memory] = []
    covered: set[UUID] = set(seen)
    for hit in hits:
        sources = behind.get(hit.id, [])
        ids = {source.id for source in sources} if hit.kind is Kind.PASSAGE else {hit.id}
        text = folded(hit.content)
        if (ids and ids <= covered) or not text or any(_holds(known, text) for known in texts):
            continue
        chosen.append(Memory(hit, tuple(sources)))
        covered |= ids
        texts.append(text)
        if len(chosen) == MOST:
            break
    return chosen


def _still(unit: SqlUnitOfWork, memories: Sequence[Memory], now: datetime) -> tuple[Memory, ...]:
    """Those of the memories that are there as they were."""
    if not memories:
        return ()
    there = {
        id: row
        for kind in (Kind.PASSAGE, Kind.MESSAGE)
        for id, row in unit.search.details(kind, [one.hit.id for one in memories if one.hit.kind is kind]).items()
    }

    def stands(memory: Memory) -> bool:
        row = there.get(str(memory.hit.id))
        if row is None or row.content != memory.hit.content:
            return False
        return row.valid_until is None or row.valid_until > now

    return tuple(memory for memory in memories if stands(memory))


def _ids(unit: SqlUnitOfWork, messages: Iterable[IncomingMessage]) -> frozenset[UUID]:
    conversations = {
        message.conversation_id: unit.messages.conversation_key(message.conversation_id) for message in messages
    }
    return frozenset(
        unit.messages.message_key(conversations[message.conversation_id], message.external_id) for message in messages
    )


def _holds(known: str, text: str) -> bool:
    return text == known or (len(text) >= _CONTAINED and text in known)
