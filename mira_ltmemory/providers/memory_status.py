"""The state of memory in the prompt: how much there is, and what is off."""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from mira_ltmemory.errors import StoreError
from mira_ltmemory.services.problems import Problems
from mira_ltmemory.services.status import StatusService
from mira_ltmemory.templates import render


class MemoryStatusProvider:
    """Renders counts and problems. ``status`` is none where the memory could not be opened at all."""

    name = "memory_status"

    def __init__(
        self, status: StatusService | None, problems: Problems, zone: ZoneInfo, search_tools: Sequence[str] = ()
    ) -> None:
        self._status = status
        self._problems = problems
        self._zone = zone
        self._search_tools = tuple(search_tools)

    def render(self) -> str:
        """Return the status; a database that stopped answering is part of it, not an error."""
        problems = self._problems.all()
        counts = None
        if self._status is not None:
            try:
                read = self._status.read()
            except StoreError as error:
                problems["database"] = str(error)
            else:
                counts = {
                    "messages": read.messages,
                    "passages": read.passages,
                    "conversations": read.conversations,
                    "pending": read.pending,
                    "oldest": read.oldest and read.oldest.astimezone(self._zone).date().isoformat(),
                    "newest": read.newest and read.newest.astimezone(self._zone).date().isoformat(),
                }
        return render("memory_status", status=counts, problems=problems, search_tools=self._search_tools)
