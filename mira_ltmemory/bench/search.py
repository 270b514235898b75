"""Measures searches among many rows: recall against exact search, time beside the raw index, filters, small users.

Rows and their vectors are generated; the embedding of each query is the real model's work, after which the vector that
belongs to the generated question takes the place of the model's.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
from sqlalchemy import Connection

from mira_ltmemory.bench.generated import Generator, Question, sizes
from mira_ltmemory.bench.loading import load
from mira_ltmemory.bench.measuring import Timing, alternate
from mira_ltmemory.bench.places import kept_memory, temporary_memory, users_of
from mira_ltmemory.bench.raw import NEAREST, RawQueries
from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.protocols import Filter, Kind, Origin, Progress, TokenEmbedder, no_progress
from mira_ltmemory.services.index_upkeep import WANTED_RECALL
from mira_ltmemory.services.search import Searcher
from mira_ltmemory.store.condition import DatabaseState, database_state
from mira_ltmemory.store.search import CandidateQuery, index_name
from mira_ltmemory.store.search.exact import share_found
from mira_ltmemory.store.search.sql import Plan, VectorSide, condition
from mira_ltmemory.store.search.upkeep import IndexState
from mira_ltmemory.store.vector_text import vector_text

if TYPE_CHECKING:
    from mira_ltmemory.protocols import EmbeddingModel, TokenSpace, TokenVectors, Vectors

KIND = Kind.PASSAGE
EFFORTS = (40, 60, 80, 100, 120, 150, 200, 250, 300, 400, 500, 600, 800, 1_000)

FILTERS: dict[str, Filter] = {
    "tag on half of the rows": Filter(tags=("half",)),
    "tag on 10 %": Filter(tags=("tenth",)),
    "tag on 1 %": Filter(tags=("hundredth",)),
    "tag on 0.1 %": Filter(tags=("thousandth",)),
    "both tags (5 %)": Filter(tags=("half", "tenth"), tag_match_mode="all"),
    "origin of half": Filter(origins=(Origin.USER,)),
    "dates of half": Filter(start=datetime(2023, 7, 2, tzinfo=UTC)),
    "dates of 1 %": Filter(start=datetime(2024, 12, 21, tzinfo=UTC)),
    "dates of 0.1 %": Filter(start=datetime(2024, 12, 30, 22, tzinfo=UTC)),
}
"""What the filtered searches filter by, and about how much that leaves."""

SAMPLE = 400
"""Questions whose answers are compared: one in a hundred may be lost wholly, so that few tell little."""

_GUIDE = "ivfflat_of_the_guide"


class PlantedEmbedder:
    """The real model, whose work is done and timed; of questions that are known, the planted vector is returned."""

    def __init__(self, real: TokenEmbedder) -> None:
        self._real = real
        self.planted: dict[str, Vectors] = {}

    @property
    def model(self) -> EmbeddingModel:
        """The real model."""
        return self._real.model

    def token_space(self) -> TokenSpace:
        """The real model's."""
        return self._real.token_space()

    def embed(self, texts: Sequence[str]) -> Vectors:
        """The real model's vectors, or the planted ones."""
        return self._plant(texts, self._real.embed(texts))

    def embed_tokens(
        self, texts: Sequence[str], space: TokenSpace, skip: Any = ()
    ) -> tuple[Vectors, list[TokenVectors]]:
        """The same, with the real model's tokens."""
        vectors, tokens = self._real.embed_tokens(texts, space, skip)
        return self._plant(texts, vectors), tokens

    def _plant(self, texts: Sequence[str], vectors: Vectors) -> Vectors:
        return np.stack([self.planted.get(text, vector) for text, vector in zip(texts, vectors, strict=True)])


@dataclass(frozen=True, slots=True)
class Small:
    """The smallest user: ``rows``, questions with the same answers as alone, and the time of both."""

    rows: int
    asked: int
    same: int
    timings: dict[str, Timing]


@dataclass(frozen=True, slots=True)
class Filtered:
    """A filtered search: rows that pass as the search tells, its time, and its share of the 10 nearest that pass."""

    name: str
    total: int
    timing: Timing
    recall: float


@dataclass(slots=True)
class SearchReport:
    """Everything that was measured."""

    rows: int
    users: int
    recall: float = 0.0
    effort: int = 0
    raw_recall: float = 0.0
    raw_effort: int = 0
    guide_recall: float | None = None
    timings: dict[str, Timing] = field(default_factory=dict)
    filtered: list[Filtered] = field(default_factory=list)
    small: Small | None = None
    index: IndexState | None = None
    database: DatabaseState | None = None
    process_bytes: int = 0


def measure(
    settings: dict[str, Any], *, rows: int, users: int, seed: int, questions: int, keep: Path | None, guide: bool,
    progress: Progress = no_progress,
) -> SearchReport:  # fmt: skip
    """Generate, load, build and measure. Raises ``ConfigError`` and ``StoreError``."""
    with ExitStack() as stack:
        memory = stack.enter_context(kept_memory(settings, keep) if keep is not None else temporary_memory(settings))
        planted = PlantedEmbedder(_real_model(memory))
        generator = Generator(rows, planted.model.dimension, seed)
        people = list(enumerate(sizes(rows, users)))
        everyone = users_of(memory, planted)
        _fill(everyone, generator, people, keep, progress)
        report = SearchReport(rows, users)
        every = generator.questions(0, rows, max(questions, SAMPLE))
        asked = every[:questions]
        main = everyone(0)
        _plant(main, planted, asked)
        owner = stack.enter_context(memory.database.maintenance())
        if guide:
            _build_guide(owner, planted.model.dimension, _model_id(main), progress)
        _compare(report, main, owner, asked, every[:SAMPLE], guide=guide, progress=progress)
        report.filtered = [_filtered(main, name, each, asked) for name, each in FILTERS.items()]
        report.index = next(each for each in main.indexes.states() if each.kind is KIND)
        report.database = database_state(memory.database)
        report.process_bytes = psutil.Process().memory_info().rss
        if users > 1:
            report.small = _smallest(settings, everyone, planted, generator, people[-1])
        return report


def _real_model(memory: MemoryManager) -> TokenEmbedder:
    assert isinstance(memory.embedder, TokenEmbedder), "the benchmark needs the embedding model"
    return memory.embedder


def _model_id(memory: MemoryManager) -> int:
    found = memory.embeddings.model_id()
    assert found is not None, "the benchmark needs the embedding model"
    return found


def _fill(
    everyone: Callable[[int], MemoryManager], generator: Generator, people: list[tuple[int, int]], keep: Path | None,
    progress: Progress,
) -> None:  # fmt: skip
    """Load the users, the smallest first, unless that was done before; then build and measure the index."""
    note = None if keep is None else keep / "loaded.json"
    wanted = {"rows": generator.rows, "users": len(people), "seed": generator.seed}
    main = everyone(0)
    model_id = _model_id(main)
    if note is None or not note.exists() or json.loads(note.read_text()) != wanted:
        main.database.maintain([f"DROP INDEX IF EXISTS ltmemory.{index_name(model_id, KIND)}"])
        load(main.database, lambda number: everyone(number).store, generator, people[::-1], model_id, progress)
        if note is not None:
            note.write_text(json.dumps(wanted))
    progress("building the index", 0, 1)
    main.indexes.build()
    progress("building the index", 1, 1)
    main.indexes.tune()
    progress("measuring the index", 1, 1)


def _plant(memory: MemoryManager, embedder: PlantedEmbedder, asked: Sequence[Question]) -> None:
    reader = Searcher(memory.store, None, memory.settings.zone)
    embedder.planted |= {reader.read(KIND, each.text).rewritten: each.vector for each in asked}


def _compare(
    report: SearchReport, memory: MemoryManager, owner: Connection, asked: list[Question], sample: list[Question],
    *, guide: bool, progress: Progress,
) -> None:  # fmt: skip
    """Recall of our vector part, of the raw query with as much effort as gives the same, and the time of all."""
    cursor = owner.connection.cursor()
    dimension, model_id, user = len(asked[0].vector), _model_id(memory), memory.store.user_id
    raw = RawQueries(cursor, dimension, model_id)
    vectors = np.array([each.vector for each in sample], np.float32)
    progress("exact searches", 0, 1)
    exact, whole = raw.exact(vectors, user), raw.exact(vectors)
    progress("exact searches", 1, 1)
    own = [_near(memory, each.vector, Filter()) for each in sample]
    report.recall = _mean_share(own, exact)
    report.effort = next(each.effort for each in memory.indexes.states() if each.kind is KIND)
    for effort in EFFORTS:
        raw.effort(effort)
        report.raw_recall = _mean_share([raw.nearest(each.vector) for each in sample], whole)
        report.raw_effort = effort
        if report.raw_recall >= min(report.recall, WANTED_RECALL) - 0.0005:
            break
    things: dict[str, Callable[[int], object]] = {
        "raw HNSW": lambda n: raw.nearest(asked[(n + len(asked) // 3) % len(asked)].vector),
        "hybrid search": lambda n: _search(memory, asked[n % len(asked)].text, Filter()),
    }
    if guide:
        report.guide_recall = _mean_share([raw.guide(each.vector) for each in sample], whole)
        things["the guide's IVFFlat"] = lambda n: raw.guide(asked[(n + 2 * len(asked) // 3) % len(asked)].vector)
    things["embedding a query"] = lambda n: _embed(memory, asked[n % len(asked)].text)
    report.timings = alternate(things, len(asked), warmups=max(10, len(asked)))


def _search(memory: MemoryManager, text: str, wanted: Filter) -> Any:
    return memory.archival.search(text, wanted, NEAREST)


def _embed(memory: MemoryManager, text: str) -> object:
    return memory.embeddings.embed_query(text)


def _near(memory: MemoryManager, vector: Vectors, wanted: Filter) -> list[float]:
    """Distances of the 10 nearest of the rows that the vector part of a search finds."""
    query = CandidateQuery(kind=KIND, filter=wanted, terms={}, vector=vector, model_id=_model_id(memory))
    with memory.store.read() as unit:
        found = unit.search.candidates(query)
    cosine = found.cosine[found.eligible]
    return sorted((1 - cosine[~np.isnan(cosine)]).tolist())[:NEAREST]


def _filtered(memory: MemoryManager, name: str, wanted: Filter, asked: list[Question]) -> Filtered:
    some = asked[:30]
    timing, total = Timing(), 0
    for each in [*some[:3], *some]:
        began = Timing()
        with began.once():
            total = _search(memory, each.text, wanted).total
        timing.seconds += began.seconds
    timing.seconds = timing.seconds[3:]
    passes = condition(KIND, wanted)
    side = VectorSide(_model_id(memory), len(asked[0].vector), Plan.EXACT)
    rows = f"SELECT r.id, r.content_hash FROM ltmemory.passages r WHERE r.user_id = :user_id AND {passes.sql}"
    near = side.among(KIND, rows)
    shares = []
    for each in some[:5]:
        with memory.store.read() as unit:
            found = unit.search.execute(near, vector=vector_text(each.vector), nearest=NEAREST, **passes.parameters)
            true = [float(row.distance) for row in found]
        if true:
            shares.append(share_found(_near(memory, each.vector, wanted), true))
    return Filtered(name, total, timing, sum(shares) / len(shares) if shares else 1.0)


def _smallest(
    settings: dict[str, Any], everyone: Callable[[int], MemoryManager], embedder: PlantedEmbedder,
    generator: Generator, who: tuple[int, int],
) -> Small:  # fmt: skip
    """Ask the smallest user's questions among all users, and where nobody else is."""
    number, rows = who
    among = everyone(number)
    asked = generator.questions(number, rows, 20)
    _plant(among, embedder, asked)
    with temporary_memory(settings) as place:
        alone = users_of(place, embedder)(number)
        load(place.database, lambda _: alone.store, generator, [who], _model_id(alone), no_progress)
        alone.indexes.build()
        same = sum(_answers(among, each.text) == _answers(alone, each.text) for each in asked)
        things: dict[str, Callable[[int], object]] = {
            "alone": lambda n: _search(alone, asked[n % len(asked)].text, Filter()),
            "among all": lambda n: _search(among, asked[n % len(asked)].text, Filter()),
        }
        return Small(rows, len(asked), same, alternate(things, 5 * len(asked), warmups=len(asked)))


def _answers(memory: MemoryManager, text: str) -> list[uuid.UUID]:
    return [hit.id for hit in _search(memory, text, Filter()).hits]


def _build_guide(owner: Connection, dimension: int, model_id: int, progress: Progress) -> None:
    """The index that the guide names, over the same vectors."""
    progress("the guide's index", 0, 1)
    owner.exec_driver_sql("SET maintenance_work_mem = '1GB'")
    owner.exec_driver_sql(
        f"CREATE INDEX IF NOT EXISTS {_GUIDE} ON ltmemory.vectors USING ivfflat "
        f"((embedding::vector({dimension})) vector_cosine_ops) WITH (lists = 100) "
        f"WHERE model_id = {model_id} AND kind = '{KIND.value}'"
    )
    progress("the guide's index", 1, 1)


def _mean_share(found: Sequence[Sequence[float]], true: Sequence[Sequence[float]]) -> float:
    shares = [share_found(near, right) for near, right in zip(found, true, strict=True) if right]
    return sum(shares) / max(1, len(shares))
