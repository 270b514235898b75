"""Kills a process before and after every statement of edits, undos and restores, and before every commit.

After each kill the whole of the user's memory (rows, versions, words, vectors, journal) has to be that of before the
operation or that of after it.
"""

from __future__ import annotations

from collections import Counter

from crashing import CrashBench

from mira_ltmemory.config import MemoryConfig
from mira_ltmemory.store.database import Database


def test_no_kill_leaves_a_state_between(database: Database, config: MemoryConfig) -> None:
    bench = CrashBench(database, config)
    total = 0
    for name in bench.names:
        outcomes = Counter(bench.outcome(name, point) for point in bench.points(name))
        total += outcomes.total()
        print(f"{name}: {outcomes.total()} points, {dict(outcomes)}")
        assert set(outcomes) <= {"before", "after"}, outcomes
        assert bench.completes(name)
    print(f"{total} points in all")
    assert total >= 200
