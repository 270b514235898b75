"""Rows of uses: on which days of the user's calendar a memory was shown to the model."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from mira_ltmemory.protocols import Kind
from mira_ltmemory.store.rows import Rows

MAX_DAYS = 32
"""Days kept of one row; the uses of earlier days are added to the oldest of them."""

MAX_COUNT = 1_000_000

_TABLES = {Kind.MESSAGE: "messages", Kind.PASSAGE: "passages"}

# The locks hold off an erasure until this transaction ends; ordered, so that two searches wait and never deadlock.
# An update of the prompt does not wait for the disk: a crash may lose the uses of the last moment, and nothing else.
_RECORD = """
SET LOCAL synchronous_commit = off;
WITH shown AS (
    SELECT r.id FROM ltmemory.{table} r
    WHERE r.user_id = :user_id AND r.id = ANY(CAST(:ids AS uuid[])) ORDER BY r.id FOR KEY SHARE
)
INSERT INTO ltmemory.uses AS u (user_id, kind, row_id, day, count)
SELECT :user_id, :kind, s.id, CAST(:day AS date), 1 FROM shown s
ON CONFLICT (user_id, kind, row_id, day) DO UPDATE SET count = least(u.count + 1, :most)
"""

_FOLD = """
WITH ranked AS (
    SELECT kind, row_id, day, count, row_number() OVER (PARTITION BY kind, row_id ORDER BY day DESC) AS place
    FROM ltmemory.uses WHERE user_id = :user_id
), gone AS (
    DELETE FROM ltmemory.uses u USING ranked r
    WHERE u.user_id = :user_id AND u.kind = r.kind AND u.row_id = r.row_id AND u.day = r.day AND r.place > :days
    RETURNING u.kind, u.row_id, u.count
), summed AS (
    SELECT kind, row_id, sum(count) AS count FROM gone GROUP BY kind, row_id
)
UPDATE ltmemory.uses u SET count = least(u.count + s.count, :most) FROM summed s
JOIN ranked r ON r.kind = s.kind AND r.row_id = s.row_id AND r.place = :days
WHERE u.user_id = :user_id AND u.kind = r.kind AND u.row_id = r.row_id AND u.day = r.day
"""

_DROP_ORPHANS = """
DELETE FROM ltmemory.uses u WHERE u.user_id = :user_id AND u.kind = :kind
    AND NOT EXISTS (SELECT FROM ltmemory.{table} r WHERE r.user_id = u.user_id AND r.id = u.row_id)
"""


@dataclass(frozen=True, slots=True)
class UsedOn:
    """How often a row was shown on one day."""

    day: dt.date
    count: int


class UseRows(Rows):
    """The user's uses."""

    def record(self, kind: Kind, ids: Sequence[UUID], day: dt.date) -> None:
        """Count one use more of each of these rows on a day; rows that are gone get none."""
        if ids:
            self.execute(
                _RECORD.format(table=_TABLES[kind]), kind=kind.value, ids=sorted(set(ids)), day=day, most=MAX_COUNT
            )

    def of(self, kind: Kind, ids: Sequence[UUID]) -> dict[UUID, list[UsedOn]]:
        """The uses of rows, by row; the latest day first."""
        found: dict[UUID, list[UsedOn]] = defaultdict(list)
        for row in self.execute(
            "SELECT row_id, day, count AS shown FROM ltmemory.uses WHERE user_id = :user_id AND kind = :kind "
            "AND row_id = ANY(CAST(:ids AS uuid[])) ORDER BY row_id, day DESC",
            kind=kind.value,
            ids=list(ids),
        ):
            found[row.row_id].append(UsedOn(row.day, row.shown))
        return dict(found)

    def tidy(self) -> None:
        """Keep it bounded: drop the uses of rows that are gone, and keep at most `MAX_DAYS` days of each row."""
        for kind, table in _TABLES.items():
            self.execute(_DROP_ORPHANS.format(table=table), kind=kind.value)
        self.execute(_FOLD, days=MAX_DAYS, most=MAX_COUNT)

    def erase(self, kind: Kind, ids: Sequence[UUID]) -> int:
        """Remove every use of rows; tell how many days that were."""
        return self.execute(
            "DELETE FROM ltmemory.uses WHERE user_id = :user_id AND kind = :kind "
            "AND row_id = ANY(CAST(:ids AS uuid[]))",
            kind=kind.value,
            ids=list(ids),
        ).rowcount
