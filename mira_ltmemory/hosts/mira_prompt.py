"""Prompt parts as items of MIRA's working memory: one item a provider, rewritten only when it changed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from mira_ltmemory.errors import one_line
from mira_ltmemory.protocols import Provider

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Item:
    provider: Provider
    category: str
    id: str | None = None
    text: str = ""
    failed: bool = False


class PromptItems:
    """Keeps the items of all providers fresh. Thread-safe. All of a refresh is read within ``reading``."""

    def __init__(self, working_memory: Any) -> None:
        self.reading: Callable[[], AbstractContextManager[object]] = nullcontext
        self._working_memory = working_memory
        self._items: list[_Item] = []
        self._lock = threading.RLock()

    def add(self, provider: Provider) -> None:
        """Show what a provider renders, from the next refresh on, in a category of its own."""
        with self._lock:
            self._items.append(_Item(provider, f"ltmemory_{provider.name}"))

    def refresh(self) -> None:
        """Render every provider; rewrite what changed, and take out what has nothing to say."""
        with self._lock, self.reading():
            for item in self._items:
                self._write(item, self._render(item))

    def release(self) -> None:
        """Take every item out of the prompt."""
        with self._lock:
            for item in self._items:
                self._write(item, "")
            self._items.clear()

    def _render(self, item: _Item) -> str:
        """Return a provider's text, or one line that says that it failed: never what it said before."""
        try:
            text = item.provider.render()
        except Exception as error:  # a provider may be anybody's; the rest of the prompt goes on
            if not item.failed:
                logger.exception("the prompt part %s failed", item.provider.name)
            item.failed = True
            return f"[{item.provider.name} cannot be shown at the moment: {type(error).__name__}: {one_line(error)}]"
        item.failed = False
        return text

    def _write(self, item: _Item, text: str) -> None:
        if item.text == text and (not text or self._stands(item)):
            return
        if item.id is not None and self._stands(item):
            self._working_memory.remove(item.id)
        item.id = self._working_memory.add(text, item.category) if text else None
        item.text = text

    def _stands(self, item: _Item) -> bool:
        """Whether the item is still in the prompt: others may have cleared it."""
        there = self._working_memory.get_items_by_category(item.category)
        return item.id is not None and any(one.get("content") == item.text for one in there)
