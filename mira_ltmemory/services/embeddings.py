"""Vectors for stored texts and for queries, from one embedding model; words-only where there is none."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

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
from mira_ltmemory.services.vector_cache import VectorCache
from mira_ltmemory.store.unit_of_work import Store
from mira_ltmemory.store.vectors import PendingText

if TYPE_CHECKING:
    from mira_ltmemory.protocols import Vectors

logger = logging.getLogger(__name__)

PROBLEM = "search by meaning"

_PART_TEXTS, _PART_CHARS = 16, 24_000
"""Texts, or characters, that are embedded while those before are stored: few, since the last are stored after all."""


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

    def look_up(self) -> None:
        """Read from the database what embedding needs of it, once. Raises ``StoreError`` and ``EmbeddingError``."""
        _ = self.number, self._space

    def embed(self, texts: Sequence[str]) -> Embedded:
        """Embed texts. Raises ``EmbeddingError`` and ``StoreError``."""
        if self._space is None or not isinstance(self.embedder, TokenEmbedder):
            return Embedded(self.number, self.embedder.embed(texts))
        vectors, tokens = self.embedder.embed_tokens(texts, self._space, UNTOLD)
        return Embedded(self.number, vectors, tuple(tokens))


class EmbeddingService:
    """Embeds texts of one user, and keeps nothing where the model cannot be trusted. Thread-safe.

    ``cache`` keeps the vectors of the last ``cache_size`` single texts, such as queries, and ``cache_kept`` of them for
    later processes: this user's alone.
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
        cache_kept: int = 0,
        space_of: Callable[[int, TokenEmbedder], TokenSpace] | None = None,
    ) -> None:
        self._store = store
        self._register = register
        self._problems = problems
        self._batch_size = batch_size
        self.cache = VectorCache(store, cache_size, cache_kept)
        self._space_of = space_of
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
        self._in_use = None if embedder is None else ModelInUse(embedder, self._register, self._space_of)
        self.cache.forget()

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
        return self._noted(self._tried(texts))

    def _tried(self, texts: Sequence[str]) -> Embedded | EmbeddingError | None:
        in_use = self._in_use
        if in_use is None:
            return None
        try:
            return self._one(in_use, texts[0]) if len(texts) == 1 else self._some(in_use, texts)
        except EmbeddingError as error:
            return error

    def _noted(self, made: Embedded | EmbeddingError | None) -> Embedded | None:
        """What was made; a failure is shown in the status, until something is made again."""
        if isinstance(made, EmbeddingError):
            self._problems.set(PROBLEM, f"off: {made}")
            return None
        if made is not None:
            self._problems.clear(PROBLEM)
        return made

    def process_pending(self, progress: Progress = no_progress) -> int:
        """Embed every text that waits, and return how many were; stops early where the model fails.

        Each part is stored on its own while the model works on the next, so a run that is killed loses some parts of
        work and no text. Raises ``StoreError``.
        """
        self.cache.save()
        with self._store.upkeep() as unit:
            unit.vectors.drop_orphans()
            total = unit.vectors.pending_count()
        done = 0
        while self._in_use is not None and done < total:
            with self._store.read() as unit:
                waiting = unit.vectors.pending(self._batch_size * 8)
            before = done
            for stored in self._process(waiting):
                done += stored
                progress("embedding", min(done, total), total)
            if not waiting or done - before < len(waiting):
                break
        return done

    def _process(self, waiting: Sequence[PendingText]) -> Iterator[int]:
        """Embed texts part by part, each stored by a thread of its own; how many each part was, once it is stored."""
        running = deque[tuple[int, Future[None]]]()
        with ThreadPoolExecutor(1, thread_name_prefix="ltmemory-store") as writer:
            for part, embedded in self._embedded(waiting):
                running.append((len(part), writer.submit(self._keep, part, embedded)))
                if len(running) > 2:
                    yield _finish(running)
            while running:
                yield _finish(running)

    def _embedded(self, waiting: Sequence[PendingText]) -> Iterator[tuple[Sequence[PendingText], Embedded]]:
        """Parts with their vectors; while the model works on one, the next is tokenised. Ends where the model fails."""
        parts = deque(_parts(waiting))
        running = deque[tuple[Sequence[PendingText], Future[Embedded | EmbeddingError | None]]]()
        self._store.rest()  # no transaction is held while the model works
        with ThreadPoolExecutor(2, thread_name_prefix="ltmemory-parts") as ahead:
            while parts or running:
                while parts and len(running) < 2:
                    part = parts.popleft()
                    running.append((part, ahead.submit(self._tried, [item.content for item in part])))
                done, made = running.popleft()
                embedded = self._noted(made.result())
                if embedded is None:
                    return
                yield done, embedded

    def _keep(self, part: Sequence[PendingText], embedded: Embedded) -> None:
        with self._store.upkeep() as unit:
            unit.vectors.add(part, embedded.vectors, embedded.model_id, embedded.tokens)

    def enqueue_missing(self, max_chars: int) -> int:
        """Enqueue every text of at most ``max_chars`` characters that the present model has not embedded."""
        in_use = self._in_use
        if in_use is None:
            return 0
        number = in_use.number
        with self._store.upkeep() as unit:
            return unit.vectors.enqueue_missing(number, max_chars, tokens=in_use.gives_tokens)

    def forget(self) -> None:
        """Forget the vectors that are kept in memory."""
        self.cache.forget()

    def _embed(self, in_use: ModelInUse, texts: Sequence[str]) -> Embedded:
        in_use.look_up()
        self._store.rest()  # no transaction is held while the model works
        return in_use.embed(texts)

    def _one(self, in_use: ModelInUse, text: str) -> Embedded:
        """One text, embedded or remembered. Its readers may write into its vector: each gets a copy."""
        number = in_use.number
        found = self.cache.find(number, text, tokens=in_use.gives_tokens)
        if found.vector is not None:
            return Embedded(number, found.vector[None], None if found.tokens is None else (found.tokens,))
        embedded = self._embed(in_use, [text])
        self.cache.put(found, number, text, embedded.vectors[0], embedded.tokens[0] if embedded.tokens else None)
        return embedded

    def _some(self, in_use: ModelInUse, texts: Sequence[str]) -> Embedded:
        """Texts that are stored: those that were a query before, as what the user says to the model is, are known."""
        number = in_use.number
        found = [self.cache.find(number, text, tokens=in_use.gives_tokens, count=False) for text in texts]
        missing = [place for place, each in enumerate(found) if each.vector is None]
        if len(missing) == len(texts):
            return self._embed(in_use, texts)
        vectors = [each.vector for each in found]
        tokens = [each.tokens for each in found]
        if missing:
            embedded = self._embed(in_use, [texts[place] for place in missing])
            for row, place in enumerate(missing):
                vectors[place] = embedded.vectors[row]
                tokens[place] = embedded.tokens[row] if embedded.tokens else None
        told = tuple(each for each in tokens if each is not None) if in_use.gives_tokens else None
        return Embedded(number, np.stack([each for each in vectors if each is not None]), told)


def _parts(texts: Sequence[PendingText]) -> Iterator[list[PendingText]]:
    """Texts that are embedded and stored at once: many short ones, or few long ones.

    The shortest first: texts of the same length run together, and few are left to store when the last are embedded.
    """
    part: list[PendingText] = []
    chars = 0
    for item in sorted(texts, key=lambda item: len(item.content)):
        part.append(item)
        chars += len(item.content)
        if len(part) == _PART_TEXTS or chars >= _PART_CHARS:
            yield part
            part, chars = [], 0
    if part:
        yield part


def _finish(running: deque[tuple[int, Future[None]]]) -> int:
    number, storing = running.popleft()
    storing.result()
    return number
