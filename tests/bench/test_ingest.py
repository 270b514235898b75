"""``bench ingest`` on a few rows: what it stores and finds has to be right; how long it takes is no matter here."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mira_ltmemory.bench import ingest as bench
from mira_ltmemory.bench.measuring import Timing
from mira_ltmemory.bench.places import kept_memory
from mira_ltmemory.cli.app import app
from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.errors import InvalidArgument
from mira_ltmemory.protocols import Kind


def test_every_message_is_stored_with_words_and_vector_beside_the_rows_that_were_there(memory: MemoryManager) -> None:
    bench.fill(memory, 450)
    with memory.store.read() as unit:
        assert unit.messages.totals()[:2] == (3, 450)
        words = unit.canaries.words(Kind.MESSAGE, 50, random.Random(1), whole=True)
    assert words.checked >= 40 and words.wrong == 0
    measured = bench.measure(memory, 70, ["short"], warm=3) | bench.measure(memory, 2, ["long"], warm=1)
    batches = {"short": 2, "long": 1}
    assert {kind: each.messages for kind, each in measured.items()} == {"short": 70, "long": 2}
    for kind, each in measured.items():
        assert all(
            len(timing.seconds) == batches[kind] for timing in (each.bare, each.words, each.storing, each.vectors)
        )
    assert memory.recall.count() == 450 + 73 + 3
    with memory.store.read() as unit:
        assert unit.vectors.pending_count() == 0
        counted = unit.messages.execute(
            "SELECT count(*) FROM ltmemory.vectors JOIN ltmemory.token_vectors "
            "USING (user_id, kind, row_id, model_id, content_hash) WHERE user_id = :user_id AND kind = :kind",
            kind=Kind.MESSAGE.value,
        )
        assert counted.scalar_one() == memory.recall.count()
    between = bench.measure_between(memory)
    assert (between.by_words, between.by_meaning) == (5, 5)
    assert between.early == 0
    assert len(between.stored.seconds) == len(between.word.seconds) == len(between.meaning.seconds) == 5


def test_a_store_that_was_kept_is_not_filled_again(tmp_path: Path) -> None:
    for _ in range(2):
        with kept_memory({}, tmp_path) as memory:
            bench.fill(memory, 300)
            assert memory.recall.count() == 300
            with pytest.raises(InvalidArgument, match="holds 300 messages"):
                bench.fill(memory, 301)


def test_ratios_are_of_the_whole_beside_the_model_alone() -> None:
    found = bench.Ingested(128, Timing([0.5, 0.5]), Timing([1.0, 1.0]), Timing([0.25, 0.25]), Timing([0.5, 0.25]))
    assert (found.bare_rate, found.rate, found.ratio) == pytest.approx((128, 102.4, 0.8))
    shown = bench.rate_table({"long": found}, 1_000)
    assert [next(iter(column.cells)) for column in shown.columns] == [
        "128 long", "128", "64", "102", "0.80", ">= 0.85", "250", "375",
    ]  # fmt: skip


def test_the_command_prints_both_rates_and_the_time_between() -> None:
    asked = ["bench", "ingest", "--rows", "300", "--messages", "4", "--kind", "short"]
    shown = CliRunner().invoke(app, asked, env={"COLUMNS": "160"})
    assert shown.exit_code == 0, shown.output
    assert re.search(r"4 short .*│ \d+ +│ \d+ +│ \d+ +│ \d+\.\d\d +│ >= 0\.50", shown.output), shown.output
    assert "long" not in shown.output.splitlines()[-5]
    assert "Found by a word at once: 5 of 5" in shown.output
    assert "0 before the vector was there, 5 after" in " ".join(shown.output.split())
