from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mira_ltmemory.bench.measuring import Timing, alternate, percentile, timing_table


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), st.floats(0, 100))
def test_a_percentile_lies_between_its_neighbours(values: list[float], share: float) -> None:
    found = percentile(values, share)
    ordered = sorted(values)
    place = int((len(values) - 1) * share / 100)
    assert ordered[place] - 1e-6 <= found <= ordered[min(place + 1, len(values) - 1)] + 1e-6


def test_percentiles_of_what_is_known() -> None:
    assert percentile([3.0, 1.0, 2.0], 50) == 2.0
    assert percentile([0.0, 10.0], 95) == 9.5
    with pytest.raises(ValueError, match="nothing was measured"):
        percentile([], 50)
    with pytest.raises(ValueError, match="between 0 and 100"):
        percentile([1.0], 101)


def test_things_are_done_turn_by_turn_and_warmups_are_not_counted() -> None:
    done: list[str] = []
    timings = alternate({"a": lambda n: done.append(f"a{n}"), "b": lambda n: done.append(f"b{n}")}, 2, warmups=1)
    assert done == ["a1", "b1", "a0", "b0", "a1", "b1"]
    assert [len(timings[name].seconds) for name in "ab"] == [2, 2]


def test_a_table_shows_ratios_to_the_base() -> None:
    table = timing_table("t", {"old": Timing([0.002, 0.002]), "new": Timing([0.001, 0.001])}, "old")
    assert list(table.columns[3].cells) == ["1.00", "0.50"]
