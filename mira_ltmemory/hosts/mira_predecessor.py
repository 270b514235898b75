"""MIRA's own first memory (`lt_memory`, from commit 3e1a230): ours takes its place in the live objects.

Only what it put into those objects is taken out. Its tables, its files and its code are left as they are. Its
automations need no care: MIRA's engine refuses them, for want of a first time.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

logger = logging.getLogger(__name__)

NAME = "lt_memory"
"""Its key in MIRA's dict, and the name of its one tool."""


class Predecessor:
    """MIRA's own memory, where it is attached to this MIRA."""

    def __init__(self, system: Mapping[str, Any]) -> None:
        self._system = system
        self._tool: Any = None
        self._bridge: Any = None

    def retire(self) -> bool:
        """Take its tool and its parts of the prompt out of MIRA; tell whether there were any."""
        repo: Any = self._system.get("tool_repo")
        self._tool = getattr(repo, "tools", {}).get(NAME)
        if self._tool is not None:
            if repo.is_tool_enabled(NAME):
                repo.disable_tool(NAME)
            del repo.tools[NAME]
        attached = self._system.get(NAME)
        self._bridge = self._detach(attached.get("bridge") if isinstance(attached, Mapping) else None)
        found = self._tool is not None or self._bridge is not None
        if found:
            logger.info("MIRA's own lt_memory was detached; its tables are as they were")
        return found

    def restore(self) -> None:
        """Put back what was taken out."""
        if self._tool is not None:
            self._system["tool_repo"].tools[NAME] = self._tool
        if self._bridge is not None:
            self._system["working_memory"].register_manager(self._bridge)
        self._tool, self._bridge = None, None

    def _detach(self, bridge: Any) -> Any:
        """Take its bridge out of working memory, with what that shows in the prompt."""
        working_memory: Any = self._system.get("working_memory")
        managers = getattr(working_memory, "_managers", None)
        if bridge is None or not isinstance(managers, list) or bridge not in managers:
            return None
        managers.remove(bridge)
        for category in ("core", "insights", "entities", "status"):
            working_memory.remove_by_category(f"{NAME}_{category}")
        return bridge
