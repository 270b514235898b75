"""Summaries of days, weeks, months and years: each line cites the messages that say it.

Days are summed up from messages, weeks and months from the lines of days, years from those of months. A summary is made
anew when what it was made from came, went or changed; with its last source it ends. Erasure follows the citations.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from mira_ltmemory.errors import BudgetSpent, LLMError
from mira_ltmemory.protocols import LLM, Clock, Json, Kind, Origin, in_zone
from mira_ltmemory.services.consolidation.extract import Said, best_sentence, central, frequencies, tells
from mira_ltmemory.services.consolidation.periods import CHILDREN, Level, Period, period_of
from mira_ltmemory.services.consolidation.run import Run
from mira_ltmemory.services.consolidation.writing import Line, written
from mira_ltmemory.services.embeddings import EmbeddingService
from mira_ltmemory.services.untrusted import link
from mira_ltmemory.store.models import content_hash
from mira_ltmemory.store.summaries import DayOfTalk, SaidMessage, StoredSummary
from mira_ltmemory.store.unit_of_work import SqlUnitOfWork, Store

T = TypeVar("T")

MIN_MESSAGES = 6
"""A day with fewer messages is read faster than its summary."""

LINES: Mapping[Level, int] = {"day": 5, "week": 6, "month": 8, "year": 10}
AT_MOST = 400
"""Summaries written in one run: a long history is summed up in several nights, the newest days first."""

ASSISTANT_WEIGHT = 0.6
_CHARS = 2_000
_READ = 120
"""Messages of a day, or lines of a longer period, that are looked at: spread over all of it."""


@dataclass(frozen=True, slots=True)
class Task:
    """A period to sum up. ``mark`` is that of what it is made from; ``children`` are the summaries below it."""

    period: Period
    mark: str
    known: StoredSummary | None
    children: tuple[StoredSummary, ...] = ()


@dataclass(frozen=True, slots=True)
class About:
    """What a summary is about: its level and key, its title, and the mark of what it was made from."""

    level: str
    key: str
    title: str
    mark: str
    said_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Draft:
    """A summary to be stored. ``sources`` are the messages it was made from, the cited ones at least."""

    lines: tuple[Line, ...]
    sources: tuple[UUID, ...]
    by: str


class Summaries:
    """Sums up the conversations of one user. ``llm`` writes the lines; without one they are the speakers' own words."""

    def __init__(
        self, store: Store, clock: Clock, embeddings: EmbeddingService, zone: str, llm: LLM | None = None
    ) -> None:
        self._store = store
        self._clock = clock
        self._embeddings = embeddings
        self._zone = zone
        self._llm = llm

    def run(self, run: Run) -> None:
        """Write what is missing or was made from something else, level by level, and end what has lost its sources."""
        left = AT_MOST
        llm = self._llm
        for level, below in CHILDREN.items():
            with self._store.read() as unit:
                known = [each for each in unit.summaries.all() if each.level in (level, below)]
                days = unit.summaries.days(self._zone) if below is None else []
            own = {each.period: each for each in known if each.level == level}
            tasks = list(self._days(days, own) if below is None else self._longer(level, below, known, own))
            wanted = {task.period.key for task in tasks}
            self._end(run, [each for key, each in own.items() if key not in wanted])
            changed = [task for task in tasks if task.known is None or task.known.mark != task.mark]
            for task in sorted(changed, key=lambda each: each.period.first, reverse=True):
                if not run.may_go_on() or left == 0:
                    run.note("More periods wait for their summary; the next run goes on.")
                    return
                if run.dry:
                    run.counts["summaries"] += 1
                    continue
                try:
                    done = self._write(run, task, llm)
                except BudgetSpent as error:
                    run.note(f"Summaries wait for the next run: {error}")
                    return
                except LLMError as error:
                    run.note(f"Summaries are in the conversations' own words, the model failed: {error}")
                    llm = None
                    done = self._write(run, task, None)
                left -= done
                run.progress("summaries", AT_MOST - left, 0)

    def _today(self) -> dt.date:
        return self._clock.now().astimezone(ZoneInfo(self._zone)).date()

    def _days(self, days: Sequence[DayOfTalk], own: Mapping[str, StoredSummary]) -> Iterator[Task]:
        for day in days:
            if day.messages >= MIN_MESSAGES and day.day < self._today():
                period = period_of(day.day, "day")
                yield Task(period, day.mark, own.get(period.key))

    def _longer(
        self, level: Level, below: Level, known: Sequence[StoredSummary], own: Mapping[str, StoredSummary]
    ) -> Iterator[Task]:
        children: dict[Period, list[StoredSummary]] = {}
        for each in known:
            if each.level == below:
                first = _first_day(below, each.period)
                children.setdefault(period_of(first, level), []).append(each)
        for period, parts in children.items():
            # The sum of one thing is that thing.
            if len(parts) > 1 and period.last < self._today():
                parts.sort(key=lambda each: each.period)
                told = "".join(f"{each.id}{content_hash(each.content)}" for each in parts)
                mark = hashlib.sha256(told.encode()).hexdigest()[:16]
                yield Task(period, mark, own.get(period.key), tuple(parts))

    def _end(self, run: Run, gone: Sequence[StoredSummary]) -> None:
        run.counts["summaries ended"] += len(gone)
        if gone and not run.dry:
            with self._store.write(run.part("summaries whose sources are gone ended")) as unit:
                for each in gone:
                    unit.summaries.end(each.id, each.version, self._clock.now())

    def _write(self, run: Run, task: Task, llm: LLM | None) -> int:
        """Write one summary; tell how many were stored. Raises ``LLMError`` and ``BudgetSpent``."""
        with self._store.read() as unit:
            row_id = self._row_id(unit, task)
            if row_id is None:
                return 0
        draft = self._from_messages(task, llm) if CHILDREN[task.period.level] is None else self._from_lines(task, llm)
        if draft is None:
            return 0
        said_at = dt.datetime.combine(task.period.last, dt.time(23, 59), ZoneInfo(self._zone)).astimezone(dt.UTC)
        about = About(task.period.level, task.period.key, task.period.title, task.mark, said_at)
        return self.save(run, about, draft, row_id, None if task.known is None else task.known.version)

    def save(self, run: Run, about: About, draft: Draft, row_id: UUID, version: int | None) -> int:
        """Store a summary, or, from ``version`` on, its new text; tell how many were stored."""
        content = f"Summary of {about.title}\n" + "\n".join(each.shown for each in draft.lines)
        meta: Json = {
            "level": about.level,
            "period": about.key,
            "mark": about.mark,
            "by": draft.by,
            "lines": [[str(id) for id in each.cited] for each in draft.lines],
        }
        with self._store.write(run.part(f"summary of {about.title}")) as unit:
            # Asked again under the user's lock: messages may have been erased while it was written.
            cited = {id for each in draft.lines for id in each.cited}
            if cited - unit.messages.stored(list(cited)) or unit.erasure.text_erased(content_hash(content)):
                run.counts["changed meanwhile"] += 1
                return 0
            if not unit.summaries.put(row_id, version, content, meta, ["summary", about.level], about.said_at):
                run.counts["changed meanwhile"] += 1
                return 0
            link(unit, Kind.PASSAGE, row_id, [str(id) for id in draft.sources], Origin.ASSISTANT)
        run.counts["summaries"] += 1
        return 1

    def free_id(self, unit: SqlUnitOfWork, named: str, mark: str) -> UUID | None:
        """An id that no summary has or had; none where a person took back the very one that would be written."""
        ids = [uuid5(unit.user_id, f"summary:{named}:{number}") for number in range(16)]
        away = unit.erasure.tombstoned(Kind.PASSAGE.value, ids)
        # What was ended or undone keeps its id for ever, so that a new one never stands in for an erased one.
        taken = unit.passages.stored(ids)
        free = [id for id in ids if id not in away and id not in taken]
        if not free or mark in unit.summaries.undone(free).values():
            return None
        return free[0]

    def _row_id(self, unit: SqlUnitOfWork, task: Task) -> UUID | None:
        if task.known is not None:
            return task.known.id
        return self.free_id(unit, f"{task.period.level}:{task.period.key}", task.mark)

    def _from_messages(self, task: Task, llm: LLM | None) -> Draft | None:
        zone = ZoneInfo(self._zone)
        start = dt.datetime.combine(task.period.first, dt.time(), zone)
        end = dt.datetime.combine(task.period.last + dt.timedelta(days=1), dt.time(), zone)
        with self._store.read() as unit:
            messages = _spread(unit.summaries.messages_between(start, end, _CHARS), _READ)
        if not messages:
            return None
        if llm is not None:
            parts = [Line(f"{speaker(each)}: {each.content}", (each.id,), day_of(each, zone)) for each in messages]
            lines = written(llm, task.period.title, parts, LINES[task.period.level])
            if lines:
                return Draft(tuple(lines), tuple(each.id for each in messages), llm.name)
        return self.extracted(messages, LINES[task.period.level])

    def _from_lines(self, task: Task, llm: LLM | None) -> Draft | None:
        cited = list(dict.fromkeys(id for child in task.children for ids in child.cited for id in ids))
        with self._store.read() as unit:
            messages = _spread(unit.summaries.messages(cited, _CHARS), _READ)
        if not messages:
            return None
        if llm is not None:
            parts = _spread([line for child in task.children for line in _lines_of(child)], _READ)
            lines = written(llm, task.period.title, parts, LINES[task.period.level])
            if lines:
                return Draft(tuple(lines), tuple(cited), llm.name)
        return self.extracted(messages, LINES[task.period.level])

    def extracted(self, messages: Sequence[SaidMessage], number: int) -> Draft | None:
        """The most central messages, each by its most telling sentence."""
        messages = [each for each in messages if tells(each.content)]
        model = self._embeddings.model
        zone = ZoneInfo(self._zone)
        with self._store.read() as unit:
            vectors = unit.summaries.vectors([each.id for each in messages], model[0]) if model else {}
        frequent = frequencies([each.content for each in messages])
        said = [
            Said(each.content, 1.0 if each.role == "user" else ASSISTANT_WEIGHT, vectors.get(each.id))
            for each in messages
        ]
        chosen = [messages[index] for index in central(said, number)]
        lines = tuple(
            Line(f"{speaker(each)}: {best_sentence(each.content, frequent)}", (each.id,), day_of(each, zone))
            for each in chosen
        )
        return Draft(lines, tuple(each.id for each in chosen), "own words") if lines else None


def speaker(message: SaidMessage) -> str:
    """Who said it, as people read it."""
    return message.speaker or ("User" if message.role == "user" else "Assistant")


def day_of(message: SaidMessage, zone: ZoneInfo) -> str:
    """The day of the user's calendar on which it was said."""
    return in_zone(message.said_at, zone).date().isoformat()


def _lines_of(summary: StoredSummary) -> list[Line]:
    """The lines of a summary with what they cite, as they stand in its text below its title."""
    texts = summary.content.split("\n")[1:]
    return [Line.read(text, cited) for text, cited in zip(texts, summary.cited, strict=False) if cited and text.strip()]


def _first_day(level: Level, key: str) -> dt.date:
    if level == "day":
        return dt.date.fromisoformat(key)
    return dt.date.fromisoformat(f"{key}-01" if level == "month" else f"{key}-01-01")


def _spread(rows: Sequence[T], number: int) -> list[T]:
    """At most ``number`` of the rows, evenly taken from all of them."""
    if len(rows) <= number:
        return list(rows)
    return [rows[index * len(rows) // number] for index in range(number)]
