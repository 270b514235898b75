"""Vectors of single texts, such as queries: in memory, and kept in the database for later processes."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import numpy as np

from mira_ltmemory.embedding.tokens import places_of, words_at
from mira_ltmemory.protocols import TokenVectors
from mira_ltmemory.store.embedding_cache import CachedRow, CacheState
from mira_ltmemory.store.unit_of_work import Store

if TYPE_CHECKING:
    from numpy.typing import NDArray

_VECTOR, _PLACE = np.dtype("<f2"), np.dtype("<u2")
_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True, eq=False)
class _Entry:
    """A text without its words: ``places`` are those of its tokens' words among the words of the text."""

    vector: NDArray[np.float32]
    tokens: NDArray[np.int8] | None
    places: NDArray[np.uint16] | None
    used_at: datetime


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What is known of a text: the reader's own copies. ``secret`` is what its key was made with."""

    secret: bytes | None
    vector: NDArray[np.float32] | None = None
    tokens: TokenVectors | None = None


class VectorCache:
    """The last ``size`` single texts of one user, by model; ``kept`` of them outlast the process. Thread-safe.

    Texts are known by a keyed hash of theirs, and no word of them is held. The database is read once, when the first
    text is asked for, and written by `save` alone: neither takes part in an answer. An erasure, in whatever process,
    takes the secret away that the keys are made with: what another process still holds is never stored then.
    """

    def __init__(self, store: Store, size: int, kept: int) -> None:
        self._store = store
        self._size = size
        self._kept = min(size, kept)
        self._entries: OrderedDict[tuple[int, UUID], _Entry] = OrderedDict()
        self._unsaved: set[tuple[int, UUID]] = set()
        self._loaded: set[int] = set()
        self._secret: bytes | None = None
        self._hits = self._misses = 0
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._entries)

    def holds(self, model_id: int, text: str) -> bool:
        """Whether a text is held in memory."""
        with self._lock:
            return self._secret is not None and (model_id, _key(self._secret, text)) in self._entries

    def find(self, model_id: int, text: str, *, tokens: bool, count: bool = True) -> Found:
        """The vectors of a text where it is known, with those of its words where ``tokens`` are wanted.

        Where they are wanted and were not kept, the text is not known. ``count`` lets it tell in the hit rate.
        Raises ``StoreError``.
        """
        if not self._size:
            return Found(None)
        with self._lock:
            secret = self._open(model_id)
            key = model_id, _key(secret, text)
            entry = self._entries.get(key)
            if entry is not None and tokens and entry.tokens is None:
                entry = None
            self._hits += count and entry is not None
            self._misses += count and entry is None
            if entry is None:
                return Found(secret)
            self._touch(key, entry)
        if not tokens or entry.tokens is None or entry.places is None:
            return Found(secret, entry.vector.copy())
        return Found(secret, entry.vector.copy(), TokenVectors(words_at(text, entry.places.tolist()), entry.tokens))

    def put(
        self, found: Found, model_id: int, text: str, vector: NDArray[np.float32], tokens: TokenVectors | None
    ) -> None:
        """Keep the vectors of a text that `find` did not know; not where it was asked to forget since then."""
        secret = found.secret
        places = None if tokens is None else places_of(text, tokens.words)
        if tokens is not None and not places:
            return  # nothing to compare, or so long that it was cut within a word
        number = None if places is None else np.array(places, _PLACE)
        held = None if tokens is None else tokens.vectors
        entry = _Entry(vector.astype(np.float32), held, number, self._store.clock.now())
        with self._lock:
            if secret is None or secret != self._secret:
                return
            self._touch((model_id, _key(secret, text)), entry)
            while len(self._entries) > self._size:
                self._unsaved.discard(self._entries.popitem(last=False)[0])

    def forget(self) -> None:
        """Forget what is in memory; what is stored is read again when a text is next asked for."""
        with self._lock:
            self._entries.clear()
            self._unsaved.clear()
            self._loaded.clear()
            self._secret = None

    def clear(self) -> int:
        """Empty it, the stored part as well; return how many texts were stored. Raises ``StoreError``."""
        with self._store.upkeep() as unit:
            removed = unit.embedding_cache.clear()
        self.forget()
        with self._lock:
            self._hits = self._misses = 0
        return removed

    def save(self) -> int:
        """Store what is new, with what was counted; return how many texts. Raises ``StoreError``."""
        with self._lock:
            secret = self._secret
            rows = [_row(key, self._entries[key]) for key in self._unsaved]
            hits, misses = self._hits, self._misses
            if not self._kept or secret is None or not (rows or hits or misses):
                return 0
            self._unsaved.clear()
            self._hits = self._misses = 0
        rows = sorted(rows, key=lambda row: (row.model_id, row.key))
        with self._store.upkeep() as unit:
            if unit.embedding_cache.keep(secret, rows, hits, misses, self._kept):
                return len(rows)
        self.forget()
        return 0

    def state(self) -> CacheState:
        """What is stored, and what was counted here and in other processes. Raises ``StoreError``."""
        with self._store.read() as unit:
            stored = unit.embedding_cache.state()
        with self._lock:
            return replace(stored, hits=stored.hits + self._hits, misses=stored.misses + self._misses)

    def _open(self, model_id: int) -> bytes:
        """The secret, with the stored texts of a model read once."""
        if not self._kept:
            self._secret = self._secret or secrets.token_bytes(_SECRET_BYTES)
            return self._secret
        if self._secret is not None and model_id in self._loaded:
            return self._secret
        with self._store.upkeep() as unit:
            secret = unit.embedding_cache.open(secrets.token_bytes(_SECRET_BYTES), self._store.clock.now())
            rows = unit.embedding_cache.newest(model_id, self._kept)
        if secret != self._secret:
            self.forget()
            self._secret = secret
        for row in reversed(rows):
            entry = _entry(row)
            if entry is not None:
                self._entries.setdefault((model_id, row.key), entry)
        while len(self._entries) > self._size:
            self._entries.popitem(last=False)
        self._loaded.add(model_id)
        return secret

    def _touch(self, key: tuple[int, UUID], entry: _Entry) -> None:
        self._entries[key] = replace(entry, used_at=self._store.clock.now())
        self._entries.move_to_end(key)
        self._unsaved.add(key)


def _key(secret: bytes, text: str) -> UUID:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=secret, digest_size=16)
    return UUID(bytes=digest.digest())


def _row(key: tuple[int, UUID], entry: _Entry) -> CachedRow:
    tokens = None if entry.tokens is None else entry.tokens.tobytes()
    places = None if entry.places is None else entry.places.tobytes()
    return CachedRow(*key, entry.vector.astype(_VECTOR).tobytes(), tokens, places, entry.used_at)


def _entry(row: CachedRow) -> _Entry | None:
    """What a row keeps; none of one that is damaged: its text is embedded anew."""
    try:
        vector = np.frombuffer(row.vector, _VECTOR).astype(np.float32)
        if row.tokens is None or row.places is None:
            return _Entry(vector, None, None, row.used_at)
        places = np.frombuffer(row.places, _PLACE)
        return _Entry(vector, np.frombuffer(row.tokens, np.int8).reshape(len(places), -1), places, row.used_at)
    except ValueError:
        return None
