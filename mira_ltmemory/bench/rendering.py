"""Measures what an update of the prompt costs: every part of it, for a new message and for none.

The passages are generated, and their vectors are not those of their texts: a query comes with a vector of its own, and
the embedding of a message is timed apart, with the real model. Rows have no token vectors here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table
from sqlalchemy import text

from mira_ltmemory.bench.generated import Generator, Question
from mira_ltmemory.bench.loading import load
from mira_ltmemory.bench.measuring import Timing, alternate, timing_table
from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.protocols import EmbeddingModel, IncomingMessage, Kind, Origin, Progress, Role
from mira_ltmemory.store.search import index_name, register_model
from mira_ltmemory.store.search.index import index_definition, settings_for

if TYPE_CHECKING:
    from mira_ltmemory.protocols import Vectors

RAW = "raw HNSW query, 10 rows"
EF_SEARCH = 100
LIVE = 20
"""Messages that the host still holds."""

_RAW = """
SELECT v.row_id FROM ltmemory.vectors v
WHERE v.user_id = :user_id AND v.kind = 'passage' AND v.model_id = {model_id}
ORDER BY CAST(v.embedding AS halfvec({dimension})) <=> CAST(:vector AS halfvec({dimension})) LIMIT 10
"""


class GivenVectors:
    """An embedding model that knows the vectors of some texts, and needs no time for them."""

    def __init__(self, model: EmbeddingModel, questions: Sequence[Question]) -> None:
        self.model = model
        self._vectors = {question.text: question.vector for question in questions}

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return the given vectors. Raises ``KeyError`` for a text that is none of those."""
        return np.stack([self._vectors[text] for text in texts])


@dataclass(frozen=True, slots=True)
class Prepared:
    """A filled memory that answers questions with the vectors that belong to them."""

    memory: MemoryManager
    questions: Sequence[Question]
    model_id: int
    dimension: int


def prepare(opened: MemoryManager, rows: int, questions: int, progress: Progress) -> Prepared:
    """Fill a memory with ``rows`` passages of one user, and build their index. Raises ``StoreError``."""
    if opened.embedder is None:
        raise ValueError("the measurement needs an embedding model")
    model = opened.embedder.model
    model_id = register_model(opened.database, model)
    name = f"ltmemory.{index_name(model_id, Kind.PASSAGE)}"
    with opened.database.owner() as connection:
        connection.execute(text(f"DROP INDEX {name}"))
    generator = Generator(rows, model.dimension)
    load(opened.database, lambda _: opened.store, generator, [(0, rows)], model_id, progress)
    progress("indexing", 0, 1)
    with opened.database.owner() as connection:
        connection.execute(text("SET LOCAL maintenance_work_mem = '3GB'"))
        connection.execute(text(index_definition(model_id, Kind.PASSAGE, model.dimension, settings_for(rows))))
    opened.archival.pack_words()
    opened.database.maintain(["VACUUM (ANALYZE) ltmemory.passages", "VACUUM (ANALYZE) ltmemory.vectors", "ANALYZE"])
    progress("indexing", 1, 1)
    asked = generator.questions(0, rows, questions)
    memory = MemoryManager(opened.settings, opened.database, clock=opened.clock, embedder=GivenVectors(model, asked))
    return Prepared(memory, asked, model_id, model.dimension)


def measure(prepared: Prepared, opened: MemoryManager, rounds: int) -> dict[str, Timing]:
    """Time the raw query, the embedding of a message, and updates of every part of the prompt, turn by turn."""
    memory, questions = prepared.memory, prepared.questions
    held: list[IncomingMessage] = [_message(number, "we talked about it", memory) for number in range(LIVE)]
    memory.attend(lambda: held)
    parts = memory.providers()
    statement = text(_RAW.format(model_id=prepared.model_id, dimension=prepared.dimension))
    turn = [LIVE]

    def raw(number: int) -> None:
        with memory.store.read() as unit:
            unit.passages.execute(f"SET LOCAL hnsw.ef_search = {EF_SEARCH}")
            unit.passages.execute(statement, vector=_literal(questions[number % len(questions)].vector)).all()

    def update(number: int) -> None:
        turn[0] += 1
        held.append(_message(turn[0], questions[number % len(questions)].text, memory))
        del held[:-LIVE]
        again(number)

    def again(_number: int) -> None:
        for part in parts:
            part.render()

    def embed(number: int) -> None:
        assert opened.embedder is not None
        opened.embedder.embed([f"{questions[number % len(questions)].text} {turn[0]}"])

    return alternate(
        {RAW: raw, "embedding one message": embed, "update for a new message": update, "update, nothing new": again},
        rounds,
        warmups=max(3, rounds // 5),
    )


def table(measured: dict[str, Timing], rows: int) -> Table:
    """The timings beside the raw query."""
    return timing_table(f"An update of the whole prompt, {rows:,} passages", measured, RAW)


def _message(number: int, content: str, memory: MemoryManager) -> IncomingMessage:
    said_at: datetime = memory.clock.now()
    return IncomingMessage(
        conversation_id="live", external_id=str(number), role=Role.USER, content=content, said_at=said_at,
        origin=Origin.USER,
    )  # fmt: skip


def _literal(vector: Vectors) -> str:
    return "[" + ",".join(f"{number:.6g}" for number in vector.tolist()) + "]"
