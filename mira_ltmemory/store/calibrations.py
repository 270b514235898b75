"""Rows of what searches find by chance: by kind, and by what the search could go by."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from mira_ltmemory.protocols import Kind
from mira_ltmemory.store.rows import Rows

_WRITE = """
INSERT INTO ltmemory.search_calibrations (user_id, kind, way, mean, spread, questions, documents, measured_at)
VALUES (:user_id, :kind, :way, :mean, :spread, :questions, :documents, :measured_at)
ON CONFLICT (user_id, kind, way) DO UPDATE SET mean = EXCLUDED.mean, spread = EXCLUDED.spread,
    questions = EXCLUDED.questions, documents = EXCLUDED.documents, measured_at = EXCLUDED.measured_at
"""


class Way(StrEnum):
    """What a search goes by, besides words and all that is less: strengths of different ways do not compare."""

    WORDS = "words"
    VECTORS = "vectors"
    TOKENS = "tokens"


@dataclass(frozen=True, slots=True)
class Calibration:
    """Strength of what is found by chance: mean and spread over so many questions, among so many documents."""

    kind: Kind
    way: Way
    mean: float
    spread: float
    questions: int
    documents: int
    measured_at: datetime


class CalibrationRows(Rows):
    """The user's calibrations."""

    def all(self) -> list[Calibration]:
        """Every calibration, by kind."""
        rows = self.execute(
            "SELECT kind, way, mean, spread, questions, documents, measured_at FROM ltmemory.search_calibrations "
            "WHERE user_id = :user_id ORDER BY kind, way"
        )
        return [
            Calibration(
                Kind(row.kind), Way(row.way), row.mean, row.spread, row.questions, row.documents, row.measured_at
            )
            for row in rows
        ]

    def of(self, kind: Kind, way: Way) -> Calibration | None:
        """The calibration of a kind; none where none was measured."""
        return next((each for each in self.all() if each.kind is kind and each.way is way), None)

    def put(self, measured: Calibration) -> None:
        """Store a calibration in place of the one before."""
        self.execute(
            _WRITE,
            kind=measured.kind.value,
            way=measured.way.value,
            mean=measured.mean,
            spread=measured.spread,
            questions=measured.questions,
            documents=measured.documents,
            measured_at=measured.measured_at,
        )

    def drop(self, kind: Kind) -> None:
        """Forget the calibrations of a kind: too little is left to measure."""
        self.execute(
            "DELETE FROM ltmemory.search_calibrations WHERE user_id = :user_id AND kind = :kind", kind=kind.value
        )
