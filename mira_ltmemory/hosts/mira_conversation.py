"""Reads MIRA's live conversation: what is new in it since the last look, whatever became of it meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from mira_ltmemory.hosts.messages import convert, message_id
from mira_ltmemory.protocols import IncomingMessage

Store = Callable[[Sequence[IncomingMessage]], list[IncomingMessage]]
"""Stores messages and returns those that were new to it."""


class LiveConversation:
    """The messages of whatever conversation MIRA holds at present.

    MIRA replaces the list of messages when it prunes it and when the user clears it, and may swap the whole
    conversation. The list last seen is kept: what was appended to it before it was replaced is still there.
    """

    def __init__(self, current: Callable[[], Any]) -> None:
        self._current = current
        self._last: tuple[str, list[Any]] | None = None
        self._seen: set[tuple[str, str]] = set()
        self._waiting: dict[tuple[str, str], IncomingMessage] = {}
        self._lock = threading.Lock()

    def messages(self) -> list[IncomingMessage]:
        """Return the messages that MIRA still holds, oldest first."""
        found = self._find()
        return convert(list(found[1]), found[0]) if found else []

    def take(self, store: Store) -> list[IncomingMessage]:
        """Hand the messages that are new to ``store`` and return what it returns.

        Should it raise, they are kept and handed over again next time.
        """
        with self._lock:
            present = self._find()
            lists = [(name, list(held)) for name, held in self._lists(present)]
            for name, held in lists:
                self._waiting.update(self._new(name, held))
            self._seen = {(name, message_id(message)) for name, held in lists for message in held}
            self._last = present
            if not self._waiting:
                return []
            stored = store(list(self._waiting.values()))
            self._waiting.clear()
            return stored

    def _new(self, name: str, held: list[Any]) -> dict[tuple[str, str], IncomingMessage]:
        if all((name, message_id(message)) in self._seen for message in held):
            return {}
        found = {(name, one.external_id): one for one in convert(held, name)}
        return {key: one for key, one in found.items() if key not in self._seen}

    def _lists(self, present: tuple[str, list[Any]] | None) -> list[tuple[str, list[Any]]]:
        """Return the list seen last, if it was replaced since, and the present one."""
        lists = [] if present is None else [present]
        replaced = self._last is not None and (present is None or self._last[1] is not present[1])
        return [self._last, *lists] if replaced and self._last is not None else lists

    def _find(self) -> tuple[str, list[Any]] | None:
        conversation = self._current()
        messages = getattr(conversation, "messages", None)
        if not isinstance(messages, list):
            return None
        return str(getattr(conversation, "conversation_id", "unknown")), messages
