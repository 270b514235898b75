"""Measures what an update of the prompt costs: every part of it, for a new message and for none.

The passages are generated, and their vectors are not those of their texts: a query comes with a vector of its own, and
with the vectors of its words, which the real model made before. The embedding of a message is timed apart.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table
from sqlalchemy import text

from mira_ltmemory.bench.generated import Generator, Question
from mira_ltmemory.bench.loading import load
from mira_ltmemory.bench.measuring import Timing, alternate, timing_table
from mira_ltmemory.bench.places import kept_memory, temporary_memory, users_of
from mira_ltmemory.bench.raw import RawQueries
from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.errors import InvalidArgument
from mira_ltmemory.protocols import EmbeddingModel, IncomingMessage, Kind, Origin, Progress, Role, TokenEmbedder
from mira_ltmemory.store.search import index_name, register_model

if TYPE_CHECKING:
    from mira_ltmemory.protocols import TokenSpace, TokenVectors, Vectors

RAW = "raw HNSW query, 10 rows"
LIVE = 20
"""Messages that the host still holds."""

NOTE = "loaded.json"
"""What a kept store holds, as `bench search` notes it."""


class GivenVectors:
    """An embedding model that knows the vectors of some questions and of their words, and needs no time for them."""

    def __init__(self, real: TokenEmbedder, questions: Sequence[Question]) -> None:
        self._real = real
        self._vectors = {question.text: question.vector for question in questions}
        self._tokens: dict[str, TokenVectors] = {}

    @property
    def model(self) -> EmbeddingModel:
        """The real model."""
        return self._real.model

    def token_space(self) -> TokenSpace:
        """The real model's."""
        return self._real.token_space()

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return the given vectors. Raises ``KeyError`` for a text that is none of those."""
        return np.stack([self._vectors[text] for text in texts])

    def embed_tokens(
        self, texts: Sequence[str], space: TokenSpace, skip: Any = ()
    ) -> tuple[Vectors, list[TokenVectors]]:
        """The same, with the tokens that the real model makes when a text is first asked for."""
        for each in texts:
            if each not in self._tokens:
                self._tokens[each] = self._real.embed_tokens([each], space, skip)[1][0]
        return self.embed(texts), [self._tokens[text] for text in texts]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A filled memory that answers questions with the vectors that belong to them; ``effort`` is its ``ef_search``."""

    memory: MemoryManager
    questions: Sequence[Question]
    embedder: TokenEmbedder
    rows: int
    model_id: int
    effort: int


@contextmanager
def prepared(
    settings: dict[str, Any], rows: int, questions: int, progress: Progress, *, place: Path | None = None,
    keep: Path | None = None,
) -> Iterator[Prepared]:  # fmt: skip
    """A filled memory: a new one below ``place`` that is removed, or what `bench search` kept in ``keep``.

    Raises ``InvalidArgument`` where nothing is kept there, ``ConfigError`` and ``StoreError``.
    """
    if keep is not None:
        try:
            rows = int(json.loads((keep / NOTE).read_text())["rows"])
        except (OSError, ValueError, KeyError) as error:
            raise InvalidArgument(f"{keep} holds no store of `bench search --keep`: {error}") from error
    with kept_memory(settings, keep) if keep is not None else temporary_memory(settings, place) as opened:
        if not isinstance(opened.embedder, TokenEmbedder):
            raise InvalidArgument("the measurement needs the embedding model")
        generator = Generator(rows, opened.embedder.model.dimension)
        given = GivenVectors(opened.embedder, generator.questions(0, rows, questions))
        memory = users_of(opened, given)(0)
        model_id = register_model(opened.database, given.model)
        if keep is None:
            _fill(memory, generator, model_id, progress)
        state = next(each for each in memory.indexes.states() if each.kind is Kind.PASSAGE)
        yield Prepared(memory, generator.questions(0, rows, questions), opened.embedder, rows, model_id, state.effort)


def _fill(memory: MemoryManager, generator: Generator, model_id: int, progress: Progress) -> None:
    with memory.database.owner() as connection:
        connection.execute(text(f"DROP INDEX ltmemory.{index_name(model_id, Kind.PASSAGE)}"))
    load(memory.database, lambda _: memory.store, generator, [(0, generator.rows)], model_id, progress)
    progress("indexing", 0, 1)
    memory.archival.pack_words()
    memory.indexes.build()
    memory.indexes.tune()
    progress("indexing", 1, 1)


def measure(prepared: Prepared, rounds: int) -> dict[str, Timing]:
    """Time the raw query, the embedding of a message, and updates of every part of the prompt, turn by turn."""
    memory, questions = prepared.memory, prepared.questions
    held: list[IncomingMessage] = [_message(number, "we talked about it", memory) for number in range(LIVE)]
    memory.attend(lambda: held)
    parts = memory.providers()
    for question in questions:
        memory.embeddings.embed_query(question.text)  # so that their words have vectors by then
    turn = [LIVE]

    def update(number: int) -> None:
        turn[0] += 1
        held.append(_message(turn[0], questions[number % len(questions)].text, memory))
        del held[:-LIVE]
        again(number)

    def again(_number: int) -> None:
        with memory.updating():  # as the host does
            for part in parts:
                part.render()

    def embed(number: int) -> None:
        prepared.embedder.embed([f"{questions[number % len(questions)].text} {turn[0]}"])

    with memory.database.maintenance() as owner:
        raw = RawQueries(owner.connection.cursor(), len(questions[0].vector), prepared.model_id)
        raw.effort(prepared.effort)

        def ask(number: int) -> None:
            # Not the one that is searched for next: its pages would be at hand.
            raw.nearest(questions[(number + len(questions) // 2) % len(questions)].vector)

        return alternate(
            {
                RAW: ask,
                "embedding one message": embed,
                "update for a new message": update,
                "update, nothing new": again,
            },
            rounds,
            warmups=max(3, len(questions)),
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
