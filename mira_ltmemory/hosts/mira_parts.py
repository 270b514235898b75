"""MIRA's dict where there is none yet: while MIRA still starts, only four of its parts are handed over.

The others are found from those four. The engine holds the language model and working memory its managers. The
conversation is given to nobody, but it holds the working memory, so it is among the objects that refer to it.
"""

from __future__ import annotations

import gc
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_KNOWN_FOR_S = 5.0
"""How long a conversation that was found is taken for the present one; MIRA may open another."""
_UNKNOWN_FOR_S = 1.0
"""How long to wait before looking again where none was found. A look takes about 20 ms with a million objects."""


class MiraParts(dict[str, Any]):
    """MIRA's dict as far as it is known. ``complete`` hands over the rest, once MIRA has it."""

    def __init__(self, parts: Mapping[str, Any]) -> None:
        super().__init__(parts)
        self._whole: Mapping[str, Any] = {}
        self._found: weakref.ref[Any] | None = None
        self._look_again_at = 0.0

    def complete(self, system: Mapping[str, Any]) -> None:
        """Look up what is asked for in MIRA's own dict first, from now on."""
        self._whole = system

    def get(self, key: str, default: Any = None) -> Any:
        """Return a part: as MIRA names it, as it was handed over, or as it is found."""
        part = self._whole.get(key)
        if part is None:
            part = super().get(key)
        if part is None and key in _FINDERS:
            part = _FINDERS[key](self)
        return default if part is None else part

    def find_conversation(self) -> Any:
        """Return the conversation that shows our working memory, or None; of several the one spoken in last."""
        found = None if self._found is None else self._found()
        if time.monotonic() < self._look_again_at:
            return found
        candidates = list(_holders(super().get("working_memory")))
        found = max(candidates, key=_last_spoken, default=None)
        self._found = None if found is None else weakref.ref(found)
        self._look_again_at = time.monotonic() + (_UNKNOWN_FOR_S if found is None else _KNOWN_FOR_S)
        return found


def _holders(working_memory: Any) -> Iterator[Any]:
    """Yield the conversations that hold the working memory."""
    if working_memory is None:
        return
    for referrer in gc.get_referrers(working_memory):
        # An object's attributes are the object itself, or a dict beside it, as Python sees fit.
        owners = gc.get_referrers(referrer) if isinstance(referrer, dict) and "messages" in referrer else [referrer]
        for owner in owners:
            if _attribute(owner, "working_memory") is working_memory and isinstance(owner.messages, list):
                yield owner


def _attribute(thing: Any, name: str) -> Any:
    """Return what an object itself holds under a name, without running code of its class."""
    try:
        held = object.__getattribute__(thing, "__dict__")
    except (AttributeError, TypeError):
        return None
    return held.get(name) if isinstance(held, dict) and isinstance(held.get("messages"), list) else None


def _last_spoken(conversation: Any) -> str:
    """Return when the last message was said, as text that can be compared; nothing was said at the very first."""
    return str(getattr(conversation.messages[-1], "created_at", "")) if conversation.messages else ""


def _of_conversation(name: str) -> Callable[[MiraParts], Any]:
    return lambda parts: getattr(parts.find_conversation(), name, None)


def _find_bridge(parts: MiraParts) -> Any:
    found = getattr(parts.get("automation_engine"), "llm_bridge", None)
    return found if found is not None else getattr(parts.find_conversation(), "llm_bridge", None)


_FINDERS: dict[str, Callable[[MiraParts], Any]] = {
    "conversation": MiraParts.find_conversation,
    "tool_relevance_engine": _of_conversation("tool_relevance_engine"),
    "workflow_manager": _of_conversation("workflow_manager"),
    "llm_bridge": _find_bridge,
}
