"""Undo, as_of and restore against a plain in-memory model; `make proofs` walks further."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from journal_machine import machine_on

from mira_ltmemory.config import MemoryConfig
from mira_ltmemory.store.database import Database


def test_random_histories_agree_with_the_model(database: Database, config: MemoryConfig) -> None:
    run_state_machine_as_test(
        machine_on(database, config),
        settings=settings(
            max_examples=10,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[
                Phase.explicit,
                Phase.reuse,
                Phase.generate,
            ],  # shrinking takes minutes: switch it on to read a failure
        ),
    )
