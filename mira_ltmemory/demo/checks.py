"""What the demo claims at its end: each claim is computed, and a false one fails the demo."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import text

if TYPE_CHECKING:
    from mira_ltmemory.store.unit_of_work import Store


@dataclass(frozen=True)
class Check:
    """One claim. ``soft``: a model that does as it likes may make it false without failing the demo."""

    claim: str
    holds: bool
    detail: str = ""
    soft: bool = False


@dataclass
class Checks:
    """All claims so far."""

    made: list[Check] = field(default_factory=list)

    def add(self, claim: str, holds: object, detail: str = "", *, soft: bool = False) -> bool:
        """Write a claim down, and return whether it holds."""
        self.made.append(Check(claim, bool(holds), detail, soft))
        return bool(holds)

    @property
    def passed(self) -> bool:
        """Whether every claim holds that must."""
        return all(check.holds or check.soft for check in self.made)


def tables_holding(store: Store, needles: Iterable[str]) -> dict[str, list[str]]:
    """Return which tables of the schema hold which of the texts, in any column, whatever the case."""
    found: dict[str, list[str]] = {}
    with store.read() as unit:
        connection = unit.session.connection()
        names = connection.scalars(
            text(
                "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
                "WHERE n.nspname = 'ltmemory' AND c.relkind IN ('r', 'p') "
                "AND has_table_privilege(c.oid, 'SELECT') ORDER BY 1"
            )
        ).all()
        for needle in needles:
            for name in names:
                query = f"SELECT 1 FROM {name} AS t WHERE strpos(lower(t::text), lower(:needle)) > 0 LIMIT 1"  # noqa: S608
                if connection.scalar(text(query), {"needle": needle}) is not None:
                    found.setdefault(needle, []).append(name)
    return found
