"""Vectors for stored texts and for queries, from one embedding model; words-only where there is none."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from mira_ltmemory.errors import EmbeddingError
from mira_ltmemory.protocols import (
    Embedder,
    EmbeddingModel,
    Progress,
    TokenEmbedder,
    TokenSpace,
    TokenVectors,
    no_progress,
)
from mira_ltmemory.services.problems import Problems
from mira_ltmemory.services.search.late import UNTOLD
from mira_ltmemory.services.search.searcher import EmbeddedQuery
from mira_ltmemory.store.unit_of_work import Store

if TYPE_CHECKING:
    from mira_ltmemory.protocols import Vectors

logger = logging.getLogger(__name__)

PROBLEM = "search by meaning"


class Embedded(NamedTuple):
    """Texts under the model of that number: unit vectors ``(len(texts), dimension)``, and their words' vectors.

    ``tokens`` is none where the model gives none, or they are switched off.
    """

    model_id: int
    vectors: Vectors
    tokens: tuple[TokenVectors, ...] | None = None


class EmbeddingService:
    """Embeds texts of one user, and keeps nothing where the model cannot be trusted. Thread-safe.

    The vectors of the last ``cache_size`` single texts, such as queries, are kept in memory: this user's alone.
    ``register`` makes a model known to the database and returns its number. ``embedder`` is none where the
    model cannot be used; ``Problems`` then says why. ``space_of`` gives the token space of a model by its number;
    without it, words get no vectors.
    """

    def __init__(
        self,
        store: Store,
        embedder: Embedder | None,
        register: Callable[[EmbeddingModel], int],
        problems: Problems,
        *,
        batch_size: int = 32,
        cache_size: int = 2048,
        space_of: Callable[[int, TokenEmbedder], TokenSpace] | None = None,
    ) -> None:
        self._store = store
        self._embedder = embedder
        self._register = register
        self._problems = problems
        self._batch_size = batch_size
        self._model_id: int | None = None
        self._cache_size = cache_size
        self._cache: OrderedDict[str, Embedded] = OrderedDict()
        self._space_of = space_of
        self._space: TokenSpace | None = None
        self._forgotten = 0
        self._lock = threading.Lock()

    @property
    def available(self) -> bool:
        """Whether there is a model to embed with."""
        return self._embedder is not None

    @property
    def model(self) -> tuple[int, int] | None:
        """Number and dimension of the model in use; none where there is none. Raises ``StoreError``."""
        return None if self._embedder is None else (self._known_model(self._embedder), self._embedder.model.dimension)

    def model_id(self) -> int | None:
        """The number of the model that searches use; none where there is no model. Raises ``StoreError``."""
        return None if self._embedder is None else self._known_model(self._embedder)

    def embed_query(self, text: str) -> EmbeddedQuery | None:
        """Return the vectors of a query, or none where search must do with words."""
        embedded = self.embed_now([text])
        if embedded is None:
            return None
        tokens = None if embedded.tokens is None else embedded.tokens[0]
        return EmbeddedQuery(embedded.model_id, embedded.vectors[0], tokens)

    def embed_now(self, texts: Sequence[str]) -> Embedded | None:
        """Return the vectors of texts, or none where the model cannot be used."""
        if self._embedder is None:
            return None
        try:
            embedded = self._cached(self._embedder, texts) if len(texts) == 1 else self._embed(self._embedder, texts)
        except EmbeddingError as error:
            self._problems.set(PROBLEM, f"off: {error}")
            return None
        self._problems.clear(PROBLEM)
        return embedded

    def process_pending(self, progress: Progress = no_progress) -> int:
        """Embed every text that waits, and return how many were; stops early where the model fails.

        Each batch is stored on its own, so a run that is killed loses one batch of work and no text.
        """
        with self._store.upkeep() as unit:
            unit.vectors.drop_orphans()
            total = unit.vectors.pending_count()
        done = 0
        while self._embedder is not None and done < total:
            with self._store.read() as unit:
                waiting = unit.vectors.pending(self._batch_size * 8)
            if not waiting:
                break
            # No connection is held while the model works.
            embedded = self.embed_now([item.content for item in waiting])
            if embedded is None:
                break
            with self._store.upkeep() as unit:
                unit.vectors.add(waiting, embedded.vectors, embedded.model_id, embedded.tokens)
            done += len(waiting)
            progress("embedding", min(done, total), total)
        return done

    def enqueue_missing(self, max_chars: int) -> int:
        """Enqueue every text of at most ``max_chars`` characters that the present model has not embedded."""
        if self._embedder is None:
            return 0
        model_id = self._known_model(self._embedder)
        with self._store.upkeep() as unit:
            return unit.vectors.enqueue_missing(model_id, max_chars, tokens=self._gives_tokens(self._embedder))

    def forget(self) -> None:
        """Forget the texts and vectors that are kept in memory."""
        with self._lock:
            self._cache.clear()
            self._forgotten += 1

    def cached_texts(self) -> list[str]:
        """The texts that are kept in memory with their vectors."""
        with self._lock:
            return list(self._cache)

    def _cached(self, embedder: Embedder, texts: Sequence[str]) -> Embedded:
        """One text, embedded or remembered. Its readers may write into its vector: each gets a copy."""
        (text,) = texts
        with self._lock:
            known = self._cache.get(text)
            if known is not None:
                self._cache.move_to_end(text)
                return known._replace(vectors=known.vectors.copy())
            before = self._forgotten
        embedded = self._embed(embedder, texts)
        with self._lock:
            # What was asked to be forgotten meanwhile is not kept.
            if before == self._forgotten:
                self._cache[text] = embedded._replace(vectors=embedded.vectors.copy())
                while len(self._cache) > self._cache_size:
                    self._cache.popitem(last=False)
        return embedded

    def _embed(self, embedder: Embedder, texts: Sequence[str]) -> Embedded:
        model_id = self._known_model(embedder)
        if self._space_of is None or not isinstance(embedder, TokenEmbedder):
            return Embedded(model_id, embedder.embed(texts))
        if self._space is None:
            self._space = self._space_of(model_id, embedder)
        vectors, tokens = embedder.embed_tokens(texts, self._space, UNTOLD)
        return Embedded(model_id, vectors, tuple(tokens))

    def _gives_tokens(self, embedder: Embedder) -> bool:
        return self._space_of is not None and isinstance(embedder, TokenEmbedder)

    def _known_model(self, embedder: Embedder) -> int:
        if self._model_id is None:
            self._model_id = self._register(embedder.model)
        return self._model_id
