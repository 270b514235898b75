"""How much work something is: what a clock would tell, but the same everywhere."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable


def calls_of(work: Callable[[], object]) -> int:
    """How many functions are called in this thread while something is done."""
    calls = Counter[str]()
    before = sys.getprofile()
    sys.setprofile(lambda _, event, __: calls.update([event]))
    try:
        work()
    finally:
        sys.setprofile(before)
    return calls["call"] + calls["c_call"]
