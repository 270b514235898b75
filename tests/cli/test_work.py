"""The worker: jobs without a host, for one user and for all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mira_ltmemory.composition import MemoryManager, open_memory
from mira_ltmemory.config import MemoryConfig
from mira_ltmemory.protocols import IncomingMessage, Origin, Role

Run = Callable[..., str]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A database of this test's own: the worker goes through all of its users."""
    return tmp_path / "pg"


def say(memory: MemoryManager, text: str) -> None:
    memory.capture(
        [
            IncomingMessage(
                conversation_id="c",
                external_id=text,
                role=Role.USER,
                content=text,
                said_at=memory.clock.now(),
                origin=Origin.USER,
            )
        ]
    )


def test_every_user_is_worked_for(run: Run, own: Path) -> None:
    memory = open_memory(MemoryConfig(data_dir=own, user_name="ada"))
    other = memory.as_user("bob")
    say(memory, "hello")
    say(other, "good day")
    assert set(memory.users()) == {memory.store.user_id, other.store.user_id}
    shown = run("--data-dir", str(own), "--user", "ada", "work", "process_conversations", "--all-users")
    assert shown.count("Embedded 1 texts.") == 2
    assert other.status.read().pending == 0
    assert memory.as_user(other.store.user_id).recall.count() == 1
    memory.close()


def test_only_what_is_due_runs_without_a_name(run: Run) -> None:
    run("work")  # a first start has nothing to make up for, or makes it up now
    assert "nothing is due" in run("work")


def test_an_unknown_job_is_told(run: Run) -> None:
    assert "There is no job 'dream'" in run("work", "dream", code=1)
