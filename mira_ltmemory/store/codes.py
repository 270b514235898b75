"""How cold storage packs what a search needs of a text: its vector in bytes, its terms in five. Pure numpy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

TERM = np.dtype([("term", "<u4"), ("count", "u1")])
"""A term of a cold text: the low half of its hash, and how often it occurs (at most 255)."""

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


def packed_terms(forward: NDArray[np.void]) -> bytes:
    """Pack a document's terms."""
    packed = np.empty(len(forward), TERM)
    packed["term"] = forward["term"].astype(np.int64).view(np.uint64) & np.uint64(0xFFFFFFFF)
    packed["count"] = np.minimum(forward["count"], 255)
    return packed.tobytes()


def term_counts(packed: Sequence[bytes], terms: Sequence[int]) -> NDArray[np.uint8]:
    """How often each document holds each term: shape ``(documents, terms)``."""
    blobs = [bytes(each) for each in packed]
    rows = np.repeat(np.arange(len(blobs)), [len(blob) // TERM.itemsize for blob in blobs])
    entries = np.frombuffer(b"".join(blobs), TERM)
    held = np.ascontiguousarray(entries["term"])
    table = np.zeros((len(blobs), len(terms)), np.uint8)
    for column, term in enumerate(terms):
        at = np.flatnonzero(held == np.uint32(term & 0xFFFFFFFF))
        table[rows[at], column] = entries["count"][at]
    return table
