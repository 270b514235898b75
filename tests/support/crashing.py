"""Kills a process at a chosen statement of an operation, and tells what the operation left behind."""

from __future__ import annotations

import os
import signal
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from doubles import FixedClock, WordEmbedder
from journal_state import journal_state
from sqlalchemy import event

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.config import MemoryConfig
from mira_ltmemory.protocols import Actor, Change, IncomingMessage, Origin, Role
from mira_ltmemory.store.database import Database

BY_MODEL = Change(Actor.MODEL, "test")
BY_USER = Change(Actor.USER, "test")

Operation = Callable[[MemoryManager], object]
_EVENTS = ("before_cursor_execute", "after_cursor_execute", "commit")


def _say(memory: MemoryManager, *texts: str, parent: int | None = None) -> None:
    messages = [
        IncomingMessage(
            conversation_id="c",
            external_id=text,
            role=Role.USER,
            content=text,
            said_at=memory.clock.now() + timedelta(seconds=number),
            origin=Origin.USER,
        )
        for number, text in enumerate(texts)
    ]
    memory.recall.capture(messages, Change(Actor.SYSTEM, "capture", parent=parent))


def prepare(memory: MemoryManager) -> dict[str, int]:
    """Give a new user some history; return change sets by name."""
    marks: dict[str, int] = {}
    memory.blocks.rethink("human", "Likes tea", BY_MODEL)
    memory.archival.insert("Byte the cat", ["pets"], BY_MODEL)
    memory.archival.insert("Rex the dog", [], BY_MODEL)
    _say(memory, "hello there")
    memory.process_pending()
    memory.snapshots.create("then")
    with memory.store.write(Change(Actor.AUTOMATION, "run")) as unit:
        marks["run"] = unit.change_set_id
    part = replace(BY_MODEL, parent=marks["run"])
    memory.blocks.append("persona", "Kind", part)
    memory.archival.insert("A passage of the run", ["run"], part)
    memory.archival.insert("Byte the cat", ["run"], part)
    _say(memory, "said in the run", "and this", parent=marks["run"])
    marks["insert"] = memory.archival.insert("Mia the parrot", ["pets"], BY_MODEL).change_set_id or 0
    marks["first"] = memory.blocks.append("human", "Lives in Lisbon", BY_MODEL).change_set_id
    memory.blocks.append("human", "Has a boat", BY_MODEL)
    marks["edit"] = memory.blocks.append("system", "Be brief", BY_MODEL).change_set_id
    marks["undo"] = memory.history.undo(
        memory.archival.insert("Undone passage", [], BY_MODEL).change_set_id or 0, BY_USER
    ).change_set_id
    return marks


def operations(marks: dict[str, int]) -> dict[str, Operation]:
    """The edits, undos and restores that are killed, by name."""

    def undo(name: str, *, with_dependents: bool = False) -> Operation:
        return lambda memory: memory.history.undo(marks[name], BY_USER, with_dependents=with_dependents)

    return {
        "edit: append to a block": lambda memory: memory.blocks.append("human", "More", BY_MODEL),
        "edit: insert a passage": lambda memory: memory.archival.insert("Fresh passage", ["new"], BY_MODEL),
        "edit: join a passage's tags": lambda memory: memory.archival.insert("Rex the dog", ["new"], BY_MODEL),
        "edit: capture messages": lambda memory: _say(memory, "new one", "new two"),
        "undo: an edit of a block": undo("edit"),
        "undo: a passage": undo("insert"),
        "undo: an edit with its dependents": undo("first", with_dependents=True),
        "undo: a run": undo("run", with_dependents=True),
        "undo: an undo": undo("undo"),
        "restore: a snapshot": lambda memory: memory.snapshots.restore("then"),
        "restore: a snapshot of the present": lambda memory: memory.snapshots.restore("now"),
    }


@dataclass(frozen=True)
class Point:
    """Where the process is killed: at the ``number``-th event of that name, counted from 1; or at its return."""

    event: str
    number: int


class CrashBench:
    """Operations on prepared users, each killed at its points in a forked child."""

    def __init__(self, database: Database, config: MemoryConfig) -> None:
        self._database = database
        self._config = config
        self._users: dict[str, tuple[MemoryManager, dict[str, int]]] = {}
        self._reference: dict[str, tuple[Any, Any, list[Point]]] = {}
        self.names = list(operations(self._fresh()[1]))

    def points(self, name: str) -> list[Point]:
        """Every point of an operation: before and after each statement, before each commit."""
        return self._known(name)[2]

    def outcome(self, name: str, point: Point) -> str:
        """Kill the operation there; tell ``before``, ``after``, or what lies between."""
        before, after, _ = self._known(name)
        if name not in self._users:
            self._users[name] = self._fresh()
        memory, marks = self._users[name]
        assert journal_state(memory.store) == before
        self._kill(memory, operations(marks)[name], point)
        found = journal_state(memory.store)
        if found == before:
            return "before"
        del self._users[name]
        if found == after:
            return "after"
        return "between: " + ", ".join(part for part in found if found[part] not in (before[part], after[part]))

    def completes(self, name: str) -> bool:
        """Whether the user who survived the kills can still do the operation whole."""
        memory, marks = self._users.pop(name, None) or self._fresh()
        operations(marks)[name](memory)
        return journal_state(memory.store) == self._known(name)[1]

    def _fresh(self) -> tuple[MemoryManager, dict[str, int]]:
        settings = self._config.model_copy(update={"user_name": f"user-{uuid.uuid4()}", "user_id": None})
        clock = FixedClock(datetime(2025, 5, 5, 9, 30, tzinfo=UTC))
        memory = MemoryManager(settings, self._database, clock=clock, embedder=WordEmbedder())
        marks = prepare(memory)
        memory.snapshots.create("now")
        memory.archival.insert("After all", [], BY_MODEL)
        return memory, marks

    def _known(self, name: str) -> tuple[Any, Any, list[Point]]:
        if name not in self._reference:
            memory, marks = self._fresh()
            before = journal_state(memory.store)
            counts = dict.fromkeys(_EVENTS, 0)
            with self._counted(lambda event_name, number: counts.__setitem__(event_name, number)):
                operations(marks)[name](memory)
            points = [Point(each, number) for each in _EVENTS for number in range(1, counts[each] + 1)]
            points.append(Point("return", 1))
            after = journal_state(memory.store)
            assert before != after
            self._reference[name] = before, after, points
        return self._reference[name]

    @contextmanager
    def _counted(self, seen: Callable[[str, int], None]) -> Iterator[None]:
        counts = dict.fromkeys(_EVENTS, 0)
        listeners = []
        for name in _EVENTS:

            def listen(*_: object, name: str = name) -> None:
                counts[name] += 1
                seen(name, counts[name])

            event.listen(self._database.engine, name, listen)
            listeners.append((name, listen))
        try:
            yield
        finally:
            for name, listen in listeners:
                event.remove(self._database.engine, name, listen)

    def _kill(self, memory: MemoryManager, operation: Operation, point: Point) -> None:
        def die(name: str, number: int) -> None:
            if Point(name, number) == point:
                os.kill(os.getpid(), signal.SIGKILL)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # other threads: the child uses none of their locks
            child = os.fork()
        if child == 0:
            try:
                self._database.engine.dispose(close=False)  # the connections are the parent's
                with self._counted(die):
                    operation(memory)
                    die("return", 1)
            finally:
                os._exit(3)  # not reached: every point lies inside the operation
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, f"{point} was not reached"
