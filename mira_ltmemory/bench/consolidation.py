"""Measures a run of consolidation: near-duplicates among many passages, then half of them into cold storage."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
from sqlalchemy import text

from mira_ltmemory.bench.generated import Generator
from mira_ltmemory.bench.loading import load
from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.errors import StoreError
from mira_ltmemory.protocols import Actor, Change, Filter, Kind, Progress
from mira_ltmemory.store.models import content_hash
from mira_ltmemory.store.search.index import HnswSettings, index_definition, index_name

PLANTED = 50
"""Of so many passages one gets a near-duplicate, which says all of it and one sentence more."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a run did and took. ``before`` and ``peak`` are this process's memory at its start and at most, in bytes;
    ``cold_search`` is in seconds.
    """

    rows: int
    planted: int
    merged: int
    frozen: int
    minutes: float
    before: int
    peak: int
    cold_search: float


def measure(memory: MemoryManager, rows: int, progress: Progress) -> Measured:
    """Fill a memory with ``rows`` passages, plant near-duplicates, and consolidate. Raises ``StoreError``."""
    model = memory.embeddings.model
    if model is None:
        raise StoreError("There is no embedding model to measure with.")
    planted = _fill(memory, rows, *model, progress)
    process = psutil.Process()
    before = peak = process.memory_info().rss

    def watch(label: str, done: int, total: int) -> None:
        nonlocal peak
        peak = max(peak, process.memory_info().rss)
        progress(label, done, total)

    began = time.perf_counter()
    done = memory.consolidation.consolidate(progress=watch)
    minutes = (time.perf_counter() - began) / 60
    peak = max(peak, process.memory_info().rss)
    query = "what did we say about the house and the river"
    memory.archival.search(query, Filter(tiers=("cold",)))
    began = time.perf_counter()
    memory.archival.search(query, Filter(tiers=("cold",)))
    return Measured(
        rows=rows + planted,
        planted=planted,
        merged=done.counts["merged"],
        frozen=done.counts["to cold storage"],
        minutes=minutes,
        before=before,
        peak=peak,
        cold_search=time.perf_counter() - began,
    )


def _fill(memory: MemoryManager, rows: int, model_id: int, dimension: int, progress: Progress) -> int:
    with _index_built_afterwards(memory, model_id, dimension):
        generator = Generator(rows, dimension)
        load(memory.database, lambda _: memory.store, generator, [(0, rows)], model_id, progress)
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
