"""How cold storage codes a vector: a byte a dimension to rank by, three bits a dimension to search by. Pure numpy."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SCALE = np.dtype("<f4")
_HALFVEC_HEAD = 4  # dimension and a spare, int2 each


def packed_vector(sent: bytes) -> bytes:
    """Code a vector, given as ``halfvec_send`` writes it, as a scale and a signed byte for each dimension."""
    vector = np.frombuffer(sent, ">f2", offset=_HALFVEC_HEAD).astype(np.float32)
    scale = max(float(np.abs(vector).max()), 1e-12) / 127
    return np.array(scale, _SCALE).tobytes() + np.round(vector / scale).astype(np.int8).tobytes()


def packed_floats(vector: NDArray[np.float32]) -> bytes:
    """Code a vector of floats."""
    scale = max(float(np.abs(vector).max()), 1e-12) / 127
    return np.array(scale, _SCALE).tobytes() + np.round(vector / scale).astype(np.int8).tobytes()


def cosines(codes: Sequence[bytes | None], query: NDArray[np.float32]) -> NDArray[np.float64]:
    """Cosine of each coded vector with a unit vector, shape ``(len(codes),)``; nan where there is no code."""
    found = np.full(len(codes), np.nan)
    size = _SCALE.itemsize + len(query)
    known = [index for index, code in enumerate(codes) if code is not None and len(code) == size]
    if known:
        raw = np.frombuffer(b"".join(bytes(codes[index] or b"") for index in known), np.uint8).reshape(-1, size)
        vectors = raw[:, _SCALE.itemsize :].view(np.int8).astype(np.float32)
        lengths = np.maximum(np.linalg.norm(vectors, axis=1), 1e-6)
        found[known] = vectors @ query / lengths
    return found


def bits(vector: NDArray[np.float32]) -> str:
    """A unit vector as a bit string for Postgres, three bits a dimension: Hamming distances go about as angles do.

    Each number after a rotation says whether it is above minus the usual size, above 0, above the usual size.
    """
    turned = _rotation(len(vector)) @ vector / max(float(np.linalg.norm(vector)), 1e-12)
    usual = len(vector) ** -0.5
    return "".join("".join("1" if above else "0" for above in (turned > t).tolist()) for t in (-usual, 0.0, usual))


def code_bits(code: bytes) -> str:
    """The bits of a coded vector."""
    return bits(np.frombuffer(code, np.int8, offset=_SCALE.itemsize).astype(np.float32))


@lru_cache(maxsize=4)
def _rotation(dimension: int) -> NDArray[np.float32]:
    """A rotation by chance, always the same: a vector's weight lies in few dimensions, and afterwards in all."""
    drawn = np.random.RandomState(0).standard_normal((dimension, dimension))  # of which numpy keeps the numbers
    rotation, triangle = np.linalg.qr(drawn)
    return np.asarray(rotation * np.sign(np.diag(triangle)), dtype=np.float32)
