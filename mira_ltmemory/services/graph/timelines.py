"""Keeps the periods of what one has one of at a time, as a window's statements are placed in them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from mira_ltmemory.services.graph.periods import Period, Placed, Statement, place
from mira_ltmemory.store.models import Relation
from mira_ltmemory.store.unit_of_work import SqlUnitOfWork

ONE_AT_A_TIME = frozenset({"lives_in", "married_to"})
"""Of these a newer one ends the older: nobody lives in two places for what memory knows."""


class Timelines:
    """The relations of each subject that hold one at a time, those that are yet to be stored included.

    What a statement changes at stored relations is changed at once.
    """

    def __init__(self, unit: SqlUnitOfWork) -> None:
        self._unit = unit
        self._periods: dict[tuple[UUID, str], list[Period]] = {}
        self._new: dict[UUID, Relation] = {}
        self.ended = 0

    def place(
        self, subject: UUID, predicate: str, object: UUID, source: UUID, at: datetime, since: datetime | None
    ) -> Placed:
        """Place what a message said of a subject; where it is a new relation, `add` has to follow."""
        statement = Statement(frozenset(self._family(object)), source, at, since)
        placed = place(self._of(subject, predicate), statement)
        if placed.same is not None and source not in placed.same.sources:
            placed.same.said.append(at)
            placed.same.sources.add(source)
        if placed.same is not None and placed.begins is not None:
            placed.same.valid_from = placed.begins
            self._bound(placed.same)
        for period, until in placed.ends:
            period.until = until
            self._bound(period)
            self.ended += 1
        return placed

    def add(self, relation: Relation, source: UUID, at: datetime) -> None:
        """Take a new relation in."""
        self._new[relation.id] = relation
        period = Period(relation.id, relation.object_id, relation.valid_from, relation.valid_until, [at], {source})
        self._of(relation.subject_id, relation.predicate).append(period)

    def _bound(self, period: Period) -> None:
        relation = self._new.get(period.id)
        if relation is None:
            self._unit.graph.bound_relation(period.id, period.valid_from, period.until)
        else:
            relation.valid_from, relation.valid_until = period.valid_from, period.until

    def _of(self, subject: UUID, predicate: str) -> list[Period]:
        family = self._family(subject)
        key = min(family), predicate
        if key not in self._periods:
            self._periods[key] = [
                Period(row.id, row.object_id, row.valid_from, row.valid_until, list(row.said), set(row.sources))
                for row in self._unit.graph.periods(family, predicate)
            ]
        return self._periods[key]

    def _family(self, entity_id: UUID) -> list[UUID]:
        return self._unit.graph.kin([entity_id]).get(entity_id, [entity_id])
