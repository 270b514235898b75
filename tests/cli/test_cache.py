"""``cache``: vectors of queries that are kept."""

from __future__ import annotations

from collections.abc import Callable

from mira_ltmemory.composition import open_memory
from mira_ltmemory.config import MemoryConfig

Run = Callable[..., str]


def test_the_cache_is_told_of_and_emptied(run: Run, config: MemoryConfig) -> None:
    assert "0 of at most 2048 texts" in run("cache")
    memory = open_memory(config)
    for query in ("grey cats", "red bicycles", "grey cats"):
        memory.recall.search(query)
    memory.close()
    shown = run("cache")
    assert "2 of at most 2048 texts" in shown
    assert "1 of 3 single texts were known (33%)" in shown
    assert "Dropped the vectors of 2 texts." in run("cache", "clear", "--yes")
    shown = run("cache")
    assert "0 of at most 2048 texts, 0 KiB." in shown
    assert "were known" not in shown
