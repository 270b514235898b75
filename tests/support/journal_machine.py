"""Undo, as_of and restore against a plain model: every change set a list of absolute writes, some of them in force."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from doubles import FixedClock, WordEmbedder
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.config import MemoryConfig
from mira_ltmemory.errors import InvalidArgument, UndoConflict
from mira_ltmemory.protocols import Actor, Change, Kind
from mira_ltmemory.services.snapshots import SnapshotDiff
from mira_ltmemory.store.database import Database
from mira_ltmemory.store.models import Block, Passage
from mira_ltmemory.store.words import KIND_NUMBERS

START = datetime(2025, 5, 5, 9, 30, tzinfo=UTC)
LABELS = ("human", "persona", "system")
TEXTS = ("", "tea", "coffee", "tea\ncoffee", "Lisbon")
CONTENTS = tuple(f"passage {word}" for word in ("red", "green", "blue"))
TAGS = ("a", "b", "c")

State = dict[Any, Any]
"""Row to value: a block's label to its text and origin, a passage's id to its content and tags."""


@dataclass
class Model:
    """What each change set wrote, which sets are in force, and what each undo turned."""

    start: State
    writes: dict[int, State] = field(default_factory=dict)
    parents: dict[int, int] = field(default_factory=dict)
    on: dict[int, bool] = field(default_factory=dict)
    turned: dict[int, dict[int, bool]] = field(default_factory=dict)
    recorded: dict[int, State] = field(default_factory=dict)

    def state(self) -> State:
        """The writes in force, one over the other."""
        found = dict(self.start)
        for number in sorted(self.writes):
            if self.on[number]:
                found |= self.writes[number]
        return {row: value for row, value in found.items() if value is not None}

    def made(self, number: int, writes: State, parent: int | None) -> None:
        self.writes[number], self.on[number] = writes, True
        if parent is not None:
            self.parents[number] = parent
        self.recorded[number] = self.state()

    def family(self, roots: set[int]) -> set[int]:
        found = set(roots)
        for number in sorted(self.on):
            if self.parents.get(number) in found:
                found.add(number)
        return found

    def undone(self, number: int, roots: set[int], parent: int | None) -> None:
        before = dict(self.on)
        for each in sorted(self.family(roots), reverse=True):
            if self.on[each]:
                self.on[each] = False
                self.on |= self.turned.get(each, {})
        # What a member of the family brought back and the family holds is off in the end.
        for each in sorted(self.family(roots), reverse=True):
            self.on[each] = False
        self.turned[number] = {each: state for each, state in before.items() if self.on[each] != state}
        self.on[number] = True
        self.writes[number] = {}
        if parent is not None:
            self.parents[number] = parent
        self.recorded[number] = self.state()

    def blocking(self, target: int) -> set[int] | None:
        """The sets that must stand in the way; none where the family holds an undo: the replay then decides."""
        family = self.family({target})
        if family & self.turned.keys():
            return None
        found = set()
        for row in {row for each in family if self.on[each] for row in self.writes[each]}:
            first = min(each for each in family if self.on[each] and row in self.writes[each])
            later = (each for each in self.on if each > first and each not in family and self.on[each])
            found |= {each for each in later if row in self.writes[each]}
        return found


class JournalMachine(RuleBasedStateMachine):
    """Random edits, runs, undos and restores of one user, held against the model after every step."""

    database: Database
    config: MemoryConfig

    @initialize()
    def open(self) -> None:
        settings = self.config.model_copy(update={"user_name": f"user-{uuid.uuid4()}", "user_id": None})
        self.clock = FixedClock(START)
        self.memory = MemoryManager(settings, self.database, clock=self.clock, embedder=WordEmbedder())
        self.model = Model(start=self.actual())
        self.first = self.memory.history.log(1)[0].id
        self.model.recorded[self.first] = self.model.state()
        self.times: dict[int, datetime] = {}
        self.step()
        self.runs: list[int | None] = [None]
        self.snapshots: dict[str, int] = {}

    def actual(self, moment: int | None = None) -> State:
        """What the database holds, now or at a moment."""
        moment = self.memory.history.log(1)[0].id if moment is None else moment
        blocks = {row["label"]: (row["content"], row["origin"]) for row in self.memory.history.rows_at(Block, moment)}
        rows = self.memory.history.rows_at(Passage, moment)
        return blocks | {row["id"]: (row["content"], tuple(row["tags"])) for row in rows}

    def run_of(self, data: Any) -> int | None:
        return data.draw(st.sampled_from(self.runs), label="run")

    def step(self) -> None:
        self.times[self.memory.history.log(1)[0].id] = self.clock.now()
        self.clock.advance(seconds=1)

    @rule(data=st.data(), label=st.sampled_from(LABELS), text=st.sampled_from(TEXTS))
    def edit(self, data: Any, label: str, text: str) -> None:
        parent = self.run_of(data)
        try:
            done = self.memory.blocks.rethink(label, text, Change(Actor.MODEL, "test", parent=parent))
        except InvalidArgument:
            assert self.model.state()[label][0] == text
            return
        self.model.made(done.change_set_id, {label: (text, "assistant")}, parent)
        self.step()

    @rule(data=st.data(), content=st.sampled_from(CONTENTS), tag=st.sampled_from(TAGS))
    def insert(self, data: Any, content: str, tag: str) -> None:
        parent = self.run_of(data)
        done = self.memory.archival.insert(content, [tag], Change(Actor.MODEL, "test", parent=parent))
        if done.change_set_id is not None:
            self.model.made(done.change_set_id, {done.id: (content, done.tags)}, parent)
            self.step()

    @rule(data=st.data())
    def begin(self, data: Any) -> None:
        parent = self.run_of(data)
        with self.memory.store.write(Change(Actor.AUTOMATION, "run", parent=parent)) as unit:
            number = unit.change_set_id
        self.model.made(number, {}, parent)
        self.runs.append(number)
        self.step()

    @precondition(lambda self: len(self.model.on) > 0)
    @rule(data=st.data(), with_dependents=st.booleans())
    def undo(self, data: Any, with_dependents: bool) -> None:
        target = data.draw(st.sampled_from(sorted(self.model.on)), label="target")
        parent = self.run_of(data)
        expected = self.model.blocking(target)
        change = Change(Actor.USER, "undo", parent=parent)
        before = self.actual()
        try:
            done = self.memory.history.undo(target, change, with_dependents=with_dependents)
        except UndoConflict as refusal:
            assert not with_dependents
            assert expected is None or set(refusal.blocking) == expected, (refusal.blocking, expected)
            assert self.actual() == before
            return
        except InvalidArgument as refusal:
            assert self.actual() == before
            if "undone already" in str(refusal):
                assert not self.model.on[target]
            elif "belongs to" not in str(refusal):
                assert "changed no row" in str(refusal), refusal
                turned = [each for each in self.model.family({target}) if self.model.on[each]]
                assert not any(self.model.writes[each] for each in turned if each not in self.model.turned)
            return
        assert self.model.on[target]
        assert with_dependents or not expected
        self.model.undone(done.change_set_id, set(done.undone), parent)
        newest = self.memory.history.log(1)[0].id
        self.model.recorded[newest] = self.model.state()
        self.step()

    @rule(name=st.sampled_from(("spring", "summer")))
    def snapshot(self, name: str) -> None:
        if name in self.snapshots:
            self.memory.snapshots.delete(name)
        self.snapshots[name] = self.memory.snapshots.create(name).moment

    @precondition(lambda self: self.snapshots)
    @rule(data=st.data())
    def restore(self, data: Any) -> None:
        name = data.draw(st.sampled_from(sorted(self.snapshots)), label="snapshot")
        parent = self.run_of(data)
        before, wanted = self.actual(), self.model.recorded[self.snapshots[name]]
        done = self.memory.snapshots.restore(name, Change(Actor.USER, "restore", parent=parent))
        rows = {row for row in before.keys() | wanted.keys() if before.get(row) != wanted.get(row)}
        self.model.made(done.change_set_id, {row: wanted.get(row) for row in rows}, parent)
        assert sum(done.rows.values()) == len(rows)
        diff: SnapshotDiff = self.memory.snapshots.diff(name)
        assert diff.blocks == {} and not diff.rows["passages"].added and not diff.rows["passages"].removed
        self.step()

    @invariant()
    def the_present_is_what_is_in_force(self) -> None:
        assert self.actual() == self.model.state()

    @invariant()
    def words_are_those_of_the_present_passages(self) -> None:
        with self.memory.store.read() as unit:
            indexed = unit.words.execute(
                "SELECT row_id FROM ltmemory.word_documents WHERE user_id = :user_id AND kind = :kind",
                kind=KIND_NUMBERS[Kind.PASSAGE],
            ).scalars()
            assert set(indexed) == {row for row in self.model.state() if not isinstance(row, str)}

    def teardown(self) -> None:
        if not hasattr(self, "model"):
            return
        for moment, state in self.model.recorded.items():
            assert self.actual(moment) == state
        for moment, at in self.times.items():
            assert self.memory.history.moment(at) == moment
            assert {block.label: block.content for block in self.memory.as_of(at).blocks()} == {
                row: value[0] for row, value in self.model.recorded[moment].items() if isinstance(row, str)
            }
        for name, moment in self.snapshots.items():
            hits = self.memory.as_of(name).passages(100)
            assert {hit.id: (hit.content, hit.tags) for hit in hits} == {
                row: value for row, value in self.model.recorded[moment].items() if not isinstance(row, str)
            }


def machine_on(database: Database, config: MemoryConfig) -> type[JournalMachine]:
    """The machine for one database."""
    return type("JournalMachineHere", (JournalMachine,), {"database": database, "config": config})
