"""Recall canaries: compares what the indexes answer with what is true on live data, and says what to run."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from mira_ltmemory.protocols import Clock, Kind
from mira_ltmemory.services.embeddings import EmbeddingService
from mira_ltmemory.services.problems import Problems
from mira_ltmemory.store.condition import DatabaseState, TableState, database_state
from mira_ltmemory.store.search.canaries import Coverage
from mira_ltmemory.store.search.upkeep import IndexState, IndexUpkeep
from mira_ltmemory.store.unit_of_work import Store

LEAST_RECALL = 0.95
"""Recall@10 below which an index is said to answer badly; upkeep aims at .99."""

STUCK = timedelta(hours=26)
"""How long a text may wait for its vector: a night without a computer is no reason to worry."""

SEARCH, WORDS, QUEUE, INDEXES = "vector index", "word index", "embedding queue", "indexes"
TOPICS = (SEARCH, WORDS, QUEUE, INDEXES)

_BUILD = "Run: mira-ltmemory index build"
_KINDS = (Kind.MESSAGE, Kind.PASSAGE)
_PLANNED_ROWS = 20_000
_TABLES_OF_A_SEARCH = ("messages", "passages", "vectors", "word_documents")
_DEAD_SHARE, _DEAD_ROWS = 0.3, 10_000
_OLD_AGE = 1_000_000_000
_TIMED, _SLOW_S = 5, 3.0
_CLOSER = 50
"""Rows that are asked for where a smaller sample looked bad: of five, one that lies badly is a fifth."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; where it is not ``right``, ``remedy`` is what to run."""

    topic: str
    right: bool
    told: str
    remedy: str = ""


class Doctor:
    """Examines one user's memory and the database that it is in.

    ``operations`` are timed, by what to call them; ``tune`` lets searches look further in the vector indexes.
    """

    def __init__(
        self, store: Store, clock: Clock, embeddings: EmbeddingService, problems: Problems, *,
        max_embedded_chars: int, tokens: bool, operations: Mapping[str, Callable[[], object]] | None = None,
        tune: Callable[[], object] = lambda: None,
    ) -> None:  # fmt: skip
        self._store = store
        self._clock = clock
        self._embeddings = embeddings
        self._problems = problems
        self._max_embedded_chars = max_embedded_chars
        self._tokens = tokens
        self._operations = operations or {}
        self._tune = tune

    def examine(self, sample: int = 20, seed: int | None = None) -> list[Finding]:
        """Look at everything, closely at ``sample`` rows of each kind. Raises ``StoreError``."""
        chance = random.Random(seed)  # noqa: S311 (a sample, no secret)
        states = IndexUpkeep(self._store.database).states()
        found = [*self._indexes(states), *self._vacuum()]
        for kind in _KINDS:
            found += self._vectors(kind, states, sample, chance)
            found += self._words(kind, sample, chance, whole=True)
            found += self._coverage(kind)
            found += self._plan(kind, states)
        return [*found, *self._queue(), *self._jobs(), *self._latencies()]

    def check(self, sample: int = 5) -> list[Finding]:
        """The part that is cheap enough for every few hours; what is wrong is told in the prompt's status.

        Searches that find too little look further from then on; only what that does not mend is told.
        """
        chance = random.Random()  # noqa: S311
        states = IndexUpkeep(self._store.database).states()
        found = [*self._indexes(states), *self._queue()]
        found += self._recall(states, sample, chance)
        for kind in _KINDS:
            found += self._words(kind, sample, chance, whole=False)
        for topic in TOPICS:
            wrong = [each for each in found if each.topic == topic and not each.right]
            if wrong:
                self._problems.set(topic, " ".join(f"{each.told} {each.remedy}".strip() for each in wrong))
            else:
                self._problems.clear(topic)
        return found

    def _indexes(self, states: list[IndexState]) -> Iterator[Finding]:
        for state in states:
            if not state.there:
                told = f"{state.name} is missing: searches by meaning compare every row."
                yield Finding(INDEXES, not self._has_vectors(), told, _BUILD)
            elif not state.valid:
                told = f"{state.name} is invalid: a build failed, and searches do not use it."
                yield Finding(INDEXES, False, told, _BUILD)
            else:
                yield Finding(INDEXES, True, f"{state.name}: about {state.rows:,} rows, {state.size >> 20} MB.")
        for name in IndexUpkeep(self._store.database).invalid():
            if name not in {state.name for state in states}:
                told = f"{name} was left by a build that failed, and costs with every write."
                yield Finding(INDEXES, False, told, _BUILD)

    def _has_vectors(self) -> bool:
        with self._store.read() as unit:
            return unit.vectors.count() > 0

    def _recall(self, states: list[IndexState], sample: int, chance: random.Random) -> list[Finding]:
        """What searches by meaning find of a few rows; looked at more closely, and mended, where that is too little."""
        for asked in (sample, _CLOSER):
            found = [each for kind in _KINDS for each in self._vectors(kind, states, asked, chance)]
            if all(each.right for each in found):
                return found
        self._tune()
        states = IndexUpkeep(self._store.database).states()
        return [each for kind in _KINDS for each in self._vectors(kind, states, _CLOSER, chance)]

    def _vectors(self, kind: Kind, states: list[IndexState], sample: int, chance: random.Random) -> Iterator[Finding]:
        model_id = self._model_id()
        state = next((each for each in states if each.model_id == model_id and each.kind is kind), None)
        if model_id is None or state is None or not state.valid:
            return
        with self._store.read() as unit:
            tried = unit.canaries.vectors(kind, model_id, state.dimension, sample, [state.effort], 1.0, chance)
        for asked in tried:
            told = f"The vector index finds {asked.recall:.1%} of the 10 nearest {kind.value}s ({asked.asked} asked)."
            yield Finding(SEARCH, asked.recall >= LEAST_RECALL, told, "Run: mira-ltmemory index tune")

    def _words(self, kind: Kind, sample: int, chance: random.Random, *, whole: bool) -> Iterator[Finding]:
        with self._store.read() as unit:
            found = unit.canaries.words(kind, sample, chance, whole=whole)
        if not found.checked and not found.wrong:
            return
        told = f"The word index of {kind.value}s agrees with {found.checked} texts that were read again."
        if found.wrong:
            told = (
                f"The word index of {kind.value}s is off: {found.without_document} rows are not in it, "
                f"{found.without_row} of its documents have no row, its totals are off by {found.totals_off}, "
                f"{found.terms_off} texts and {found.postings_off} postings of {found.checked} texts differ."
            )
        yield Finding(WORDS, not found.wrong, told, "Run: mira-ltmemory index words")

    def _coverage(self, kind: Kind) -> Iterator[Finding]:
        model_id = self._model_id()
        if model_id is None:
            yield Finding(QUEUE, False, "There is no embedding model at hand: search works by words only.")
            return
        with self._store.read() as unit:
            found: Coverage = unit.canaries.coverage(kind, model_id, self._max_embedded_chars, tokens=self._tokens)
        bare = f", {found.without_tokens} vectors have none of their words" if found.without_tokens else ""
        told = f"{found.texts} {kind.value}s: {found.waiting} wait for a vector, {found.lost} have none{bare}."
        right = not found.lost and not found.without_tokens
        yield Finding(QUEUE, right, told, "Run: mira-ltmemory work health_check process_conversations")

    def _queue(self) -> Iterator[Finding]:
        with self._store.read() as unit:
            oldest = unit.canaries.oldest_waiting()
        if oldest is not None and self._clock.now() - oldest > STUCK:
            hours = (self._clock.now() - oldest) // timedelta(hours=1)
            told = f"A text has waited {hours} hours for its vector: nothing embeds."
            yield Finding(QUEUE, False, told, "Run: mira-ltmemory work process_conversations")

    def _plan(self, kind: Kind, states: list[IndexState]) -> Iterator[Finding]:
        model_id = self._model_id()
        state = next((each for each in states if each.model_id == model_id and each.kind is kind), None)
        if model_id is None or state is None or state.rows < _PLANNED_ROWS:
            return
        with self._store.read() as unit:
            lines = unit.canaries.plan(kind, model_id, state.dimension)
        scanned = [table for table in _TABLES_OF_A_SEARCH if any(f"Seq Scan on {table} " in line for line in lines)]
        led = any(state.name in line for line in lines)
        told = f"The plan of a search over {kind.value}s uses the indexes."
        if scanned or not led:
            told = f"The plan of a search over {kind.value}s " + (
                f"reads all of {', '.join(scanned)}." if scanned else f"does not use {state.name}."
            )
        yield Finding(INDEXES, led and not scanned, told, _BUILD)

    def _vacuum(self) -> Iterator[Finding]:
        state: DatabaseState = database_state(self._store.database)
        for table in state.tables:
            if _is_bloated(table):
                told = f"Of {table.name}, {table.dead:,} rows are dead beside {table.live:,}: vacuum does not keep up."
                yield Finding("vacuum", False, told, _BUILD)
        if not state.autovacuum:
            yield Finding("vacuum", False, "autovacuum is off: tables grow without end.", "Switch it on.")
        if state.age > _OLD_AGE:
            yield Finding(
                "vacuum", False, f"Rows were not frozen for {state.age:,} transactions.", "Run: VACUUM FREEZE"
            )
        yield Finding("database", True, f"The database takes {state.size >> 20} MB.")

    def _latencies(self) -> Iterator[Finding]:
        for name, operation in self._operations.items():
            taken = []
            for _ in range(_TIMED):
                began = time.perf_counter()
                operation()
                taken.append(time.perf_counter() - began)
            middle = sorted(taken)[_TIMED // 2]
            told = f"{name} takes {middle * 1000:,.0f} ms (the middle one of {_TIMED})."
            yield Finding("latency", middle < _SLOW_S, told, _BUILD)

    def _jobs(self) -> Iterator[Finding]:
        with self._store.read() as unit:
            failed = [job for job in unit.jobs.all() if job.consecutive_failures >= 2]
        for job in failed:
            told = f"The job {job.name} failed {job.consecutive_failures} times in a row: {job.last_error}"
            yield Finding("jobs", False, told, f"Run: mira-ltmemory work {job.name}")

    def _model_id(self) -> int | None:
        return self._embeddings.model_id()


def _is_bloated(table: TableState) -> bool:
    return table.dead > _DEAD_ROWS and table.dead > _DEAD_SHARE * (table.live + table.dead)
