"""``consolidate``: what a person is shown before and after."""

from __future__ import annotations

from collections.abc import Callable

from mira_ltmemory.composition import open_memory
from mira_ltmemory.config import MemoryConfig

Run = Callable[..., str]


def test_a_dry_run_shows_and_a_run_does_and_can_be_undone(run: Run, config: MemoryConfig) -> None:
    memory = open_memory(config)
    memory.archival.insert("Ruth plays the oboe")
    memory.archival.insert("Ruth plays the oboe. She lives in Bergen.")
    memory.close()
    shown = run("consolidate", "--dry-run")
    assert "1  near-duplicates to merge" in shown
    assert "Nothing was changed." in shown
    done = run("consolidate")
    assert "1 near-duplicates merged" in done
    number = done.split("change set ")[1].split(".")[0]
    assert "nothing to do" in run("consolidate")
    run("undo", number, "--yes")
    memory = open_memory(config)
    assert len(memory.archival.search("oboe").hits) == 2
    memory.close()
