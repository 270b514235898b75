"""Captures that are undone, made again, or brought back: each message processed once for each time it was captured."""

from __future__ import annotations

import pytest
from noting import Noting, processor
from talking import marks, rows, said

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.protocols import Actor, Change

BY_USER = Change(Actor.USER, "test")


def test_an_undone_import_waits_no_longer(memory: MemoryManager) -> None:
    said(memory, "one")
    with memory.store.read() as unit:
        capture = unit.journal.last_id()
    assert memory.batches.counts().waiting == 1
    memory.history.undo(capture, BY_USER)
    step = Noting(memory)
    assert processor(memory, step).run().messages == 0
    assert marks(memory) == []
    memory.history.undo(memory.history.log(1)[0].id, BY_USER)
    assert processor(memory, step).run().messages == 1


def _captured(memory: MemoryManager) -> int:
    """The change set that captured what was said."""
    return next(each.id for each in memory.history.log() if each.tool == "capture")


@pytest.mark.parametrize("run_between", [True, False])
def test_what_is_captured_again_after_its_undo_is_processed_again(memory: MemoryManager, run_between: bool) -> None:
    messages = said(memory, "I moved to Porto in March of this year.", "My sister Ann works at Siemens in Munich.")
    memory.batches.run()
    made = rows(memory)
    memory.history.undo(_captured(memory), BY_USER, with_dependents=True)
    assert (len(made), rows(memory)) == (1, [])
    if run_between:
        assert memory.batches.run().messages == 0
    assert len(memory.capture(messages)) == 2
    report = memory.batches.run()
    assert (report.messages, report.failed, rows(memory)) == (2, 0, made)
    assert memory.graph.lookup("Ann").entity is not None
    assert memory.batches.run().messages == 0
    assert {mark[:2] for mark in marks(memory)} == {("done", 0)}


@pytest.mark.parametrize("run_between", [True, False])
def test_an_undo_that_is_undone_brings_back_what_was_made_and_makes_nothing_twice(
    memory: MemoryManager, run_between: bool
) -> None:
    said(memory, "I moved to Porto in March of this year.", "My sister Ann works at Siemens in Munich.")
    memory.batches.run()
    made = rows(memory, "content, CAST(id AS text)")
    undo = memory.history.undo(_captured(memory), BY_USER, with_dependents=True).change_set_id
    if run_between:
        assert memory.batches.run().messages == 0
    memory.history.undo(undo, BY_USER)
    assert rows(memory, "content, CAST(id AS text)") == made
    assert memory.batches.run().messages == 0
    assert rows(memory, "content, CAST(id AS text)") == made


def test_what_waited_or_was_set_aside_waits_afresh_when_it_is_captured_again(memory: MemoryManager) -> None:
    messages = said(memory, "one")
    assert memory.batches.counts().waiting == 1
    with memory.store.upkeep() as unit:
        aside = "UPDATE ltmemory.batch_messages SET state = 'aside', attempts = 3 WHERE user_id = :user_id"
        unit.batches.execute(aside)
    memory.history.undo(_captured(memory), BY_USER)
    memory.capture(messages)
    assert memory.batches.counts().waiting == 1
    assert [mark[:2] for mark in marks(memory)] == [("waiting", 0)]
