"""What is off at the moment, in sentences for the prompt's memory status."""

from __future__ import annotations

import logging
import threading

from mira_ltmemory.errors import one_line

logger = logging.getLogger(__name__)


class Problems:
    """Known problems by subject. Thread-safe; each new problem is logged once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._texts: dict[str, str] = {}

    def set(self, subject: str, text: str) -> None:
        """Say that something is off, and how to mend it, in one line: foreign text must not look like a heading."""
        text = one_line(text)
        with self._lock:
            known = self._texts.get(subject) == text
            self._texts[subject] = text
        if not known:
            logger.warning("%s: %s", subject, text)

    def clear(self, subject: str) -> None:
        """Say that it works again."""
        with self._lock:
            mended = self._texts.pop(subject, None) is not None
        if mended:
            logger.info("%s works again", subject)

    def all(self) -> dict[str, str]:
        """Every known problem, by subject."""
        with self._lock:
            return dict(sorted(self._texts.items()))
