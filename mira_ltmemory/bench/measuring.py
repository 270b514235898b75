"""Times things side by side, and shows them as ratios: machines differ, and a busy one from minute to minute."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.table import Table


@dataclass(slots=True)
class Timing:
    """Seconds that one thing took, each time that it was done."""

    seconds: list[float] = field(default_factory=list)

    @contextmanager
    def once(self) -> Iterator[None]:
        """Measure what the block does."""
        began = time.perf_counter()
        yield
        self.seconds.append(time.perf_counter() - began)

    @property
    def median(self) -> float:
        """The middle one, in seconds. Raises ``ValueError`` where nothing was measured."""
        return percentile(self.seconds, 50)

    @property
    def p95(self) -> float:
        """What 95 % stay below, in seconds. Raises ``ValueError`` where nothing was measured."""
        return percentile(self.seconds, 95)

    @property
    def total(self) -> float:
        """All of them, in seconds."""
        return sum(self.seconds)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` % of the values do not exceed, between two neighbours where it falls between them.

    Raises ``ValueError`` where there are no values, or for a share outside 0 to 100.
    """
    if not values:
        raise ValueError("nothing was measured")
    if not 0 <= share <= 100:
        raise ValueError(f"a percentile is between 0 and 100, not {share}")
    ordered = sorted(values)
    place = (len(ordered) - 1) * share / 100
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def alternate(things: Mapping[str, Callable[[int], object]], rounds: int, warmups: int = 1) -> dict[str, Timing]:
    """Do each thing once a round, turn by turn, so that what else the machine does strikes all alike.

    Each is called with the number of the round; the first ``warmups`` are done but not counted.
    """
    timings = {name: Timing() for name in things}
    for number in range(-warmups, rounds):
        for name, do in things.items():
            if number < 0:
                do(number % max(1, rounds))
                continue
            with timings[name].once():
                do(number)
    return timings


def timing_table(title: str, timings: Mapping[str, Timing], base: str) -> Table:
    """Medians and 95th percentiles in ms, and the ratio of each median to that of ``base``."""
    table = Table("", "median ms", "p95 ms", f"median / {base}", title=title, title_justify="left")
    for name, timing in timings.items():
        ratio = f"{timing.median / timings[base].median:.2f}"
        table.add_row(name, f"{timing.median * 1000:.2f}", f"{timing.p95 * 1000:.2f}", ratio)
    return table


def figures_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Rows of a name and figures; a float is shown with three decimals, and what is none as a dash."""
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(
            *("-" if each is None else f"{each:.3f}" if isinstance(each, float) else str(each) for each in row)
        )
    return table


def mean(values: Iterable[float]) -> float | None:
    """The mean; none where there are no values."""
    known = list(values)
    return statistics.fmean(known) if known else None


def machine() -> str:
    """What this runs on, in one line: figures of two machines are not to be compared."""
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{os.cpu_count()} cores{load}, {platform.machine()}, Python {platform.python_version()}"
