"""Which memories leave the indexes for cold storage, and which come back: decided by importance and by bounds.

A passage goes when nobody said, changed or used it for ``max_age`` active days and its importance is below ``least``,
or when it ended as long ago. Where more than ``max_passages`` are hot, the least important go first. Notes that were
made on request and the summaries of months, years and topics stay, whatever the bound. What was shown while it was cold
comes back. Messages have no importance of their own: beyond ``max_messages`` the oldest leave the index that were not
shown for as long.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar
from zoneinfo import ZoneInfo

from mira_ltmemory.protocols import Category, Clock, Kind
from mira_ltmemory.services.consolidation.importance import ActiveDays, Facts, importance
from mira_ltmemory.services.consolidation.run import Run
from mira_ltmemory.services.embeddings import EmbeddingService
from mira_ltmemory.services.problems import Problems
from mira_ltmemory.store.consolidation import Standing
from mira_ltmemory.store.unit_of_work import Store

BATCH = 250
KEPT_LEVELS = frozenset({"month", "year", "topic"})
KINDS = (Kind.MESSAGE, Kind.PASSAGE)
PROBLEM = "size of current memory"
T = TypeVar("T")
_LONG_AGO = dt.date(1, 1, 1)


@dataclass(frozen=True, slots=True)
class Bounds:
    """When memories go cold: ``max_age`` in active days, ``least`` importance, and how many may be hot."""

    max_age: int
    least: float
    max_passages: int
    max_messages: int
    max_chars: int


class Cooling:
    """Moves one user's memories between the tiers."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        embeddings: EmbeddingService,
        problems: Problems,
        zone: str,
        bounds: Bounds,
    ) -> None:
        self._store = store
        self._clock = clock
        self._embeddings = embeddings
        self._problems = problems
        self._zone = zone
        self._bounds = bounds

    def run(self, run: Run) -> None:
        """Bring back what was used, freeze what is old and unimportant, and keep to the bounds."""
        today = self._today()
        with self._store.read() as unit:
            active = ActiveDays(unit.consolidation.active_days(self._zone))
        cutoff = active.before(self._bounds.max_age, today) or _LONG_AGO
        self._warm(run, cutoff)
        self._freeze_passages(run, active, today, cutoff)
        self._freeze_messages(run, cutoff)
        if not run.dry:
            with self._store.upkeep() as unit:
                unit.cold.sweep()
            self._recode(run)

    def importance_of(self, standing: Standing, active: ActiveDays, today: dt.date) -> float:
        """How important a passage is today."""
        return importance(facts_of(standing), active, today)

    def _today(self) -> dt.date:
        return self._clock.now().astimezone(ZoneInfo(self._zone)).date()

    def _warm(self, run: Run, cutoff: dt.date) -> None:
        with self._store.read() as unit:
            passages = unit.consolidation.used_cold(self._zone, cutoff)
            messages = unit.consolidation.used_cold_messages(cutoff)
        # What ended stays where it is: it is found as memory was, and by who asks for it.
        back = [each for each in passages if each.valid_until is None]
        run.counts["brought back"] += len(back) + len(messages)
        if run.dry:
            return
        for some in _chunks(back):
            with self._store.write(run.part("used while cold: back into the indexes")) as unit:
                moved = unit.consolidation.move([(each.id, each.version) for each in some], "hot")
                unit.cold.thaw(Kind.PASSAGE, moved, self._bounds.max_chars)
        for ids in _chunks(messages):
            with self._store.upkeep() as unit:
                unit.cold.thaw(Kind.MESSAGE, ids, self._bounds.max_chars)

    def _freeze_passages(self, run: Run, active: ActiveDays, today: dt.date, cutoff: dt.date) -> None:
        going, left, kept = self._choose(active, today, cutoff)
        run.counts["hot passages"] = left
        run.counts["to cold storage"] += len(going)
        if left > self._bounds.max_passages:
            told = (
                f"{left:,} passages stay in the indexes, more than max_hot_passages ({self._bounds.max_passages:,}): "
                f"{kept:,} of them were kept on request or sum up long periods."
            )
            run.note(told)
            self._problems.set(PROBLEM, told)
        else:
            self._problems.clear(PROBLEM)
        if run.dry:
            return
        for number, some in enumerate(_chunks(going)):
            if not run.may_go_on():
                return
            with self._store.write(run.part("old and unimportant: into cold storage")) as unit:
                moved = unit.consolidation.move([(each.id, each.version) for each in some], "cold")
                unit.cold.freeze(Kind.PASSAGE, moved, sweep=False)
            run.progress("cold storage", min((number + 1) * BATCH, len(going)), len(going))

    def _choose(self, active: ActiveDays, today: dt.date, cutoff: dt.date) -> tuple[list[Standing], int, int]:
        """What goes, how many passages then stay hot, and how many of those the bound may not touch."""
        going: list[Standing] = []
        staying: list[tuple[float, Standing]] = []
        kept = 0
        with self._store.read() as unit:
            for standing in unit.consolidation.standings(self._zone):
                worth = self.importance_of(standing, active, today)
                if standing.valid_until is not None and standing.valid_until <= self._clock.now():
                    if standing.valid_until.date() <= cutoff:
                        going.append(standing)
                    else:
                        staying.append((0.0, standing))
                elif is_kept(standing):
                    kept += 1
                elif last_seen(standing) <= cutoff and worth < self._bounds.least:
                    going.append(standing)
                else:
                    staying.append((worth, standing))
        over = len(staying) + kept - self._bounds.max_passages
        if over > 0:
            staying.sort(key=lambda each: (each[0], each[1].said_at, each[1].id))
            going += [standing for _, standing in staying[:over]]
            staying = staying[over:]
        return going, len(staying) + kept, kept

    def _freeze_messages(self, run: Run, cutoff: dt.date) -> None:
        with self._store.read() as unit:
            over = unit.consolidation.hot_messages() - self._bounds.max_messages
            ids = unit.consolidation.oldest_messages(over, cutoff) if over > 0 else []
        run.counts["messages to cold storage"] += len(ids)
        if run.dry:
            return
        for number, some in enumerate(_chunks(ids)):
            if not run.may_go_on():
                return
            with self._store.upkeep() as unit:
                unit.cold.freeze(Kind.MESSAGE, some, sweep=False)
            run.progress("old messages", min((number + 1) * BATCH, len(ids)), len(ids))

    def _recode(self, run: Run) -> None:
        """Give cold texts without a code under the present model one, and index those that lack words."""
        for kind in KINDS:
            indexed = BATCH
            while indexed == BATCH and run.may_go_on():
                with self._store.upkeep() as unit:
                    indexed = unit.cold.index(kind, BATCH)
        model = self._embeddings.model
        while model is not None and run.may_go_on():
            with self._store.read() as unit:
                texts = unit.cold.uncoded(model[0], self._bounds.max_chars, BATCH)
            embedded = self._embeddings.embed_now([text.content for text in texts]) if texts else None
            if embedded is None:
                break
            with self._store.upkeep() as unit:
                unit.cold.set_codes(texts, embedded.vectors, embedded.model_id)
            run.counts["coded"] += len(texts)
        with self._store.upkeep() as unit:
            unit.cold.sweep()


def facts_of(standing: Standing) -> Facts:
    """What importance is computed from."""
    return Facts(
        touched=standing.touched,
        asked=standing.category == Category.NOTE,
        uses=standing.uses,
        links=standing.links,
        corrections=standing.corrections,
    )


def last_seen(standing: Standing) -> dt.date:
    """The last day on which a passage was said, changed on purpose, or shown."""
    return max([standing.touched, *(day for day, _ in standing.uses)])


def is_kept(standing: Standing) -> bool:
    """Whether a passage never goes cold while it holds: kept on request, or the sum of a long time."""
    return standing.category == Category.NOTE or standing.level in KEPT_LEVELS


def _chunks(rows: Sequence[T]) -> Iterable[list[T]]:
    left = iter(rows)
    while some := list(islice(left, BATCH)):
        yield some
