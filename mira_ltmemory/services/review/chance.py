"""Whether something is more than chance. Pure arithmetic, exact to the precision of floats."""

from __future__ import annotations

from math import exp, lgamma, log

SURE = 0.01
"""The chance that is accepted of taking an accident for a pattern, over all tests of one run together."""


def at_least(hits: int, trials: int, probability: float) -> float:
    """The chance of ``hits`` or more in ``trials``, each a hit with ``probability``."""
    if hits <= 0:
        return 1.0
    if hits > trials or probability <= 0:
        return 0.0
    if probability >= 1:
        return 1.0
    whole = lgamma(trials + 1)
    hit, miss = log(probability), log(1 - probability)
    total = 0.0
    for number in range(hits, trials + 1):
        ways = whole - lgamma(number + 1) - lgamma(trials - number + 1)
        total += exp(ways + number * hit + (trials - number) * miss)
    return min(1.0, total)


def spread(hits: int, sizes: list[int]) -> float:
    """In how many groups of these sizes ``hits`` messages would fall, if they fell by chance."""
    total = sum(sizes)
    return sum(1 - (1 - size / total) ** hits for size in sizes) if total else 0.0
