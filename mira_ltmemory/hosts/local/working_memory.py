"""The part of the system prompt that changes: items by category, and the providers that keep them fresh."""

from __future__ import annotations

import logging
from typing import Any
from uuid import uuid4

logger = logging.getLogger(__name__)


class WorkingMemory:
    """Ordered prompt items, each with an id and a category."""

    def __init__(self) -> None:
        self._memory_items: dict[str, dict[str, Any]] = {}
        self._managers: list[Any] = []

    def add(self, content: str, category: str) -> str:
        """Append an item and return its id; empty content or category is a ``ValueError``."""
        if not content or not category:
            raise ValueError("neither content nor category may be empty")
        item_id = str(uuid4())
        self._memory_items[item_id] = {"content": content, "category": category, "metadata": {}}
        return item_id

    def remove(self, item_id: str) -> bool:
        """Take one item out; False (and a warning) if there is none of that id."""
        if self._memory_items.pop(item_id, None) is None:
            logger.warning("no working memory item %s to remove", item_id)
            return False
        return True

    def remove_by_category(self, category: str) -> int:
        """Take out all items of a category and return how many there were."""
        doomed = [key for key, item in list(self._memory_items.items()) if item["category"] == category]
        for key in doomed:
            self._memory_items.pop(key, None)
        return len(doomed)

    def get_prompt_content(self) -> str:
        """All items in the order they were added, with a blank line between them."""
        return "\n\n".join(item["content"] for item in list(self._memory_items.values()))

    def get_items_by_category(self, category: str) -> list[dict[str, Any]]:
        """Return copies of a category's items: content, category and metadata, but not their ids."""
        return [dict(item) for item in list(self._memory_items.values()) if item["category"] == category]

    def register_manager(self, manager: Any) -> None:
        """Remember a provider. Anything is taken, even what has nothing to call."""
        if not hasattr(manager, "update_working_memory"):
            logger.warning("%s has no update_working_memory", type(manager).__name__)
        self._managers.append(manager)

    def update_all_managers(self) -> None:
        """Ask every provider to refresh its items; one that raises is logged and its old items stay."""
        for manager in self._managers:
            try:
                if hasattr(manager, "update_working_memory"):
                    manager.update_working_memory()
            except Exception:
                logger.exception("provider %s failed", type(manager).__name__)
