"""Measures a run of consolidation: near-duplicates among many passages, summaries, then half into cold storage."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import psutil
from sqlalchemy import text

from mira_ltmemory.bench.generated import Generator, Question
from mira_ltmemory.bench.loading import load
from mira_ltmemory.bench.measuring import Timing
from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.errors import StoreError
from mira_ltmemory.protocols import Actor, Change, Filter, Kind, Progress
from mira_ltmemory.store.codes import cosines
from mira_ltmemory.store.models import content_hash
from mira_ltmemory.store.search import CandidateQuery
from mira_ltmemory.store.search.index import HnswSettings, index_definition, index_name
from mira_ltmemory.store.unit_of_work import SqlUnitOfWork

PLANTED = 50
"""Of so many passages one gets a near-duplicate, which says all of it and one sentence more."""

TALK = 5
"""Of so many passages one message is stored beside them: from 33,000 on there are days with enough to sum up."""

QUESTIONS = 20


@dataclass(frozen=True, slots=True)
class Measured:
    """What a run did and took. ``before`` and ``peak`` are this process's memory at its start and at most, in bytes;
    ``steps`` are minutes by the name that progress tells; ``cold_search`` is in seconds, the median; ``cold_recall`` is
    the share of the ten nearest cold passages that its search by bits finds.
    """

    rows: int
    messages: int
    planted: int
    merged: int
    summaries: int
    frozen: int
    minutes: float
    steps: Mapping[str, float]
    before: int
    peak: int
    cold_search: float
    cold_recall: float


def measure(memory: MemoryManager, rows: int, progress: Progress) -> Measured:
    """Fill a memory with ``rows`` passages, plant near-duplicates, and consolidate. Raises ``StoreError``."""
    model = memory.embeddings.model
    if model is None:
        raise StoreError("There is no embedding model to measure with.")
    planted = _fill(memory, rows, *model, progress)
    process = psutil.Process()
    before = peak = process.memory_info().rss
    steps: dict[str, float] = {}
    last = began = time.perf_counter()

    def watch(label: str, done: int, total: int) -> None:
        nonlocal peak, last
        now = time.perf_counter()
        steps[label] = steps.get(label, 0.0) + (now - last) / 60
        peak, last = max(peak, process.memory_info().rss), now
        progress(label, done, total)

    done = memory.consolidation.consolidate(progress=watch)
    minutes = (time.perf_counter() - began) / 60
    peak = max(peak, process.memory_info().rss)
    search, recall = _cold_search(memory, rows)
    return Measured(
        rows=rows + planted,
        messages=rows // TALK,
        planted=planted,
        merged=done.counts["merged"],
        summaries=done.counts.get("summaries", 0),
        frozen=done.counts.get("to cold storage", 0),
        minutes=minutes,
        steps=steps,
        before=before,
        peak=peak,
        cold_search=search,
        cold_recall=recall,
    )


def _cold_search(memory: MemoryManager, rows: int) -> tuple[float, float]:
    """Median seconds of a whole search of cold storage, and recall@10 of its part by meaning."""
    model = memory.embeddings.model
    assert model is not None
    model_id, dimension = model
    # The visibility of what moved, as autovacuum notes it sooner or later.
    memory.store.database.maintain(["VACUUM ANALYZE ltmemory.cold_texts", "VACUUM ANALYZE ltmemory.passages"])
    questions = Generator(rows, dimension).questions(0, rows, QUESTIONS)
    timing, shares = Timing(), []
    for question in questions:
        with timing.once():
            memory.archival.search(question.text, Filter(tiers=("cold",)))
        wanted = CandidateQuery(
            kind=Kind.PASSAGE, filter=Filter(), terms={}, vector=question.vector, model_id=model_id
        )  # fmt: skip
        with memory.store.read() as unit:
            found = unit.cold.candidates(wanted)
            near = sorted(zip(-found.cosine, (row.id for row in found.rows), strict=True))[:10]
            least = _tenth(unit, question, model_id)
        shares.append(sum(-distance >= least - 1e-6 for distance, _ in near) / 10)
    return timing.median, sum(shares) / len(shares)


def _tenth(unit: SqlUnitOfWork, question: Question, model_id: int) -> float:
    """Cosine of the tenth nearest current cold passage, of all."""
    statement = (
        "SELECT c.code FROM ltmemory.cold_texts c "
        "JOIN ltmemory.passages r ON r.user_id = c.user_id AND r.id = c.row_id "
        "WHERE c.user_id = :user_id AND c.kind = 'passage' AND c.model_id = :model_id AND r.valid_until IS NULL"
    )
    best = np.zeros(0)
    for part in unit.cold.stream(statement, 5_000, model_id=model_id).partitions():
        best = np.sort(np.concatenate([best, cosines([row.code for row in part], question.vector)]))[-10:]
    return float(best[0])


def _fill(memory: MemoryManager, rows: int, model_id: int, dimension: int, progress: Progress) -> int:
    with _index_built_afterwards(memory, model_id, dimension):
        generator = Generator(rows, dimension)
        load(memory.database, lambda _: memory.store, generator, [(0, rows)], model_id, progress)
        load(memory.database, lambda _: memory.store, generator, [(1, rows // TALK)], model_id, progress, Kind.MESSAGE)
        planted = _plant(memory, model_id)
        with memory.database.owner() as connection:
            # Facts, not notes on request, all of them current: what consolidation has to go through.
            connection.execute(text("SET LOCAL session_replication_role = replica"))
            own = {"user_id": memory.store.user_id}
            connection.execute(text("SELECT set_config('ltmemory.user_id', CAST(:user_id AS text), true)"), own)
            connection.execute(
                text(
                    "UPDATE ltmemory.passages SET tier = 'hot', category = 'fact', origin = 'user' "
                    "WHERE user_id = :user_id"
                ),
                own,
            )
    memory.store.database.maintain(["ANALYZE ltmemory.passages", "ANALYZE ltmemory.vectors"])
    memory.archival.pack_words()
    return planted


def _plant(memory: MemoryManager, model_id: int) -> int:
    with memory.store.read() as unit:
        rows = unit.passages.execute(
            "SELECT id, content FROM ltmemory.passages WHERE user_id = :user_id ORDER BY id"
        ).all()[::PLANTED]
    with memory.store.write(Change(Actor.SYSTEM, "bench", "near-duplicates")) as unit:
        for row in rows:
            content, copy = f"{row.content}. It was told twice.", uuid.uuid4()
            unit.passages.execute(
                "INSERT INTO ltmemory.passages (user_id, id, version, change_set_id, origin, metadata, content, "
                "content_hash, tags, tier, said_at) SELECT user_id, :copy, 1, :change, origin, metadata, :content, "
                ":hash, tags, 'hot', said_at FROM ltmemory.passages WHERE user_id = :user_id AND id = :id",
                copy=copy, change=unit.change_set_id, content=content, hash=content_hash(content), id=row.id,
            )  # fmt: skip
            unit.passages.execute(
                "INSERT INTO ltmemory.vectors (user_id, kind, row_id, model_id, content_hash, embedding) "
                "SELECT user_id, kind, :copy, model_id, :hash, embedding FROM ltmemory.vectors "
                "WHERE user_id = :user_id AND kind = 'passage' AND row_id = :id AND model_id = :model_id",
                copy=copy, hash=content_hash(content), id=row.id, model_id=model_id,
            )  # fmt: skip
            unit.words.add(Kind.PASSAGE, [(copy, content)])
    return len(rows)


@contextmanager
def _index_built_afterwards(memory: MemoryManager, model_id: int, dimension: int) -> Iterator[None]:
    memory.database.maintain([f"DROP INDEX ltmemory.{index_name(model_id, Kind.PASSAGE)}"])
    yield
    with memory.database.owner() as connection:
        connection.execute(text("SET LOCAL maintenance_work_mem = '1GB'"))
        connection.execute(text(index_definition(model_id, Kind.PASSAGE, dimension, HnswSettings(16, 64))))
