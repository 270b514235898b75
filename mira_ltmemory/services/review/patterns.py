"""A pattern across conversations, with the evidence that it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """What was noticed. ``key`` names it among patterns of its ``kind``, week after week.

    ``terms`` are the words that it is about; patterns of one kind that share a term are the same one. ``evidence``
    are messages (``of_passages``: facts), oldest first; ``since`` is when the first of them was said.
    """

    kind: str
    key: str
    text: str
    terms: tuple[str, ...]
    evidence: Sequence[UUID]
    since: datetime
    until: datetime
    of_passages: bool = False

    @property
    def count(self) -> int:
        """How many rows stand behind it."""
        return len(self.evidence)
