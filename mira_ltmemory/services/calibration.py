"""Measures what searches find by chance in one user's memory, so that "nothing likely" can be told from a find."""

from __future__ import annotations

from collections import defaultdict

from mira_ltmemory.protocols import Clock, JobReport, JobRun, Kind
from mira_ltmemory.services.search.likely import foreign_to, middle_and_spread
from mira_ltmemory.services.search.searcher import Searcher
from mira_ltmemory.store.calibrations import Calibration, Way
from mira_ltmemory.store.unit_of_work import Store

LEAST_DOCUMENTS = 20
"""Texts of a kind below which there is nothing to measure: what is usual in other memories is then gone by."""


class CalibrationService:
    """Asks questions about what the memory does not hold, and keeps how strong the finds are."""

    def __init__(self, store: Store, searcher: Searcher, clock: Clock) -> None:
        self._store = store
        self._searcher = searcher
        self._clock = clock

    def run(self, run: JobRun) -> JobReport:
        """The daily job: measure messages and passages, where there are enough. Raises ``StoreError``."""
        measured: list[Calibration] = []
        for kind in (Kind.MESSAGE, Kind.PASSAGE):
            if not run.may_go_on():
                break
            calibration = self._measure(kind, run)
            with self._store.upkeep() as unit:
                if calibration is None:
                    unit.calibrations.drop(kind)
                else:
                    unit.calibrations.put(calibration)
                    measured.append(calibration)
        if not measured:
            return JobReport(summary="There is too little to measure searches by.", counts={"calibrated": 0})
        names = " and ".join(f"{each.kind.value}s" for each in measured)
        return JobReport(
            summary=f"Measured what searches of {names} find by chance.",
            counts={"calibrated": len(measured), "questions": sum(each.questions for each in measured)},
        )

    def all(self) -> list[Calibration]:
        """What was measured."""
        with self._store.read() as unit:
            return unit.calibrations.all()

    def _measure(self, kind: Kind, run: JobRun) -> Calibration | None:
        with self._store.read() as unit:
            documents = unit.messages.count() if kind is Kind.MESSAGE else unit.passages.count()
        if documents < LEAST_DOCUMENTS:
            return None
        strengths: dict[Way, list[float]] = defaultdict(list)
        questions = foreign_to(self._searcher.people() if kind is Kind.MESSAGE else ())
        for number, question in enumerate(questions):
            found = self._searcher.measure(kind, question)
            if found is not None:
                strengths[found[0]].append(found[1])
            run.progress("measuring", number + 1, len(questions))
        if not strengths:
            return None
        way, values = max(strengths.items(), key=lambda item: len(item[1]))
        middle, spread = middle_and_spread(values)
        return Calibration(kind, way, middle, spread, len(values), documents, self._clock.now())
