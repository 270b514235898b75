"""Uses: which memories were shown to the model, and on which day of the user's calendar."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import tzinfo
from uuid import UUID

from mira_ltmemory.errors import LtMemoryError
from mira_ltmemory.protocols import Clock, Hit, Kind
from mira_ltmemory.services.problems import Problems
from mira_ltmemory.store.unit_of_work import Store

PROBLEM = "uses of memories"


class UseService:
    """Notes what was shown to the model. It never fails the search whose hits it notes."""

    def __init__(self, store: Store, clock: Clock, problems: Problems, zone: tzinfo) -> None:
        self._store = store
        self._clock = clock
        self._problems = problems
        self._zone = zone

    def shown(self, hits: Iterable[Hit]) -> None:
        """Note that these hits were shown, in one small transaction. What goes wrong is told in the status only."""
        by_kind: dict[Kind, list[UUID]] = {}
        for hit in hits:
            if hit.kind in (Kind.MESSAGE, Kind.PASSAGE):
                by_kind.setdefault(hit.kind, []).append(hit.id)
        if not by_kind:
            return
        day = self._clock.now().astimezone(self._zone).date()
        try:
            with self._store.upkeep() as unit:
                for kind in sorted(by_kind):
                    unit.uses.record(kind, by_kind[kind], day)
        except LtMemoryError as error:
            self._problems.set(PROBLEM, f"are not noted, so that importance lacks them: {error}")
        else:
            self._problems.clear(PROBLEM)
