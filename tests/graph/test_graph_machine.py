"""Random adds, merges, partings and undos of a graph, held against a simple model after every step."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from doubles import FixedClock, WordEmbedder
from graphing import BY_USER, process, say
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.config import MemoryConfig
from mira_ltmemory.errors import InvalidArgument, UndoConflict
from mira_ltmemory.store.database import Database

NAMES = ("Anna Berg", "Tom Reed", "Rita Moss", "Olga Stern", "Paul Holm")

State = tuple[dict[str, int], dict[frozenset[str], str]]
"""How often each name was mentioned, and what was decided of pairs."""


def families(state: State) -> set[frozenset[str]]:
    """The names that are the same, by the decisions: a plain union of pairs."""
    groups = {name: {name} for name in state[0]}
    for pair, verdict in state[1].items():
        if verdict == "same":
            one, other = sorted(pair)
            joined = groups[one] | groups[other]
            for name in joined:
                groups[name] = joined
    return {frozenset(group) for group in groups.values()}


class GraphMachine(RuleBasedStateMachine):
    """The model keeps the whole state after each change set; an undo of the newest brings the one before back."""

    database: Database
    config: MemoryConfig

    @initialize()
    def open(self) -> None:
        named = self.config.model_copy(update={"user_name": f"user-{uuid.uuid4()}", "user_id": None})
        clock = FixedClock(datetime(2025, 5, 5, 9, 30, tzinfo=UTC))
        self.memory = MemoryManager(named, self.database, clock=clock, embedder=WordEmbedder())
        self.state: State = ({}, {})
        self.steps: list[tuple[int, State]] = []
        self.ids: dict[str, UUID] = {}
        self.recorded: list[tuple[int, set[frozenset[str]], dict[str, int]]] = []

    def changed(self, change_set_id: int, after: State) -> None:
        self.steps.append((change_set_id, self.state))
        self.state = after
        self.recorded.append((change_set_id, families(after), dict(after[0])))

    @rule(name=st.sampled_from(NAMES), times=st.integers(1, 2))
    def add(self, name: str, times: int) -> None:
        said = say(self.memory, *[f"Hello {name}."] * times, talk=name)
        change, _ = process(self.memory, said)
        counts = {**self.state[0], name: self.state[0].get(name, 0) + times}
        found = self.memory.graph.lookup(name).entity
        assert found is not None
        with self.memory.store.read() as unit:
            self.ids[name] = next(each.id for each in unit.graph_reads.named([name.lower()]))
        self.changed(change, (counts, self.state[1]))

    @precondition(lambda self: len(self.state[0]) > 1)
    @rule(data=st.data())
    def merge(self, data: Any) -> None:
        one, other = data.draw(st.permutations(sorted(self.state[0])))[:2]
        together = any({one, other} <= group for group in families(self.state))
        try:
            done = self.memory.entity_merges.merge(self.ids[one], self.ids[other], "as it happens")
        except InvalidArgument as refusal:
            assert together, refusal
            return
        assert not together
        roots = (done.entity, done.into)
        self.changed(done.change_set_id, (self.state[0], {**self.state[1], frozenset(roots): "same"}))

    @precondition(lambda self: self.state[0])
    @rule(data=st.data())
    def split(self, data: Any) -> None:
        name = data.draw(st.sampled_from(sorted(self.state[0])))
        mine = {pair for pair, verdict in self.state[1].items() if verdict == "same" and name in pair}
        try:
            change = self.memory.entity_merges.split(self.ids[name], "as it happens")
        except InvalidArgument:
            assert not mine
            return
        assert mine
        self.changed(change, (self.state[0], {**self.state[1], **dict.fromkeys(mine, "different")}))

    @precondition(lambda self: self.steps)
    @rule()
    def undo_the_newest(self) -> None:
        change, before = self.steps.pop()
        self.memory.history.undo(change, BY_USER)
        self.state = before
        newest = self.memory.history.log(1)[0].id
        self.recorded.append((newest, families(before), dict(before[0])))

    @precondition(lambda self: len(self.steps) > 1)
    @rule(data=st.data())
    def undo_an_older_one_or_be_told_what_stands_in_the_way(self, data: Any) -> None:
        at = data.draw(st.integers(0, len(self.steps) - 2))
        change, before = self.steps[at]
        after = self.steps[at + 1][1]
        try:
            self.memory.history.undo(change, BY_USER)
        except UndoConflict as refusal:
            assert set(refusal.blocking) <= {number for number, _ in self.steps[at + 1 :]}
            return
        added = {name for name in after[0] if after[0][name] != before[0].get(name)}
        decided = {pair for pair in after[1] if after[1][pair] != before[1].get(pair)}
        self.forget(at, added, decided, before, after)

    def forget(self, at: int, added: set[str], decided: set[frozenset[str]], before: State, after: State) -> None:
        """Take one step out of the model: each later state loses what it brought."""

        def without(state: State) -> State:
            counts = {
                name: number - (after[0][name] - before[0].get(name, 0) if name in added else 0)
                for name, number in state[0].items()
            }
            verdicts = dict(state[1])
            for pair in decided:
                if pair in before[1]:
                    verdicts[pair] = before[1][pair]
                else:
                    verdicts.pop(pair, None)
            return {name: number for name, number in counts.items() if number}, verdicts

        later = [(number, without(state)) for number, state in self.steps[at + 1 :]]
        self.steps = [*self.steps[:at], *later]
        self.state = without(self.state)
        self.recorded.append((self.memory.history.log(1)[0].id, families(self.state), dict(self.state[0])))

    def seen(self, moment: int | None = None) -> tuple[set[frozenset[str]], dict[str, int]]:
        """What the graph shows: which names are together, and how often each family was spoken of."""
        briefs = self.memory.graph.search("", limit=100, moment=moment)
        groups = {frozenset((brief.name, *brief.aliases)) for brief in briefs}
        return groups, {brief.name: brief.mentions for brief in briefs}

    @invariant()
    def the_graph_is_what_the_model_says(self) -> None:
        groups, mentions = self.seen()
        assert groups == families(self.state)
        for group in groups:
            assert sum(mentions.get(name, 0) for name in group) == sum(self.state[0][name] for name in group)

    def teardown(self) -> None:
        for moment, groups, counts in getattr(self, "recorded", ()):
            shown, mentions = self.seen(moment)
            assert shown == groups
            assert sum(mentions.values()) == sum(counts.values())


def test_random_histories_of_a_graph(database: Database, config: MemoryConfig) -> None:
    machine = type("GraphMachineHere", (GraphMachine,), {"database": database, "config": config})
    run_state_machine_as_test(machine, settings=settings(max_examples=12, stateful_step_count=12))
