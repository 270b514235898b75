"""``bench render`` on a few rows."""

from __future__ import annotations

import re

from typer.testing import CliRunner

from mira_ltmemory.bench import rendering as bench
from mira_ltmemory.cli.app import app
from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.protocols import no_progress


def test_a_new_message_finds_what_is_likely_and_the_next_update_searches_nothing(memory: MemoryManager) -> None:
    prepared = bench.prepare(memory, 400, 20, no_progress)
    measured = bench.measure(prepared, memory, rounds=2)
    assert {name: len(timing.seconds) for name, timing in measured.items()} == {
        bench.RAW: 2, "embedding one message": 2, "update for a new message": 2, "update, nothing new": 2,
    }  # fmt: skip
    found = prepared.memory.relevant.current()
    assert found and prepared.memory.relevant.current() is found
    assert memory.archival.count() == 400


def test_the_command_prints_ratios() -> None:
    shown = CliRunner().invoke(app, ["bench", "render", "--rows", "300", "--rounds", "2"], env={"COLUMNS": "160"})
    assert shown.exit_code == 0, shown.output
    rows = [line for line in shown.output.splitlines() if "update" in line and "│" in line]
    assert len(rows) == 2 and all(re.search(r"\d+\.\d\d", row) for row in rows)
