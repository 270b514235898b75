"""A user who talks every day, on a clock that is moved: what the indexes and the prompt hold month by month."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from doubles import FixedClock

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.protocols import Actor, Change, IncomingMessage, Kind, Origin, Role

_SUBJECTS = (
    "the garden", "my sister Ingrid", "the move to Bergen", "the oboe lessons", "work at the hospital", "the red car",
    "the boat Petrel", "cooking", "the dentist", "football", "the novel", "our budget", "the neighbours", "hiking",
)  # fmt: skip
_VERBS = ("planned", "talked about", "worried about", "finished something for", "bought something for", "dreamt of")


@dataclass(frozen=True)
class Size:
    """What there is after some days. ``prompt`` is the characters of every part of the prompt together."""

    day: int
    messages: int
    hot_messages: int
    passages: int
    hot_passages: int
    prompt: int


def live(
    memory: MemoryManager, clock: FixedClock, days: int, a_day: int, *, every: int, seed: int = 0
) -> Iterator[Size]:
    """Let the user say so much on each day, run the hourly job once and the nightly one; tell sizes ``every`` days."""
    rng = random.Random(seed)
    for job in memory.jobs():
        memory.runner.add(job)
    for day in range(1, days + 1):
        memory.capture(_talk(clock, day, a_day, rng))
        if day % 10 == 0:
            memory.archival.insert(f"Remember this, number {day}: the code of shed {day} is kept by Ann", (), _BY_USER)
        clock.advance(hours=14)
        for job in ("process_conversations", "consolidate_memory"):
            result = memory.runner.run(job, force=True)
            assert result["success"], result
        clock.advance(hours=10)
        if day % every == 0 or day == days:
            yield measured(memory, day)


def measured(memory: MemoryManager, day: int) -> Size:
    """How much there is now."""
    with memory.store.read() as unit:
        cold = {kind: unit.cold.count(kind) for kind in (Kind.MESSAGE, Kind.PASSAGE)}
        messages, passages = memory.recall.count(), unit.passages.count()
    prompt = sum(len(provider.render()) for provider in memory.providers())
    return Size(day, messages, messages - cold[Kind.MESSAGE], passages, passages - cold[Kind.PASSAGE], prompt)


_BY_USER = Change(Actor.USER, "archival_memory_insert")


def _talk(clock: FixedClock, day: int, a_day: int, rng: random.Random) -> list[IncomingMessage]:
    started = clock.now()
    subjects = rng.sample(_SUBJECTS, 3)
    said = []
    for number in range(a_day):
        subject = subjects[number * len(subjects) // a_day]
        user = number % 2 == 0
        text = (
            f"I {rng.choice(_VERBS)} {subject} today, it took {rng.randint(2, 90)} minutes (note d{day}n{number})."
            if user
            else f"You {rng.choice(_VERBS)} {subject} before; shall we look at it again? (reply d{day}n{number})"
        )
        said.append(
            IncomingMessage(
                conversation_id=f"day {day}",
                external_id=str(number),
                role=Role.USER if user else Role.ASSISTANT,
                content=text,
                position=number,
                said_at=started + timedelta(minutes=3 * number),
                origin=Origin.USER if user else Origin.ASSISTANT,
            )
        )
    return said
