"""Which tools the model sees on a turn: those that fit the message, and those that fitted lately."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable

from mira_ltmemory.hosts.local.tools import ToolRepository

logger = logging.getLogger(__name__)

_COMMON = set(
    re.findall(
        r"\w+",
        "about and are can did does for from have how into its let look not now tell that the their them then this"
        " tool use want was were what when where which will with would you your",
    )
)


def _words(text: str) -> set[str]:
    found = re.findall(r"[^\W_]{3,}", text.lower())
    return {word.rstrip("s") for word in found if word not in _COMMON}


class ToolRelevanceEngine:
    """Word overlap in place of MIRA's classifier, with MIRA's bookkeeping.

    Only tools named in ``known_tools`` can ever be found relevant, as MIRA's classifier knows only tools that
    it has training examples for. Everything else is disabled on each turn, unless the activation history
    keeps it.
    """

    def __init__(
        self, tool_repo: ToolRepository, known_tools: Iterable[str] = (), *, tool_persistence_messages: int = 2
    ) -> None:
        self.tool_repo = tool_repo
        self.known_tools = tuple(known_tools)
        self.tool_persistence_messages = tool_persistence_messages
        self.tool_activation_history: dict[str, int] = {}
        self.message_counter = 0
        self.suspended = False
        self.topic_changed = False

    def analyze_message(self, message: str) -> list[tuple[str, float]]:
        """Known tools that share a word with the message, best first."""
        said = _words(message)
        scores = []
        for name in self.known_tools:
            if name in self.tool_repo.tools:
                described = _words(f"{name.replace('_', ' ')} {self.tool_repo.tools[name].description}")
                if common := len(said & described):
                    scores.append((name, common / len(said)))
        return sorted(scores, key=lambda pair: -pair[1])

    def manage_tool_relevance(self, message: str) -> list[str]:
        """Enable what fits or persists, disable all the rest, and return what is enabled."""
        if self.suspended:
            return []
        self.message_counter += 1
        try:
            relevant = [name for name, _ in self.analyze_message(message)]
            lately = [
                name
                for name, seen in self.tool_activation_history.items()
                if self.message_counter - seen < self.tool_persistence_messages
            ]
            self.tool_activation_history.update(dict.fromkeys(relevant, self.message_counter))
            wanted = set(relevant) | set(lately)
            enabled = [name for name in wanted if self._enable(name)]
            for name in self.tool_repo.get_enabled_tools():
                if name not in wanted:
                    self.tool_repo.disable_tool(name)
                    self.tool_activation_history.pop(name, None)
            return enabled
        except Exception:
            logger.exception("tool relevance failed")
            return []

    def _enable(self, name: str) -> bool:
        try:
            if not self.tool_repo.is_tool_enabled(name):
                self.tool_repo.enable_tool(name)
        except Exception:
            logger.exception("cannot enable %s", name)
            return False
        return True

    def suspend(self) -> None:
        """Stop touching the tools (a workflow does that)."""
        self.suspended = True

    def resume(self) -> None:
        """Manage the tools again."""
        self.suspended = False

    def set_topic_changed(self, topic_changed: bool) -> None:
        """Take note of what the model said about the topic."""
        self.topic_changed = topic_changed
