"""Changes the embedding model of a user in place: both models are read until the new one is shown to serve."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, runtime_checkable
from uuid import UUID

from mira_ltmemory.errors import EmbeddingError, InvalidArgument
from mira_ltmemory.protocols import Embedder, EmbeddingModel, Progress, no_progress
from mira_ltmemory.protocols.jobs import always
from mira_ltmemory.services.embeddings import PROBLEM, EmbeddingService
from mira_ltmemory.services.problems import Problems
from mira_ltmemory.store.embedding_models import ModelState, UserModel
from mira_ltmemory.store.unit_of_work import Store
from mira_ltmemory.store.vectors import TABLES

SUBJECT = "embedding model"
SAMPLE = 40
"""Texts that stand for queries when two models are compared."""

_BATCH = 256
_CHANGE = "Run `mira-ltmemory model change` to embed every text anew with the configured model."

logger = logging.getLogger(__name__)


@runtime_checkable
class HasFiles(Protocol):
    """An embedder that lies in files, and can be opened again."""

    @property
    def files(self) -> tuple[str, str, str]:
        """The model's file, the tokenizer's folder, and a stamp that changes with the file. Raises ``OSError``."""
        ...


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """A model as people see it: how many vectors it has, and how many texts have none under it."""

    known: UserModel
    vectors: int
    missing: int


@dataclass(frozen=True, slots=True)
class CutOver:
    """Whether searches use the new model now; else why not. ``overlap`` is none where nothing could be compared."""

    done: bool
    overlap: float | None
    sampled: int
    missing: int
    reason: str = ""


class ModelService:
    """Chooses the model that one user's texts and queries are embedded with, and changes it.

    ``configured`` is the model that the settings name, none where it cannot be used. ``reopen`` opens the files of a
    model that is in use but no longer configured; ``register`` makes a model known and returns its number, ``note``
    keeps where its files lie. Vectors of other models than the chosen one are never searched with its queries.
    """

    def __init__(
        self,
        store: Store,
        embeddings: EmbeddingService,
        configured: Embedder | None,
        problems: Problems,
        *,
        reopen: Callable[[UserModel], Embedder],
        note: Callable[[int, tuple[str, str, str]], None],
        max_chars: int,
        least_overlap: float,
        keep_days: int,
    ) -> None:
        self._store = store
        self._embeddings = embeddings
        self._configured = configured
        self._problems = problems
        self._reopen = reopen
        self._note = note
        self._max_chars = max_chars
        self._least_overlap = least_overlap
        self._keep_days = keep_days
        self._opened: dict[EmbeddingModel, Embedder] = {}
        self.refresh()

    def refresh(self) -> None:
        """Take up what another process changed: which model is in use. Raises ``StoreError``."""
        active = self._in_state(ModelState.ACTIVE)
        if active is None:
            active = self._adopt()
        if active is None or (self._configured is not None and _is(self._configured, active)):
            chosen = self._configured
            self._problems.clear(SUBJECT)
        else:
            chosen = self._open_other(active)
        if chosen is not self._embeddings.embedder:
            self._embeddings.use(chosen)

    def registered(self, number: int, model: EmbeddingModel) -> None:
        """Note a model that is about to be used: where its files lie and, if there is no other, that it is in use."""
        embedder: object = next((each for each in self._embedders() if each.model == model), None)
        with self._store.read() as unit:
            known = unit.models.all()
        own = next((each for each in known if each.number == number), None)
        if isinstance(embedder, HasFiles) and (own is None or (own.path, own.tokenizer, own.stamp) != embedder.files):
            self._note(number, embedder.files)
        if not any(each.state is ModelState.ACTIVE for each in known):
            with self._store.upkeep() as unit:
                unit.models.set_state(number, ModelState.ACTIVE, self._store.clock.now())

    def known(self) -> list[ModelStatus]:
        """Every model that the memory knows. Raises ``StoreError``."""
        with self._store.read() as unit:
            vectors = unit.models.counts()
            return [
                ModelStatus(
                    known, vectors.get(known.number, 0), unit.models.lacking_count(known.number, self._max_chars)
                )
                for known in unit.models.all()
            ]

    def change(self, embedder: Embedder | None = None) -> int:
        """Begin to change to a model, by default the configured one, and return its number; ``fill`` goes on with it.

        A model that was being filled before is retired. Raises ``EmbeddingError`` where the model cannot be used, and
        ``InvalidArgument`` where it is in use already.
        """
        embedder = embedder or self._configured
        if embedder is None:
            raise EmbeddingError(f"The configured model cannot be used: {self._problems.all().get(PROBLEM, 'none')}")
        embedder.embed(["Does it make vectors?"])
        self._opened[embedder.model] = embedder
        number = self._embeddings.with_model(embedder).number
        now = self._store.clock.now()
        with self._store.upkeep() as unit:
            for known in unit.models.all():
                if known.number == number and known.state is ModelState.ACTIVE:
                    raise InvalidArgument("This model is in use already; nothing was changed.")
                if known.number != number and known.state is ModelState.FILLING:
                    unit.models.set_state(known.number, ModelState.RETIRED, now)
            unit.models.set_state(number, ModelState.FILLING, now)
        return number

    def fill(self, progress: Progress = no_progress, may_go_on: Callable[[], bool] = always) -> int:
        """Embed what has no vector under the model that is being filled; return how many texts were.

        May be stopped at any moment, and goes on where it was: each batch is stored on its own. Raises
        ``EmbeddingError`` where that model cannot be used.
        """
        filling = self._in_state(ModelState.FILLING)
        if filling is None:
            return 0
        model = self._embeddings.with_model(self._open(filling))
        if model.number != filling.number:
            raise EmbeddingError(f"The file of the model {filling.model.name} has changed. {_CHANGE}")
        with self._store.read() as unit:
            total = unit.models.lacking_count(filling.number, self._max_chars)
        done = 0
        for kind in TABLES:
            after = UUID(int=0)
            while may_go_on():
                with self._store.read() as unit:
                    texts = unit.models.lacking(filling.number, kind, self._max_chars, after, _BATCH)
                if not texts:
                    break
                after = texts[-1].row_id
                embedded = model.embed([item.content for item in texts])
                with self._store.upkeep() as unit:
                    unit.vectors.add(texts, embedded.vectors, embedded.model_id, embedded.tokens, dequeue=False)
                done += len(texts)
                progress("embedding", min(done, total), total)
        return done

    def cut_over(self, *, force: bool = False) -> CutOver:
        """Use the filled model from now on, if no text lacks a vector and it answers enough like the present one.

        What the user said stands for queries, which are not kept. ``force`` goes without the overlap.
        """
        filling, active = self._in_state(ModelState.FILLING), self._in_state(ModelState.ACTIVE)
        if filling is None:
            return CutOver(False, None, 0, 0, "No model is being filled.")
        embedder = self._open(filling)
        with self._store.upkeep() as unit:
            missing = unit.models.lacking_count(filling.number, self._max_chars)
            if missing:
                return CutOver(False, None, 0, missing, f"{missing} texts have no vector under the new model yet.")
            found = None if active is None else unit.models.overlap(active.number, filling.number, SAMPLE)
            share, sampled = (None, 0) if found is None else (found.share, found.sampled)
            now = self._store.clock.now()
            if share is not None and share < self._least_overlap and not force:
                unit.models.set_state(filling.number, ModelState.FILLING, now, share)
                reason = (
                    f"The new model finds {share:.0%} of what the present one finds, over {sampled} texts; "
                    f"at least {self._least_overlap:.0%} are wanted."
                )
                self._problems.set(SUBJECT, f"not changed: {reason} `mira-ltmemory model change --force` changes it.")
                return CutOver(False, share, sampled, 0, reason)
            if active is not None:
                unit.models.set_state(active.number, ModelState.RETIRED, now)
            unit.models.set_state(filling.number, ModelState.ACTIVE, now, share)
        self._problems.clear(SUBJECT)
        self._problems.clear(PROBLEM)
        self._embeddings.use(embedder)
        return CutOver(True, share, sampled, 0)

    def drop(self, number: int) -> int:
        """Remove the vectors of a model that is not in use; return how many. Raises ``InvalidArgument``."""
        with self._store.upkeep() as unit:
            known = next((each for each in unit.models.all() if each.number == number), None)
            if known is None:
                raise InvalidArgument(f"There is no model {number}; `mira-ltmemory model` lists them.")
            if known.state is ModelState.ACTIVE:
                raise InvalidArgument("The model in use is not dropped; change to another one first.")
            return unit.models.drop_vectors(number)

    def work(self, progress: Progress = no_progress, may_go_on: Callable[[], bool] = always) -> dict[str, int]:
        """What the hourly job does: take up changes, go on with one, cut over, and drop what retired long ago."""
        self.refresh()
        counts: dict[str, int] = {}
        filling = self._in_state(ModelState.FILLING)
        if filling is not None:
            try:
                counts["embedded_anew"] = self.fill(progress, may_go_on)
                # An overlap that was too small stays so; a person decides.
                if may_go_on() and filling.overlap is None:
                    counts["model_changed"] = int(self.cut_over().done)
            except EmbeddingError as error:
                self._problems.set(SUBJECT, f"not changed: {error}")
        before = self._store.clock.now() - timedelta(days=self._keep_days)
        with self._store.read() as unit:
            old = [each for each in unit.models.all() if each.state is ModelState.RETIRED and each.changed_at < before]
        if old:
            counts["dropped_vectors"] = sum(self.drop(each.number) for each in old)
        return counts

    def _adopt(self) -> UserModel | None:
        """Take the model that most stored vectors are of for the one in use: in memories older than this choice."""
        with self._store.upkeep() as unit:
            held = next(iter(unit.models.counts()), None)
            if held is not None:
                unit.models.set_state(held, ModelState.ACTIVE, self._store.clock.now())
        return None if held is None else self._in_state(ModelState.ACTIVE)

    def _open_other(self, active: UserModel) -> Embedder | None:
        """The model of the stored vectors, which is not the configured one; tell what is to be done."""
        try:
            chosen = self._open(active)
        except EmbeddingError as error:
            self._problems.set(
                PROBLEM,
                f"off: the stored vectors are of the model {active.model.name} ({active.model.dimension} dimensions, "
                f"sha256 {active.model.sha256[:12]}), which cannot be used: {error} {_CHANGE}",
            )
            return None
        if self._configured is None:
            off = self._problems.all().get(PROBLEM, "off")
            self._problems.set(SUBJECT, f"the configured one is {off} The one of the stored vectors is used.")
        self._problems.clear(PROBLEM)
        return chosen

    def _open(self, known: UserModel) -> Embedder:
        for embedder in self._embedders():
            if _is(embedder, known):
                return embedder
        if known.path is None:
            raise EmbeddingError("It is another than the configured one, and where its file lies is not known.")
        opened = self._reopen(known)
        if opened.model.sha256 != known.model.sha256:
            raise EmbeddingError(f"The file {known.path} has changed since.")
        self._opened[known.model] = opened
        return opened

    def _embedders(self) -> list[Embedder]:
        used = self._embeddings.embedder
        return [each for each in (self._configured, used, *self._opened.values()) if each is not None]

    def _in_state(self, state: ModelState) -> UserModel | None:
        with self._store.read() as unit:
            return next((each for each in unit.models.all() if each.state is state), None)


def _is(embedder: Embedder, known: UserModel) -> bool:
    """Whether an embedder is a known model; the file is read for that only where its stamp is another."""
    if isinstance(embedder, HasFiles):
        try:
            same_files = embedder.files == (known.path, known.tokenizer, known.stamp)
        except OSError:
            return False
        if same_files:
            return True
    try:
        model = embedder.model
    except EmbeddingError:
        return False
    wanted = known.model
    return (model.name, model.sha256, model.dimension) == (wanted.name, wanted.sha256, wanted.dimension)
