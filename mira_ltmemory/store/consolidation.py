"""What consolidation reads of the user's memory, and how far each of its steps has come."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from uuid import UUID

from mira_ltmemory.store.rows import Rows

START = UUID(int=0)
"""Before every row."""

_SET_MARK = """
INSERT INTO ltmemory.consolidation_marks (user_id, step, through, row_id, at)
VALUES (:user_id, :step, :through, :row_id, :at)
ON CONFLICT (user_id, step) DO UPDATE SET through = EXCLUDED.through, row_id = EXCLUDED.row_id, at = EXCLUDED.at
"""


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a step has come: rows up to (``through``, ``row_id``) are done. ``at`` is when that was noted."""

    through: int = -1
    row_id: UUID = START
    at: dt.datetime | None = None


class ConsolidationRows(Rows):
    """Consolidation's own questions to the user's rows."""

    def mark(self, step: str) -> Mark:
        """How far a step has come; before every row where it never ran."""
        row = self.execute(
            "SELECT through, row_id, at FROM ltmemory.consolidation_marks WHERE user_id = :user_id AND step = :step",
            step=step,
        ).one_or_none()
        return Mark() if row is None else Mark(row.through, row.row_id, row.at)

    def set_mark(self, step: str, through: int, row_id: UUID, at: dt.datetime) -> None:
        """Note how far a step has come."""
        self.execute(_SET_MARK, step=step, through=through, row_id=row_id, at=at)

    def active_days(self, zone: str) -> list[dt.date]:
        """The days, in an IANA time zone, on which the user said something."""
        rows = self.execute(
            "SELECT DISTINCT CAST(said_at AT TIME ZONE :zone AS date) AS day FROM ltmemory.messages "
            "WHERE user_id = :user_id AND role = 'user'",
            zone=zone,
        )
        return sorted(row.day for row in rows)
