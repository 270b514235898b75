"""Vectors as text, the form in which Postgres takes and gives them: "[0.1,0.2]"."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mira_ltmemory.protocols import Vectors


def vector_text(vector: NDArray[np.floating]) -> str:
    """A vector ``(dim,)`` as text, with six digits: half precision has no four."""
    return _form(len(vector)) % tuple(vector.tolist())


def parsed_vector(text: str) -> Vectors:
    """The vector ``(dim,)`` of a text."""
    return np.array(text[1:-1].split(","), np.float32)


@lru_cache(maxsize=8)
def _form(dimension: int) -> str:
    # Formatted at once, the numbers take a third of the time of one by one.
    return "[" + ",".join(["%.6g"] * dimension) + "]"
