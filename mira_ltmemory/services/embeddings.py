"""Vectors for stored texts and for queries, from one embedding model; words-only where there is none."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cached_property
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


class ModelInUse:
    """A model with its number in the database and its token space, each found when first needed. Thread-safe.

    The two belong to the embedder for good, so that no vector is ever stored under another model's number.
    """

    def __init__(
        self,
        embedder: Embedder,
        register: Callable[[EmbeddingModel], int],
        space_of: Callable[[int, TokenEmbedder], TokenSpace] | None,
    ) -> None:
        self.embedder = embedder
        self._register = register
        self._space_of = space_of

    @cached_property
    def number(self) -> int:
        """The model's number; registers it. Raises ``StoreError`` and ``EmbeddingError``."""
        return self._register(self.embedder.model)

    @cached_property
    def _space(self) -> TokenSpace | None:
        if self._space_of is None or not isinstance(self.embedder, TokenEmbedder):
            return None
        return self._space_of(self.number, self.embedder)

    @property
    def gives_tokens(self) -> bool:
        """Whether the words of texts have vectors too."""
        return self._space_of is not None and isinstance(self.embedder, TokenEmbedder)

    def embed(self, texts: Sequence[str]) -> Embedded:
        """Embed texts. Raises ``EmbeddingError`` and ``StoreError``."""
        if self._space is None or not isinstance(self.embedder, TokenEmbedder):
            return Embedded(self.number, self.embedder.embed(texts))
        vectors, tokens = self.embedder.embed_tokens(texts, self._space, UNTOLD)
        return Embedded(self.number, vectors, tuple(tokens))


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
        self._register = register
        self._problems = problems
        self._batch_size = batch_size
        self._cache_size = cache_size
        self._cache: OrderedDict[str, Embedded] = OrderedDict()
        self._space_of = space_of
        self._forgotten = 0
        self._lock = threading.Lock()
        self._in_use = None if embedder is None else ModelInUse(embedder, register, space_of)

    @property
    def available(self) -> bool:
        """Whether there is a model to embed with."""
        return self._in_use is not None

    @property
    def model(self) -> tuple[int, int] | None:
        """Number and dimension of the model in use; none where there is none. Raises ``StoreError``."""
        in_use = self._in_use
        return None if in_use is None else (in_use.number, in_use.embedder.model.dimension)

    @property
    def embedder(self) -> Embedder | None:
        """The model in use itself; none where there is none."""
        return None if self._in_use is None else self._in_use.embedder

    def use(self, embedder: Embedder | None) -> None:
        """Embed with another model, or with none, from now on; what was remembered of the former is forgotten."""
        with self._lock:
            self._in_use = None if embedder is None else ModelInUse(embedder, self._register, self._space_of)
            self._cache.clear()
            self._forgotten += 1

    def with_model(self, embedder: Embedder) -> ModelInUse:
        """Another model beside the one in use, with all that vectors are stored with."""
        return ModelInUse(embedder, self._register, self._space_of)

    def model_id(self) -> int | None:
        """The number of the model that searches use; none where there is no model. Raises ``StoreError``."""
        in_use = self._in_use
        return None if in_use is None else in_use.number

    def embed_query(self, text: str) -> EmbeddedQuery | None:
        """Return the vectors of a query, or none where search must do with words."""
        embedded = self.embed_now([text])
        if embedded is None:
            return None
        tokens = None if embedded.tokens is None else embedded.tokens[0]
        return EmbeddedQuery(embedded.model_id, embedded.vectors[0], tokens)

    def embed_now(self, texts: Sequence[str]) -> Embedded | None:
        """Return the vectors of texts, or none where the model cannot be used."""
        in_use = self._in_use
        if in_use is None:
            return None
        try:
            embedded = self._cached(in_use, texts) if len(texts) == 1 else in_use.embed(texts)
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
        while self._in_use is not None and done < total:
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
        in_use = self._in_use
        if in_use is None:
            return 0
        number = in_use.number
        with self._store.upkeep() as unit:
            return unit.vectors.enqueue_missing(number, max_chars, tokens=in_use.gives_tokens)

    def forget(self) -> None:
        """Forget the texts and vectors that are kept in memory."""
        with self._lock:
            self._cache.clear()
            self._forgotten += 1

    def cached_texts(self) -> list[str]:
        """The texts that are kept in memory with their vectors."""
        with self._lock:
            return list(self._cache)

    def _cached(self, in_use: ModelInUse, texts: Sequence[str]) -> Embedded:
        """One text, embedded or remembered. Its readers may write into its vector: each gets a copy."""
        (text,) = texts
        with self._lock:
            known = self._cache.get(text)
            if known is not None:
                self._cache.move_to_end(text)
                return known._replace(vectors=known.vectors.copy())
            before = self._forgotten
        embedded = in_use.embed(texts)
        with self._lock:
            # What was asked to be forgotten meanwhile is not kept.
            if before == self._forgotten:
                self._cache[text] = embedded._replace(vectors=embedded.vectors.copy())
                while len(self._cache) > self._cache_size:
                    self._cache.popitem(last=False)
        return embedded
