"""Kills a run of consolidation at chosen points, starts it again, and compares what comes of it.

A variety of `interrupted`: each attempt is a forked process that is killed by SIGKILL before or after an SQL
statement, before a commit, or at a call of the embedding model. The clock stands, so that only the kills tell the runs
apart.
"""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
from doubles import FixedClock
from interrupted import START, USER, CountedEmbedder, Interrupted, Points
from sqlalchemy import text

from mira_ltmemory.composition import MemoryManager, open_memory
from mira_ltmemory.config import MemoryConfig
from mira_ltmemory.protocols import Actor, Change, IncomingMessage, Kind, Origin, Role
from mira_ltmemory.store.models import Passage, Source, content_hash
from mira_ltmemory.store.words import COLD_NUMBERS, KIND_NUMBERS

BY_JOB = Change(Actor.AUTOMATION, "test")
DAYS, A_DAY = 9, 7
_OF_MESSAGES = (Kind.MESSAGE.value, KIND_NUMBERS[Kind.MESSAGE], COLD_NUMBERS[Kind.MESSAGE])


@dataclass
class KilledConsolidation(Interrupted):
    """Consolidations of one memory in one database. ``facts`` passages fill it, a third of them near-duplicates."""

    facts: int = 60

    def settings(self) -> MemoryConfig:
        return MemoryConfig(
            database_url=self.url, user_id=USER, max_hot_passages=self.facts // 3, max_hot_messages=DAYS * A_DAY // 2
        )  # fmt: skip

    def fill(self) -> None:
        """Store facts, some of which another one says too, or contradicts, and talk on several days."""
        assert self._child(self._fill) == 0

    def _fill(self) -> None:
        clock = FixedClock(START - timedelta(days=30))
        memory = open_memory(self.settings(), clock=clock, embedder=self.embedder())
        told = facts(self.facts)
        with memory.store.write(BY_JOB) as unit:
            made = unit.change_set_id
            rows = [
                Passage(
                    user_id=USER, id=uuid.uuid5(USER, said), change_set_id=made, origin="user", category="fact",
                    content=said, content_hash=content_hash(said), tags=[tag], tier="hot", said_at=clock.now(),
                )
                for said, tag in told
            ]  # fmt: skip
            unit.passages.add(rows)
            first, *others = [uuid.uuid5(USER, said) for said, _ in told]
            unit.passages.add_sources(
                Source(
                    user_id=USER, id=uuid.uuid5(first, str(row_id)), change_set_id=made, origin="user", kind="passage",
                    row_id=row_id,
                    source_kind="passage", source_id=first,
                )
                for row_id in others
            )  # fmt: skip
            unit.words.add(Kind.PASSAGE, [(uuid.uuid5(USER, said), said) for said, _ in told])
            unit.vectors.enqueue(Kind.PASSAGE, [first, *others])
        memory.capture(talk())
        memory.process_pending()
        memory.close()

    def _job(self, kill_at: int | None, write: int) -> None:
        points = Points(kill_at).at_statements()
        memory = self.open(CountedEmbedder(self.embedder(), points))
        memory.consolidation.consolidate(BY_JOB)
        memory.close()
        os.write(write, str(points.passed).encode())

    def open(self, embedder: Any = None) -> MemoryManager:
        """The memory, as a process opens it."""
        return open_memory(self.settings(), clock=FixedClock(START), embedder=embedder or self.embedder())

    def undo_all(self) -> int:
        """Take back every run, the newest first; tell how many there were."""
        memory = self.open()
        with memory.store.read() as unit:
            rows = unit.journal.execute(
                "SELECT DISTINCT parent_id FROM ltmemory.change_sets WHERE user_id = :user_id AND parent_id IS NOT NULL"
            ).all()
        parents = sorted((row.parent_id for row in rows), reverse=True)
        for parent in parents:
            memory.history.undo(parent, Change(Actor.USER, "undo"))
        memory.process_pending()
        memory.close()
        return len(parents)

    def vectors(self) -> dict[str, Any]:
        """Every vector of the user by what it is of, those of which only a code is left included."""
        with self._reading() as connection:
            rows = connection.execute(
                text("SELECT kind || ' cold ' || row_id || ' ' || content_hash, code FROM ltmemory.cold_texts")
            ).all()
        coded = {key: np.frombuffer(bytes(code), np.int8, offset=4).astype(np.float32) for key, code in rows}
        return super().vectors() | coded

    def present(self) -> dict[str, list[str]]:
        """What memory is at present and how its passages are found, without the numbers of versions.

        Which messages are cold is no memory: they come back into the indexes as they are used, by no undo.
        """
        found: dict[str, list[str]] = {}
        for table, rows in self.contents().items():
            if table in ("passages", "sources", "messages", "cold_texts", "word_documents"):
                read = [json.loads(row) for row in rows]
                kept = [row for row in read if row.get("kind") not in _OF_MESSAGES]
                found[table] = sorted(json.dumps({**row, "version": 0}, sort_keys=True) for row in kept)
        here = {f"{row['id']} {row['content_hash']}" for row in map(json.loads, found["passages"])}
        vectors = (key.removeprefix("passage ") for key in self.vectors())
        return {**found, "vectors": sorted(here.intersection(vectors))}


def facts(count: int) -> list[tuple[str, str]]:
    """Texts with a tag each: every third says one sentence of the one before it; birthdays are told in two ways."""
    found = []
    for number in range(count):
        if number % 15 == 4:
            said = f"Friend{number // 30}'s birthday is {number} May."
        elif number % 3 == 2:
            said = f"Friend{number - 1} keeps the boat number {number - 1} in harbour {number - 1}"
        else:
            said = f"Friend{number} keeps the boat number {number} in harbour {number}. It is told by {number} people."
        found.append((said, f"tag {number % 5}"))
    return found


def talk() -> list[IncomingMessage]:
    """Days on which enough was said to be summed up."""
    return [
        IncomingMessage(
            conversation_id=f"day {day}", external_id=str(number), role=Role.USER, position=number, origin=Origin.USER,
            content=f"On day {day} matter {number} of the garden came up, with plant {day * number} and pot {number}.",
            said_at=START - timedelta(days=20 - day) + timedelta(minutes=number),
        )
        for day in range(DAYS)
        for number in range(A_DAY)
    ]  # fmt: skip


def settle(run: KilledConsolidation) -> None:
    """Consolidate, undisturbed, until there is nothing left to do: what one run refuses, a later one looks at again."""
    for _ in range(2):
        assert run.process()
