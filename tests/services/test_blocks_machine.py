"""Blocks against a plain model of them in memory."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from doubles import FixedClock
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from mira_ltmemory.config import MemoryConfig
from mira_ltmemory.errors import Conflict, RefusedEdit
from mira_ltmemory.protocols import Actor, Change
from mira_ltmemory.services import edits
from mira_ltmemory.services.block_work import BlockEdit
from mira_ltmemory.services.blocks import BlockManager
from mira_ltmemory.services.history import HistoryService
from mira_ltmemory.services.redaction import Redactor
from mira_ltmemory.store.database import Database
from mira_ltmemory.store.unit_of_work import Store

BY_MODEL = Change(Actor.MODEL, "machine")
BY_USER = Change(Actor.USER, "machine")
LIMIT = 24
LABELS = ("alpha", "beta", "gamma")

texts = st.text(alphabet="ab\n é", max_size=14)
labels = st.sampled_from(LABELS)
guesses = st.none() | st.just("present") | st.integers(0, 6)


@dataclass
class Row:
    """A block as the model sees it: label and text of every version, version 1 first; removed ones stay."""

    versions: list[tuple[str, str]]
    removed: bool = False

    @property
    def label(self) -> str:
        return self.versions[-1][0]

    @property
    def text(self) -> str:
        return self.versions[-1][1]


@dataclass
class Model:
    rows: list[Row] = field(default_factory=list)

    def get(self, label: str) -> Row | None:
        return next((row for row in self.rows if row.label == label and not row.removed), None)


class Blocks(RuleBasedStateMachine):
    """Every rule asks the model what has to happen, then looks whether it did."""

    database: Database

    def __init__(self) -> None:
        super().__init__()
        moment = FixedClock(datetime(2025, 5, 5, tzinfo=UTC))
        store = Store(self.database, uuid.uuid4(), moment)
        config = MemoryConfig(core_memory_blocks={"fixed": LIMIT}, core_memory_new_block_limit=LIMIT)
        self.blocks = BlockManager(store, config, Redactor(enabled=False))
        self.history = HistoryService(store, moment)
        self.blocks.ensure()
        self.model = Model([Row([("fixed", "")])])
        self.last: tuple[int, Row, bool] | None = None
        self.store = store

    def attempt(
        self,
        label: str,
        expected: int | str | None,
        call: Callable[[Any], BlockEdit],
        wanted: Callable[[str], str],
    ) -> None:
        """Make an edit of a label's block; ``wanted`` computes its new text or raises as the edit should."""
        row = self.model.get(label)
        version = len(row.versions) if row is not None and expected == "present" else expected
        moment = self.journal()
        refusal: type[RefusedEdit] | None = None
        try:
            if row is None:
                raise RefusedEdit
            text = wanted(row.text)
            if len(text) > LIMIT or text == row.text:
                raise RefusedEdit
            if version is not None and version != len(row.versions):
                refusal = Conflict
        except RefusedEdit:
            refusal = RefusedEdit
        if refusal is not None:
            with pytest.raises(refusal):
                call(version)
            assert self.journal() == moment
            return
        assert row is not None
        edit = call(version)
        assert edit.before == row.text
        row.versions.append((label, text))
        assert (edit.block.content, edit.block.version) == (text, len(row.versions))
        self.last = (edit.change_set_id, row, True)

    def journal(self) -> int:
        with self.store.read() as unit:
            return unit.journal.last_id()

    @rule(label=labels | st.just("fixed"), text=texts, expected=guesses)
    def append(self, label: str, text: str, expected: int | str | None) -> None:
        def wanted(present: str) -> str:
            if not text.strip():
                raise RefusedEdit
            return edits.append(present, text)

        self.attempt(label, expected, lambda v: self.blocks.append(label, text, BY_MODEL, expected_version=v), wanted)

    @rule(label=labels | st.just("fixed"), old=st.text("ab\n", max_size=3), new=texts, expected=guesses)
    def replace(self, label: str, old: str, new: str, expected: int | str | None) -> None:
        def wanted(present: str) -> str:
            places = [at for at in range(len(present)) if old and present.startswith(old, at)]
            if len(places) != 1 or old == new:
                raise RefusedEdit
            return present[: places[0]] + new + present[places[0] + len(old) :]

        self.attempt(
            label, expected, lambda v: self.blocks.replace(label, old, new, BY_MODEL, expected_version=v), wanted
        )

    @rule(label=labels | st.just("fixed"), text=texts, line=st.integers(-2, 5), expected=guesses)
    def insert(self, label: str, text: str, line: int, expected: int | str | None) -> None:
        def wanted(present: str) -> str:
            lines = present.split("\n") if present else []
            if not text.strip() or not -1 <= line <= len(lines):
                raise RefusedEdit
            lines.insert(len(lines) if line == -1 else line, text)
            return "\n".join(lines)

        self.attempt(
            label, expected, lambda v: self.blocks.insert(label, text, line, BY_MODEL, expected_version=v), wanted
        )

    @rule(label=labels | st.just("fixed"), text=st.text("ab\n", max_size=30), expected=guesses)
    def rethink(self, label: str, text: str, expected: int | str | None) -> None:
        self.attempt(
            label,
            expected,
            lambda v: self.blocks.rethink(label, text, BY_MODEL, expected_version=v),
            lambda present: text,
        )

    @rule(
        label=labels | st.just("fixed"),
        parts=st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=4),
        old=st.text("ab", min_size=1, max_size=2),
        expected=guesses,
    )
    def patch(self, label: str, parts: list[str], old: str, expected: int | str | None) -> None:
        patch: list[edits.Edit] = [edits.Append(new=part) for part in parts]
        patch.append(edits.Replace(old=old, new="c"))

        def wanted(present: str) -> str:
            text = "\n".join([*([present] if present else []), *parts])
            if sum(text.startswith(old, at) for at in range(len(text))) != 1:
                raise RefusedEdit
            return text.replace(old, "c")

        self.attempt(label, expected, lambda v: self.blocks.patch(label, patch, BY_MODEL, expected_version=v), wanted)

    @rule(label=labels | st.just("fixed"), version=st.integers(0, 8), expected=guesses)
    def rollback(self, label: str, version: int, expected: int | str | None) -> None:
        row = self.model.get(label)

        def wanted(present: str) -> str:
            assert row is not None
            return row.versions[version - 1][1]

        if row is None or not 1 <= version <= len(row.versions):
            with pytest.raises(RefusedEdit):
                self.blocks.rollback(label, version, BY_MODEL)
            return
        self.attempt(
            label, expected, lambda v: self.blocks.rollback(label, version, BY_MODEL, expected_version=v), wanted
        )

    @rule(label=labels, text=st.text("ab", max_size=30))
    def create(self, label: str, text: str) -> None:
        if self.model.get(label) is not None or len(text) > LIMIT:
            with pytest.raises(RefusedEdit):
                self.blocks.create(label, BY_USER, content=text)
            return
        edit = self.blocks.create(label, BY_USER, content=text)
        gone = [row for row in self.model.rows if row.removed and row.label == label]
        if gone:  # the one that was removed last goes on
            row = gone[-1]
            self.model.rows.remove(row)
            row.versions.append((label, text))
            row.removed = False
        else:
            row = Row([(label, text)])
        self.model.rows.append(row)
        assert edit.block.version == len(row.versions)
        self.last = None

    @rule(label=labels | st.just("fixed"), expected=guesses)
    def delete(self, label: str, expected: int | str | None) -> None:
        row = self.model.get(label)
        version = len(row.versions) if row is not None and expected == "present" else expected
        if row is None or label == "fixed" or version not in (None, len(row.versions)):
            with pytest.raises(RefusedEdit):
                self.blocks.delete(label, BY_USER, expected_version=version)  # type: ignore[arg-type]
            return
        edit = self.blocks.delete(label, BY_USER, expected_version=version)  # type: ignore[arg-type]
        row.removed = True
        self.model.rows.remove(row)
        self.model.rows.append(row)  # removed last
        self.last = (edit.change_set_id, row, False)

    @rule(label=labels | st.just("fixed"), new=labels)
    def rename(self, label: str, new: str) -> None:
        row = self.model.get(label)
        if row is None or label == "fixed" or self.model.get(new) is not None:
            with pytest.raises(RefusedEdit):
                self.blocks.rename(label, new, BY_USER)
            return
        edit = self.blocks.rename(label, new, BY_USER)
        row.versions.append((new, row.text))
        self.last = (edit.change_set_id, row, True)

    @precondition(lambda self: self.last is not None)
    @rule()
    def undo_the_last_change(self) -> None:
        assert self.last is not None
        change_set, row, changed = self.last
        self.history.undo(change_set, BY_USER)
        if changed:
            row.versions.append(row.versions[-2])
        else:
            row.versions.append(row.versions[-1])
            row.removed = False
        self.last = None

    @invariant()
    def the_present_blocks_are_those_of_the_model(self) -> None:
        present = {block.label: (block.content, block.version, block.limit) for block in self.blocks.all()}
        assert present == {
            row.label: (row.text, len(row.versions), LIMIT) for row in self.model.rows if not row.removed
        }

    @invariant()
    def no_version_is_ever_lost(self) -> None:
        for row in self.model.rows:
            later = [each for each in self.model.rows if each.label == row.label and not each.removed]
            if row.removed and (later or row is not [r for r in self.model.rows if r.label == row.label][-1]):
                continue  # the label answers for another block now
            told = self.blocks.history(row.label, 1000)
            numbers = [each.version for each in told]
            assert [(each.version, each.label) for each in reversed(told)] == [
                (number, label) for number, (label, _) in enumerate(row.versions, 1)
            ]
            with self.store.read() as unit:
                block = unit.blocks.get(row.label)
                gone = unit.blocks.removed(row.label)
                key = block.id if block is not None else gone.id if gone is not None else None
                assert key is not None
                kept = unit.blocks.texts(key, numbers)
            assert {number: text.content for number, text in kept.items()} == {
                number: text for number, (_, text) in enumerate(row.versions, 1)
            }


def test_blocks_behave_like_their_plain_model(database: Database) -> None:
    Blocks.database = database
    run_state_machine_as_test(Blocks, settings=settings(max_examples=15, stateful_step_count=20, deadline=None))
