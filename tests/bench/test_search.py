"""``bench search`` on a few hundred rows: what it measures has to be right; how long it takes is no matter here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mira_ltmemory.bench.generated import Generator, sizes, vocabulary
from mira_ltmemory.bench.search import FILTERS, measure


def test_the_same_seed_gives_the_same_rows_and_another_seed_others() -> None:
    first, again, other = (next(Generator(200, 16, seed).chunks(0, 50)) for seed in (1, 1, 2))
    assert (first.ids, first.texts, first.tags) == (again.ids, again.texts, again.tags)
    assert np.array_equal(first.vectors, again.vectors) and first.texts != other.texts
    assert np.allclose(np.linalg.norm(first.vectors, axis=1), 1, atol=1e-5)


def test_words_are_as_frequent_as_words_are_and_rows_of_a_topic_are_near() -> None:
    chunk = next(Generator(3_000, 64).chunks(0, 3_000))
    held = [sum(word in text.split() for text in chunk.texts) for word in ("the", "of", "river")]
    assert held[0] > held[1] > held[2] and held[0] > 900
    near = np.sort(chunk.vectors[:100] @ chunk.vectors.T, axis=1)
    assert near[:, -2].mean() > 2 * near.mean()
    assert 0.4 < sum("half" in tags for tags in chunk.tags) / 3_000 < 0.6


def test_users_are_of_unequal_size_and_the_first_has_most() -> None:
    made = sizes(1_000, 100)
    assert len(made) == 100 and made[0] == 1_000 == max(made) and made[1] > made[10] >= made[-1] >= 8
    assert sizes(5, 1) == [5] and len(set(vocabulary(40_000))) > 30_000


@pytest.mark.parametrize("users", [3])
def test_it_measures_recall_filters_and_the_smallest_user(make_place: Callable[[], Path], users: int) -> None:
    place = make_place()
    again = {"rows": 300, "users": users, "seed": 3, "questions": 10, "keep": place, "guide": True}
    report = measure({}, **again)
    assert report.recall >= 0.99 <= report.raw_recall and report.guide_recall is not None
    assert set(report.timings) == {"raw HNSW", "hybrid search", "the guide's IVFFlat", "embedding a query"}
    assert all(len(timing.seconds) == 10 for timing in report.timings.values())
    assert [each.name for each in report.filtered] == list(FILTERS)
    assert all(each.recall == 1.0 for each in report.filtered)
    found = {each.name: each.total for each in report.filtered}
    assert 100 < found["tag on half of the rows"] < 200 and 0 < found["dates of 1 %"] < 10
    assert report.small is not None and report.small.same == report.small.asked == 20
    assert report.index is not None and report.index.valid and report.database is not None
