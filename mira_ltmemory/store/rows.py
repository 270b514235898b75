"""What the row collections of a unit of work share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Connection, TextClause, inspect, text
from sqlalchemy.engine import CursorResult
from sqlmodel import Session

from mira_ltmemory.store.models import Base

if TYPE_CHECKING:
    from mira_ltmemory.store.unit_of_work import SqlUnitOfWork


def column_values(row: Base) -> dict[str, Any]:
    """Return a row's values by column name, as a bulk insert wants them; attributes may be named otherwise."""
    return {attribute.columns[0].name: getattr(row, attribute.key) for attribute in inspect(type(row)).column_attrs}


def sliced(blobs: Iterable[bytes]) -> dict[str, Any]:
    """Many byte strings as one, and where each lies: one literal in place of an array of escaped ones."""
    parts = list(blobs)
    sizes = [len(part) for part in parts]
    starts = list(accumulate(sizes, initial=1))
    return {"packed": b"".join(parts), "sizes": sizes, "starts": starts[:-1]}


@lru_cache(maxsize=512)
def _clause(statement: str) -> TextClause:
    """A statement that was read for its parameters: searches ask the same ones again and again."""
    return text(statement)


class Rows:
    """Queries over one part of memory, inside one transaction of one user."""

    def __init__(self, unit: SqlUnitOfWork) -> None:
        self._unit = unit

    @property
    def user_id(self) -> UUID:
        """The user whose rows these are."""
        return self._unit.user_id

    @property
    def session(self) -> Session:
        """The transaction's session."""
        return self._unit.session

    @property
    def connection(self) -> Connection:
        """The transaction's connection, for statements that need no objects."""
        return self._unit.connection

    def execute(self, statement: str | TextClause, **parameters: Any) -> CursorResult[Any]:
        """Run one statement; ``:user_id`` is always bound."""
        clause = _clause(statement) if isinstance(statement, str) else statement
        values: Mapping[str, Any] = {"user_id": self.user_id, **parameters}
        return self.connection.execute(clause, values)

    def stream(self, statement: str, fetched: int, **parameters: Any) -> CursorResult[Any]:
        """Run a query whose rows are fetched by and by, ``fetched`` at a time."""
        values: Mapping[str, Any] = {"user_id": self.user_id, **parameters}
        return self.connection.execute(
            text(statement), values, execution_options={"stream_results": True, "yield_per": fetched}
        )
