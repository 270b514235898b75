"""Recall memory: every message kept once, and found again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from uuid import UUID

from mira_ltmemory.config import MemoryConfig
from mira_ltmemory.protocols import (
    Actor,
    Change,
    Filter,
    IncomingMessage,
    Kind,
    Origin,
    Progress,
    SearchResult,
    no_progress,
)
from mira_ltmemory.services.redaction import Redactor
from mira_ltmemory.services.search import TieredSearcher
from mira_ltmemory.services.text import storable
from mira_ltmemory.store.models import Conversation, Message, content_hash
from mira_ltmemory.store.storable import each_text
from mira_ltmemory.store.unit_of_work import SqlUnitOfWork, Store

_BATCH = 256


class RecallManager:
    """Captures, imports and searches the messages of one user."""

    def __init__(self, store: Store, settings: MemoryConfig, redactor: Redactor, searcher: TieredSearcher) -> None:
        self._store = store
        self._settings = settings
        self._redactor = redactor
        self._searcher = searcher

    def capture(
        self,
        messages: Sequence[IncomingMessage],
        change: Change | None = None,
        progress: Progress = no_progress,
        *,
        as_run: bool = False,
    ) -> list[IncomingMessage]:
        """Store the messages that are not stored yet and return those. Capturing one twice stores it once.

        Recalled text, which is memory shown again, is never captured. ``as_run`` makes ``change`` the parent of one
        change set a batch, so that one undo takes all of them back; where nothing is new, there is none.
        Raises ``StoreError``; batches that were stored before the error stay.
        """
        by_conversation: dict[str, list[IncomingMessage]] = defaultdict(list)
        for message in messages:
            if message.origin is not Origin.RECALLED:
                by_conversation[message.conversation_id].append(message)
        total = sum(len(group) for group in by_conversation.values())
        change = change or Change(Actor.SYSTEM, "capture", "messages of the conversation")
        change_of_part = self._begin_run(change) if as_run else (lambda: change)
        stored: list[IncomingMessage] = []
        done = 0
        for conversation_id, group in by_conversation.items():
            for start in range(0, len(group), _BATCH):
                batch = group[start : start + _BATCH]
                stored += self._capture_batch(conversation_id, batch, change_of_part)
                done += len(batch)
                progress("storing", done, total)
        return stored

    def search(self, query: str, filter: Filter | None = None, limit: int | None = None) -> SearchResult:
        """Find messages by meaning and words, best first, at most ``limit`` (1 to 50)."""
        return self._searcher.search(
            Kind.MESSAGE, query, filter or Filter(), limit or self._settings.max_search_results
        )

    def pack_words(self) -> int:
        """Move what was indexed lately into the packed word index, which is read faster; return how much."""
        with self._store.upkeep() as unit:
            return unit.words.pack(Kind.MESSAGE)

    def count(self) -> int:
        """How many messages are kept."""
        with self._store.read() as unit:
            return unit.messages.count()

    def _begin_run(self, change: Change) -> Callable[[], Change]:
        @cache
        def part() -> Change:
            with self._store.write(change) as unit:
                return replace(change, parent=unit.change_set_id)

        return part

    def _capture_batch(
        self, conversation_id: str, batch: Sequence[IncomingMessage], change: Callable[[], Change]
    ) -> list[IncomingMessage]:
        with self._store.read() as unit:
            key = unit.messages.conversation_key(storable(conversation_id))
            new = _unknown(unit, key, batch)
        if not new:
            return []
        prepared = [(message, *self._redactor.redact(storable(message.content))) for message in new]
        with self._store.write(change()) as unit:
            # Asked again under the user's lock: another process may have captured them meanwhile.
            still_new = {message.external_id for message in _unknown(unit, key, new)}
            unit.messages.ensure_conversation(
                Conversation(
                    user_id=unit.user_id,
                    id=key,
                    change_set_id=unit.change_set_id,
                    origin=new[0].origin.value,
                    external_id=self._kept_id(storable(conversation_id), key),
                )
            )
            rows = [
                self._row(unit, key, message, text, [redaction.kind for redaction in redactions])
                for message, text, redactions in prepared
                if message.external_id in still_new
            ]
            unit.messages.add(rows, [row.id for row in rows if self._is_embedded(row.content)])
            unit.words.add(Kind.MESSAGE, [(row.id, row.content) for row in rows])
        return [message for message in new if message.external_id in still_new]

    def _is_embedded(self, content: str) -> bool:
        return bool(content.strip()) and len(content) <= self._settings.max_embedded_chars

    def _clean(self, text: str) -> str:
        return self._redactor.redact(storable(text))[0]

    def _kept_id(self, external_id: str, key: UUID) -> str:
        """A host's id without secrets; where it held one, the beginning of the row's id keeps it apart from others."""
        kept, redactions = self._redactor.redact(external_id)
        return f"{kept} {key.hex[:12]}" if redactions else kept

    def _row(
        self, unit: SqlUnitOfWork, key: UUID, message: IncomingMessage, text: str, redacted: Sequence[str]
    ) -> Message:
        external_id = storable(message.external_id)
        key_of_message = unit.messages.message_key(key, external_id)
        meta = each_text(dict(message.metadata), self._clean)
        if redacted:
            meta["redacted"] = sorted(set(redacted))
        return Message(
            user_id=unit.user_id,
            id=key_of_message,
            change_set_id=unit.change_set_id,
            origin=message.origin.value,
            meta=meta,
            conversation_id=key,
            external_id=self._kept_id(external_id, key_of_message),
            position=_position(message),
            role=message.role.value,
            speaker=None if message.speaker is None else self._clean(message.speaker),
            content=text,
            content_hash=content_hash(text),
            said_at=message.said_at,
        )


def _unknown(unit: SqlUnitOfWork, key: UUID, batch: Sequence[IncomingMessage]) -> list[IncomingMessage]:
    ids = {storable(message.external_id) for message in batch}
    keys = {external_id: unit.messages.message_key(key, external_id) for external_id in ids}
    # What was erased stays away: not known, and not new either.
    away = unit.messages.known(keys.values()) | set(unit.erasure.tombstoned(Kind.MESSAGE.value, list(keys.values())))
    known = {external_id for external_id, id in keys.items() if id in away}
    fresh: dict[str, IncomingMessage] = {}
    for message in batch:
        if storable(message.external_id) not in known:
            fresh.setdefault(message.external_id, message)
    return list(fresh.values())


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _position(message: IncomingMessage) -> int:
    """Microseconds since 1970, so that a part imported later falls into its place; the index breaks ties."""
    since = message.said_at - _EPOCH
    microseconds = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    return microseconds + (message.position or 0)
