"""A process that is killed in the middle leaves memory as before or as after, never between.

A sample; `make proofs` kills at every statement.
"""

from __future__ import annotations

import pytest
from crashing import CrashBench

from mira_ltmemory.config import MemoryConfig
from mira_ltmemory.store.database import Database


@pytest.mark.parametrize("name", ["edit: insert a passage", "undo: a run", "restore: a snapshot"])
def test_a_killed_operation_leaves_the_state_before_or_after(
    name: str, database: Database, config: MemoryConfig
) -> None:
    bench = CrashBench(database, config)
    points = bench.points(name)
    for point in {points[0], points[len(points) // 3], points[-2], points[-1]}:
        assert bench.outcome(name, point) in ("before", "after")
    assert bench.completes(name)
