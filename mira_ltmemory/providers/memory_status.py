"""The state of memory in the prompt: how much there is, and what is off."""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from mira_ltmemory.errors import StoreError
from mira_ltmemory.protocols import in_zone
from mira_ltmemory.providers.budget import shortened, within
from mira_ltmemory.services.problems import Problems
from mira_ltmemory.services.status import StatusService
from mira_ltmemory.templates import render


class MemoryStatusProvider:
    """Renders counts and problems, in ``limit`` characters. ``status`` is none where there is no memory at all."""

    name = "memory_status"

    def __init__(
        self,
        status: StatusService | None,
        problems: Problems,
        zone: ZoneInfo,
        search_tools: Sequence[str] = (),
        *,
        limit: int = 1500,
    ) -> None:
        self._status = status
        self._problems = problems
        self._zone = zone
        self._search_tools = tuple(search_tools)
        self._limit = limit

    def render(self) -> str:
        """Return the status; a database that stopped answering is part of it, not an error."""
        problems = self._problems.all()
        counts = None
        if self._status is not None:
            try:
                read = self._status.read_quickly()
            except StoreError as error:
                problems["database"] = str(error)
            else:
                counts = {
                    "messages": read.messages,
                    "passages": read.passages,
                    "conversations": read.conversations,
                    "pending": read.pending,
                    "oldest": read.oldest and in_zone(read.oldest, self._zone).date().isoformat(),
                    "newest": read.newest and in_zone(read.newest, self._zone).date().isoformat(),
                }
        told = [(subject, shortened(text, self._limit // 2)) for subject, text in problems.items()]

        def shown(some: Sequence[tuple[str, str]]) -> str:
            left_out = len(told) - len(some)
            return render(
                "memory_status", status=counts, problems=some, left_out=left_out, search_tools=self._search_tools
            )

        return within(told, shown, self._limit)[0] or shown(())
