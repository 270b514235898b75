"""Summaries by topic: what was spoken of on several days, found in the vectors of what the days' summaries cite."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np

from mira_ltmemory.errors import BudgetSpent, LLMError
from mira_ltmemory.protocols import LLM, Clock
from mira_ltmemory.services.consolidation.extract import content_words, frequencies
from mira_ltmemory.services.consolidation.run import Run
from mira_ltmemory.services.consolidation.summaries import About, Draft, Summaries, day_of, speaker
from mira_ltmemory.services.consolidation.writing import Line, written
from mira_ltmemory.services.embeddings import EmbeddingService
from mira_ltmemory.store.summaries import SaidMessage, StoredSummary
from mira_ltmemory.store.unit_of_work import Store

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEVEL = "topic"
MIN_DAYS, MIN_MESSAGES = 3, 3
"""On how many days something has to be spoken of, and how often, to be a topic."""

LATEST = 600
"""Cited messages that are looked at, the latest: what is no longer spoken of keeps its last summary."""

MOST_TOPICS = 100
LINES = 6
_NEAR = 0.45
_CHARS = 2_000
_SAME = 0.5


@dataclass(frozen=True, slots=True)
class Topic:
    """Messages that speak of one thing, and the words that tell it from the others."""

    messages: tuple[SaidMessage, ...]
    words: tuple[str, ...]


class Topics:
    """Sums up the topics of one user."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        embeddings: EmbeddingService,
        zone: str,
        summaries: Summaries,
        llm: LLM | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._embeddings = embeddings
        self._zone = zone
        self._summaries = summaries
        self._llm = llm

    def run(self, run: Run) -> None:
        """Find the topics of late, write those that are new or say something else by now, end the oldest of many."""
        model = self._embeddings.model
        if model is None:
            return
        with self._store.read() as unit:
            known = unit.summaries.all()
            days = [each for each in known if each.level == "day"]
            cited = list(dict.fromkeys(id for day in reversed(days) for ids in day.cited for id in ids))[:LATEST]
            messages = unit.summaries.messages(cited, _CHARS)
            vectors = unit.summaries.vectors(cited, model[0])
        old = [each for each in known if each.level == LEVEL]
        llm = self._llm
        for topic in find_topics(messages, vectors, ZoneInfo(self._zone)):
            if not run.may_go_on():
                return
            try:
                self._write(run, topic, old, llm)
            except BudgetSpent as error:
                run.note(f"Topics wait for the next run: {error}")
                return
            except LLMError as error:
                run.note(f"Topics are in the conversations' own words, the model failed: {error}")
                llm = None
                self._write(run, topic, old, None)
        self._end(run, old[: max(0, len(old) - MOST_TOPICS)])

    def _write(self, run: Run, topic: Topic, old: Sequence[StoredSummary], llm: LLM | None) -> None:
        central = self._summaries.extracted(topic.messages, LINES)
        if central is None:
            return
        # What is central decides whether there is anything new to say, also where a model says it.
        mark = hashlib.sha256("".join(map(str, sorted(central.sources))).encode()).hexdigest()[:16]
        known = same_topic(topic, old)
        if known is not None and known.mark == mark:
            return
        if run.dry:
            run.counts["summaries"] += 1
            return
        title = ", ".join(topic.words)
        with self._store.read() as unit:
            named = f"{LEVEL}:{min(each.id for each in topic.messages)}"
            row_id = known.id if known is not None else self._summaries.free_id(unit, named, mark)
        if row_id is None:
            return
        draft = self._drawn(topic, title, llm) or central
        about = About(LEVEL, title, f"what was said about {title}", mark, topic.messages[-1].said_at)
        self._summaries.save(run, about, draft, row_id, None if known is None else known.version)

    def _drawn(self, topic: Topic, title: str, llm: LLM | None) -> Draft | None:
        if llm is None:
            return None
        zone = ZoneInfo(self._zone)
        parts = [Line(f"{speaker(each)}: {each.content}", (each.id,), day_of(each, zone)) for each in topic.messages]
        lines = written(llm, f"What was said about {title}", parts[-60:], LINES)
        return Draft(tuple(lines), tuple(each.id for each in topic.messages[-60:]), llm.name) if lines else None

    def _end(self, run: Run, gone: Sequence[StoredSummary]) -> None:
        run.counts["summaries ended"] += len(gone)
        if gone and not run.dry:
            with self._store.write(run.part(f"topics beyond {MOST_TOPICS} ended, the oldest first")) as unit:
                for each in gone:
                    unit.summaries.end(each.id, each.version, self._clock.now())


def find_topics(
    messages: Sequence[SaidMessage], vectors: Mapping[UUID, NDArray[np.float32]], zone: ZoneInfo
) -> list[Topic]:
    """Group messages, in the order in which they were said, by their vectors; keep what spans several days."""
    known = [each for each in messages if each.id in vectors]
    groups: list[list[SaidMessage]] = []
    sums: list[NDArray[np.float32]] = []
    for each in known:
        vector = vectors[each.id]
        near = [float(total @ vector) / max(float(np.linalg.norm(total)), 1e-6) for total in sums]
        best = int(np.argmax(near)) if near else -1
        if best >= 0 and near[best] >= _NEAR:
            groups[best].append(each)
            sums[best] = sums[best] + vector
        else:
            groups.append([each])
            sums.append(vector)
    everywhere = frequencies([each.content for each in known])
    return [
        Topic(tuple(group), telling_words(group, everywhere, len(known)))
        for group in groups
        if len(group) >= MIN_MESSAGES and len({day_of(each, zone) for each in group}) >= MIN_DAYS
    ]


def telling_words(group: Sequence[SaidMessage], everywhere: Mapping[str, int], total: int) -> tuple[str, ...]:
    """The three words that stand in most of a group and least elsewhere, in the order of their worth."""
    here = frequencies([each.content for each in group])
    telling = {
        word: count * math.log((1 + total) / (1 + everywhere[word] - count))
        for word, count in here.items()
        if count > 1 and not word.isdigit()
    }
    ranked = sorted(telling, key=lambda word: (-telling[word], word))[:3]
    return tuple(ranked or content_words(group[0].content)[:3] or ("something",))


def same_topic(topic: Topic, old: Sequence[StoredSummary]) -> StoredSummary | None:
    """The summary, if there is one, of which most citations are of this topic."""
    ids = {each.id for each in topic.messages}
    shares = []
    for each in old:
        cited = {id for line in each.cited for id in line}
        shares.append(len(cited & ids) / max(1, len(cited)))
    best = int(np.argmax(shares)) if shares else -1
    return old[best] if best >= 0 and shares[best] >= _SAME else None
