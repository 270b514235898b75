"""The worker: jobs without a host, for one user and for all."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mira_ltmemory.cli.app import app
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


def test_a_job_that_cannot_run_is_told_and_none_is_run(run: Run) -> None:
    assert "There is no job 'dream'" in run("work", "health_check", "dream", code=1)
    assert "health_check:" not in run("work", "health_check", "dream", code=1)
    assert "Did you mean 'consolidate_memory'?" in run("work", "consolidate", code=1)
    told = run("work", "health_check", code=1, LT_MEMORY_AUTOMATIONS__HEALTH_CHECK__ENABLED="false")
    assert "is off: set LT_MEMORY_AUTOMATIONS__HEALTH_CHECK__ENABLED=true." in told
    assert "is off: set LT_MEMORY_RETENTION_DAYS to a number." in run("work", "retention", code=1)


def test_a_user_is_called_by_name_where_it_is_known(run: Run, config: MemoryConfig) -> None:
    assert f"{config.user_name} health_check: " in run("work", "health_check")
    own = uuid.uuid4()
    told = CliRunner().invoke(app, ["--data-dir", str(config.data_dir), "status"], env={"LT_MEMORY_USER_ID": str(own)})
    assert str(own) in told.output
