"""``bench render`` on a few rows."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mira_ltmemory.bench import rendering as bench
from mira_ltmemory.bench.search import measure
from mira_ltmemory.cli.app import app
from mira_ltmemory.errors import InvalidArgument
from mira_ltmemory.protocols import no_progress


def test_a_new_message_finds_what_is_likely_and_the_next_update_searches_nothing(
    make_place: Callable[[], Path],
) -> None:
    with bench.prepared({}, 400, 20, no_progress, place=make_place()) as prepared:
        measured = bench.measure(prepared, rounds=2)
        assert {name: len(timing.seconds) for name, timing in measured.items()} == {
            bench.RAW: 2, "embedding one message": 2, "update for a new message": 2, "update, nothing new": 2,
        }  # fmt: skip
        found = prepared.memory.relevant.current()
        assert found and prepared.memory.relevant.current() is found
        assert any("tokens" in memory.hit.features for memory in found)
        assert prepared.memory.archival.count() == 400


def test_it_measures_in_what_bench_search_kept(make_place: Callable[[], Path]) -> None:
    keep = make_place()
    measure({}, rows=300, users=2, seed=0, questions=10, keep=keep, guide=False)
    with bench.prepared({}, 5, 20, no_progress, keep=keep) as prepared:
        assert prepared.rows == 300 and prepared.memory.archival.count() == 300
        assert bench.measure(prepared, rounds=1)[bench.RAW].median > 0


def test_where_nothing_is_kept_it_says_so(tmp_path: Path) -> None:
    with (
        pytest.raises(InvalidArgument, match="bench search --keep"),
        bench.prepared({}, 5, 20, no_progress, keep=tmp_path),
    ):
        pass


def test_the_command_prints_ratios() -> None:
    shown = CliRunner().invoke(app, ["bench", "render", "--rows", "300", "--rounds", "2"], env={"COLUMNS": "160"})
    assert shown.exit_code == 0, shown.output
    rows = [line for line in shown.output.splitlines() if "update" in line and "│" in line]
    assert len(rows) == 2 and all(re.search(r"\d+\.\d\d", row) for row in rows)
