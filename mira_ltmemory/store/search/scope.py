"""What a filter leaves of a user's rows: how many, and where they are few, which, and the nearest of them.

The plan of a search follows from that. A sample of the rows, spread evenly over the time of their storing, tells
whether they are many; only where they may be few they are counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mira_ltmemory.protocols import Kind
from mira_ltmemory.store.rows import Rows
from mira_ltmemory.store.search.sql import TABLES, Condition, VectorSide
from mira_ltmemory.store.words import KIND_NUMBERS

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXACT_ROWS = 2_000
"""Up to so many rows every vector is compared: a few ms, and nothing is missed."""

EXACT_BALANCE, EXACT_BALANCE_FILTERED = 11.0, 15.0
"""Times the square root of the index's rows: up to there, comparing every row costs no more than the index would.

Of an index of m rows, comparing n costs n times what a row costs; to find 100 of them, the index visits 100 * m / n of
its own rows at about the same price, and may lose its way.
"""

SAMPLED = 400
"""Rows that are looked at to guess how many pass a filter."""

_SAMPLE = """
SELECT count(*) AS known, count(*) FILTER (WHERE {passes}) AS passing
FROM unnest(CAST(:documents AS int[])) AS u (document)
JOIN ltmemory.word_documents d ON d.user_id = :user_id AND d.kind = :kind_number AND d.document = u.document
JOIN {table} r ON r.user_id = :user_id AND r.id = d.row_id
"""

_FEW = """
WITH passing AS MATERIALIZED (
    SELECT r.id, r.content_hash FROM {table} r WHERE r.user_id = :user_id AND {passes} LIMIT :most + 1
), counted AS (SELECT count(*) AS n FROM passing)
SELECT n, CASE WHEN n <= :most THEN (
    SELECT string_agg(int4send(d.document), ''::bytea) FROM passing p JOIN ltmemory.word_documents d
    ON d.user_id = :user_id AND d.kind = :kind_number AND d.row_id = p.id
) END AS documents, {nearest} AS nearest FROM counted
"""

_NEAREST = "CASE WHEN n <= :most THEN ARRAY(SELECT CAST(id AS text) FROM ({among}) a) END"


@dataclass(frozen=True, slots=True)
class Scope:
    """How many rows pass: counted where they are few, else estimated, with what ``share`` of all that is.

    Few ones are named by ``documents``; ``nearest`` are the ids nearest to the query, where one was given.
    """

    total: int
    share: float = 1.0
    documents: NDArray[np.int32] | None = None
    nearest: list[str] | None = None


class ScopeRows(Rows):
    """Looks at what a filter leaves."""

    def read(
        self, kind: Kind, passes: Condition, documents: int, size: int, most: int, side: VectorSide | None = None,
        **near: Any,
    ) -> Scope:  # fmt: skip
        """What passes of ``documents`` rows, which are numbered below ``size``; at most ``most`` count as few.

        ``near`` are the parameters of ``side``.
        """
        if documents > most:
            known, passing = self._sampled(kind, passes, size)
            share = passing / max(1, known)
            # Two standard deviations of the sample: fewer than that are not sure to be many.
            if (share - 2 * (passing**0.5) / max(1, known)) * documents > most:
                return Scope(round(share * documents), share)
        else:
            share = 1.0
        found = self.few(kind, passes, most, side, **near)
        if found.documents is not None:
            return found
        total = max(found.total, round(share * documents))
        return Scope(total, total / max(1, documents))

    def few(self, kind: Kind, passes: Condition, most: int, side: VectorSide | None = None, **near: Any) -> Scope:
        """Every row that passes, where they are at most ``most``; else only that there are more."""
        among = side.among(kind, "SELECT id, content_hash FROM passing") if side is not None else ""
        row = self.execute(
            _FEW.format(
                table=TABLES[kind],
                passes=passes.sql,
                nearest=_NEAREST.format(among=among) if among else "NULL",
            ),
            kind_number=KIND_NUMBERS[kind],
            most=most,
            **passes.parameters,
            **near,
        ).one()
        if row.n > most:
            return Scope(int(row.n))
        documents = np.frombuffer(row.documents or b"", ">i4").astype(np.int32)
        return Scope(int(row.n), documents=documents, nearest=row.nearest)

    def _sampled(self, kind: Kind, passes: Condition, size: int) -> tuple[int, int]:
        documents = np.unique(np.linspace(0, max(0, size - 1), SAMPLED).astype(np.int64)).tolist()
        row = self.execute(
            _SAMPLE.format(table=TABLES[kind], passes=passes.sql),
            kind_number=KIND_NUMBERS[kind],
            documents=documents,
            **passes.parameters,
        ).one()
        return int(row.known), int(row.passing)
