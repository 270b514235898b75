"""Measures what taking messages in costs beside the embedding model alone, on the same texts in the same run.

A full store is generated first, so that new vectors go into an index of that size. Then batches take turns: the model
alone embeds one, and the memory stores it, indexes its words, embeds it and indexes its vectors. Last, single messages
tell how long it takes until each is found by its words, and by its vector.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

import numpy as np
from rich.table import Table

from mira_ltmemory.bench.embedding import make_texts
from mira_ltmemory.bench.generated import Generator
from mira_ltmemory.bench.loading import load
from mira_ltmemory.bench.measuring import Timing, figures_table
from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.errors import InvalidArgument
from mira_ltmemory.protocols import Filter, IncomingMessage, Kind, Origin, Progress, Role, no_progress
from mira_ltmemory.store.search import CandidateQuery, index_name

BATCH = 64
"""Messages that are handed over, and embedded, at once."""

TARGETS = {"short": 0.5, "long": 0.85}
"""Least share of the bare model's rate that is wanted, by the length of messages."""

NEAREST = 10
_RUN = uuid4().hex[:8]
_NO_MODEL = "the measurement needs an embedding model"
_LONG_EACH = 4  # make_texts gives one long text for so many short ones

PROBES = (
    ("Dr. Halloran vaccinated our beagle puppy", "Halloran", "which pet went to the vet?"),
    ("Marisol bakes sourdough every Sunday", "sourdough", "who makes bread on weekends?"),
    ("Her bicycle got stolen outside the library", "bicycle", "what did a thief take?"),
    ("Tariq plays the cello in an orchestra", "cello", "which classical musician do we know?"),
    ("We booked a ferry across the Adriatic for July", "Adriatic", "what are our summer boat travel plans?"),
)
"""Messages, a word of each, and a question that shares no telling word with its message."""


@dataclass(slots=True)
class Ingested:
    """What one length of messages took, by batch.

    ``bare`` is the model alone, ``words`` the model with all that the memory asks of it (vectors of words too),
    ``storing`` the messages with their words, ``vectors`` embedding them and storing the vectors with their index.
    """

    messages: int = 0
    bare: Timing = field(default_factory=Timing)
    words: Timing = field(default_factory=Timing)
    storing: Timing = field(default_factory=Timing)
    vectors: Timing = field(default_factory=Timing)

    @property
    def bare_rate(self) -> float:
        """Messages a second that the model alone embeds."""
        return self.messages / self.bare.total

    @property
    def words_rate(self) -> float:
        """Messages a second that are embedded with all that the memory asks for."""
        return self.messages / self.words.total

    @property
    def rate(self) -> float:
        """Messages a second that are stored, embedded and indexed."""
        return self.messages / (self.storing.total + self.vectors.total)

    @property
    def ratio(self) -> float:
        """How much of the bare model's rate is left."""
        return self.rate / self.bare_rate


@dataclass(slots=True)
class Between:
    """Single messages: from handed over to stored, found by a word, and found by meaning, each from the start.

    ``early`` counts those that the vectors found for a question in other words before they had one; ``by_words`` and
    ``by_meaning`` those that were found when they should be.
    """

    stored: Timing = field(default_factory=Timing)
    word: Timing = field(default_factory=Timing)
    meaning: Timing = field(default_factory=Timing)
    by_words: int = 0
    early: int = 0
    by_meaning: int = 0


def fill(memory: MemoryManager, rows: int, progress: Progress = no_progress) -> None:
    """Load ``rows`` generated messages with their vectors, and build the indexes, unless they are there.

    Raises ``StoreError``.
    """
    model = memory.embeddings.model
    if model is None:
        raise ValueError(_NO_MODEL)
    number, dimension = model
    database = memory.database
    if memory.recall.count() >= rows:
        memory.recall.pack_words()
        return
    if memory.recall.count():
        raise InvalidArgument(f"The store holds {memory.recall.count()} messages: fill a new one for {rows}.")
    database.maintain([f"DROP INDEX IF EXISTS ltmemory.{index_name(number, Kind.MESSAGE)}"])
    load(
        database, lambda _: memory.store, Generator(rows, dimension), [(0, rows)], number, progress, Kind.MESSAGE
    )  # fmt: skip
    progress("building the index", 0, 1)
    memory.indexes.build()
    memory.recall.pack_words()
    database.maintain([f"VACUUM (ANALYZE) ltmemory.{table}" for table in ("messages", "vectors", "token_vectors")])
    progress("building the index", 1, 1)


def measure(
    memory: MemoryManager,
    messages: int,
    kinds: Sequence[str] = tuple(TARGETS),
    warm: int = 2 * BATCH,
    progress: Progress = no_progress,
) -> dict[str, Ingested]:
    """Take in ``messages`` of each kind in batches, each beside the model alone, after ``warm`` that are not counted.

    Raises ``StoreError``.
    """
    measured = {}
    for kind in kinds:
        made = make_texts((warm + messages) * (_LONG_EACH if kind == "long" else 1))
        texts = made.long if kind == "long" else made.short
        given = [_message(kind, number, texts[number], memory) for number in range(warm + messages)]
        for batch in _batches(given[:warm]):
            _take_in(memory, batch, Ingested())
        found = measured[kind] = Ingested()
        for batch in _batches(given[warm:]):
            _take_in(memory, batch, found)
            progress(f"{kind} messages", found.messages, messages)
    return measured


def measure_between(memory: MemoryManager) -> Between:
    """Store single messages; look for each by a word before it has a vector, and by vector once it has one.

    Raises ``StoreError``.
    """
    found = Between()
    for number, (content, word, question) in enumerate(PROBES):
        message = _message("probes", number, content, memory)
        until = Timing()
        with until.once():
            with found.stored.once():
                memory.capture([message])
            hits = memory.recall.search(word, limit=NEAREST).hits
        found.by_words += any(hit.content == content for hit in hits)
        found.word.seconds.append(until.total)
        found.early += _is_near(memory, question, message)  # no part of the time: it should not be
        with until.once():
            memory.process_pending()
            found.by_meaning += _is_near(memory, question, message)
        found.meaning.seconds.append(until.total)
    return found


def rate_table(measured: dict[str, Ingested], rows: int) -> Table:
    """Messages a second by length, the ratio with its target, and where the time of a batch goes."""
    columns = (
        "messages", "model alone, /s", "with words' vectors, /s", "all of it, /s", "ratio", "target",
        f"storing {BATCH}, ms", "vectors, ms",
    )  # fmt: skip
    shown = [
        (
            f"{each.messages} {kind}",
            *(f"{rate:.0f}" for rate in (each.bare_rate, each.words_rate, each.rate)),
            f"{each.ratio:.2f}",
            f">= {TARGETS[kind]:.2f}",
            *(f"{part.median * 1000:.0f}" for part in (each.storing, each.vectors)),
        )
        for kind, each in measured.items()
    ]  # fmt: skip
    return figures_table(f"Taking messages in, batches of {BATCH}, {rows:,} stored before", columns, shown)


def between_lines(found: Between) -> list[str]:
    """What is told of single messages."""
    number = len(PROBES)
    stored, word, meaning = (each.median * 1000 for each in (found.stored, found.word, found.meaning))
    return [
        f"One message (median of {number}, searches included): stored after {stored:.0f} ms, found by a word after "
        f"{word:.0f} ms, by meaning after {meaning:.0f} ms.",
        f"Found by a word at once: {found.by_words} of {number}; by a question in other words: {found.early} before "
        f"the vector was there, {found.by_meaning} after.",
    ]


def _take_in(memory: MemoryManager, batch: Sequence[IncomingMessage], found: Ingested) -> None:
    """Embed a batch with the model alone, then take it in. Raises ``ValueError`` where some of it is not."""
    if memory.embedder is None:
        raise ValueError(_NO_MODEL)
    with found.bare.once():
        memory.embedder.embed([message.content for message in batch])
    with found.words.once():
        memory.embeddings.embed_now([message.content for message in batch])
    with found.storing.once():
        new = memory.capture(batch)
    with found.vectors.once():
        embedded = memory.process_pending()
    if not len(batch) == len(new) == embedded:
        raise ValueError(f"of {len(batch)} messages, {len(new)} were stored and {embedded} got vectors")
    found.messages += len(batch)


def _is_near(memory: MemoryManager, question: str, message: IncomingMessage) -> bool:
    """Whether a message is among the ten that the vectors alone find for a question."""
    memory.embeddings.forget()  # else the question's vector would be known
    query = memory.embeddings.embed_query(question)
    if query is None:
        raise ValueError(_NO_MODEL)
    asked = CandidateQuery(
        kind=Kind.MESSAGE, filter=Filter(), terms={}, vector=query.vector, model_id=query.model_id
    )  # fmt: skip
    with memory.store.read() as unit:
        found = unit.search.candidates(asked)
        wanted = unit.messages.message_key(unit.messages.conversation_key(message.conversation_id), message.external_id)
    cosine = np.where(np.isnan(found.cosine), -2, found.cosine)
    best = [index for index in np.argsort(-cosine)[:NEAREST] if cosine[index] > -2]
    return any(found.rows[index].id == str(wanted) for index in best)


def _batches(messages: Sequence[IncomingMessage]) -> Iterator[Sequence[IncomingMessage]]:
    return (messages[start : start + BATCH] for start in range(0, len(messages), BATCH))


def _message(conversation: str, number: int, content: str, memory: MemoryManager) -> IncomingMessage:
    # Named anew by each process: in a store that was kept, the same messages would be there already.
    return IncomingMessage(
        conversation_id=f"bench-{conversation}-{_RUN}", external_id=str(number), role=Role.USER, content=content,
        said_at=memory.clock.now(), origin=Origin.USER, position=number,
    )  # fmt: skip
