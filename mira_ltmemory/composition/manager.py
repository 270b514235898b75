"""The memory of one user: builds services, tools, prompt parts and jobs, once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from mira_ltmemory.automations.runner import JobRunner
from mira_ltmemory.automations.table import build_jobs
from mira_ltmemory.composition.consolidating import build_consolidation
from mira_ltmemory.composition.models import open_known
from mira_ltmemory.composition.offered import edit_tools_of, providers_of, review_tools_of, tools_of
from mira_ltmemory.composition.processing import (
    model_answers,
    process_conversations,
    run_budget,
    window_steps,
)
from mira_ltmemory.config import MemoryConfig
from mira_ltmemory.errors import LtMemoryError, StoreError
from mira_ltmemory.protocols import (
    LLM,
    Actor,
    Change,
    Clock,
    Embedder,
    EmbeddingModel,
    IncomingMessage,
    Job,
    JobReport,
    JobRun,
    Kind,
    Progress,
    Provider,
    Reranker,
    TokenEmbedder,
    TokenSpace,
    Tool,
    no_progress,
)
from mira_ltmemory.providers import render_blocks
from mira_ltmemory.services.asking import MeteredLLM
from mira_ltmemory.services.asof import MemoryAsOf
from mira_ltmemory.services.batch import BatchProcessor
from mira_ltmemory.services.blocks import BlockManager
from mira_ltmemory.services.calibration import CalibrationService
from mira_ltmemory.services.context.core import CoreBlocks
from mira_ltmemory.services.context.entities import ActiveEntities
from mira_ltmemory.services.context.insights import RecentInsights
from mira_ltmemory.services.context.live import LiveConversation
from mira_ltmemory.services.context.relevant import RelevantMemories
from mira_ltmemory.services.doctor import Doctor
from mira_ltmemory.services.embeddings import PROBLEM as EMBEDDING_PROBLEM
from mira_ltmemory.services.embeddings import EmbeddingService
from mira_ltmemory.services.erasure import ErasureService
from mira_ltmemory.services.graph.discovery import RelationDiscovery
from mira_ltmemory.services.graph.manager import EntityManager
from mira_ltmemory.services.graph.merging import EntityMerges
from mira_ltmemory.services.history import HistoryService
from mira_ltmemory.services.index_upkeep import IndexService
from mira_ltmemory.services.models import ModelService
from mira_ltmemory.services.passages import PassageManager
from mira_ltmemory.services.problems import Problems
from mira_ltmemory.services.recall import RecallManager
from mira_ltmemory.services.redaction import Redactor
from mira_ltmemory.services.retention import RetentionService
from mira_ltmemory.services.review.weekly import WeeklyReview
from mira_ltmemory.services.search import Searcher, TieredSearcher
from mira_ltmemory.services.search.rerank import PROBLEM as RERANKING_PROBLEM
from mira_ltmemory.services.search.rerank import Reranking
from mira_ltmemory.services.snapshots import SnapshotService
from mira_ltmemory.services.status import StatusService
from mira_ltmemory.services.uses import UseService
from mira_ltmemory.store.database import Database
from mira_ltmemory.store.embedding_models import note_files
from mira_ltmemory.store.search import register_model
from mira_ltmemory.store.tokens import token_space
from mira_ltmemory.store.unit_of_work import Store

logger = logging.getLogger(__name__)


class MemoryManager:
    """The memory of one user: the central orchestrator, with one attribute for each part of memory.

    ``blocks`` is core memory, ``recall`` the messages, ``archival`` the passages, ``status`` the counts and
    problems, ``runner`` runs jobs. Open it with ``open_memory``; it may be used from several threads.
    """

    def __init__(
        self,
        settings: MemoryConfig,
        database: Database,
        *,
        clock: Clock,
        embedder: Embedder | None,
        llm: LLM | None = None,
        reranker: Reranker | None = None,
        problems: Problems | None = None,
    ) -> None:
        self.settings = settings
        self.database = database
        self.clock = clock
        self.llm: LLM | None = None if llm is None else MeteredLLM(llm)
        self._given_llm = llm
        self.embedder = embedder
        self.problems = problems or Problems()
        redactor = Redactor(enabled=settings.redact_secrets, allow=settings.redaction_allow)
        self.store = Store(database, settings.effective_user_id, clock, lambda text: redactor.redact(text)[0])
        self.embeddings = EmbeddingService(
            self.store,
            embedder,
            self._register,
            self.problems,
            batch_size=settings.embedding_batch_size,
            cache_size=settings.embedding_cache_size,
            cache_kept=settings.embedding_cache_kept,
            space_of=self._space_of if settings.late_interaction else None,
        )
        self.models = ModelService(
            self.store,
            self.embeddings,
            embedder,
            self.problems,
            reopen=partial(open_known, settings),
            note=partial(note_files, database),
            max_chars=settings.max_embedded_chars,
            least_overlap=settings.model_change_overlap,
            keep_days=settings.old_vectors_days,
        )
        self.reranker = reranker
        again = None
        if reranker is not None:
            seconds = settings.reranker_ms / 1000
            again = Reranking(reranker, self.problems, number=settings.reranker_hits, seconds=seconds)
        # A user who is given by id alone has another name than the settings'.
        called = settings.user_name if settings.user_id is None else None
        self._searcher = Searcher(self.store, self.embeddings, settings.zone, again, called)
        searcher = TieredSearcher(self.store, self._searcher)
        self.blocks = BlockManager(self.store, settings, redactor)
        self.calibration = CalibrationService(self.store, self._searcher, clock)
        self.recall = RecallManager(self.store, settings, redactor, searcher)
        self.archival = PassageManager(
            self.store, settings, clock, redactor, self.embeddings, searcher, self.blocks.untrusted
        )
        self.status = StatusService(
            self.store, self.embeddings, self.problems, max_embedded_chars=settings.max_embedded_chars
        )
        self.doctor = Doctor(
            self.store,
            clock,
            self.embeddings,
            self.problems,
            max_embedded_chars=settings.max_embedded_chars,
            tokens=settings.late_interaction,
            operations={
                "A search of messages": lambda: self.recall.search("what was said about the plans", limit=5),
                "A search of passages": lambda: self.archival.search("what was said about the plans", limit=5),
                "Writing the core memory part of the prompt": lambda: self.blocks.all(),
            },
            tune=lambda: self.indexes.tune(lower=False),
        )
        self.indexes = IndexService(self.store, clock, self.embeddings)
        self.uses = UseService(self.store, clock, self.problems, settings.zone)
        self.history = HistoryService(self.store, clock, max_embedded_chars=settings.max_embedded_chars)
        self.snapshots = SnapshotService(self.store, clock, self.history)
        self.retention = RetentionService(self.store, clock, self.history, settings.retention_days)
        self.live = LiveConversation()
        self.core = CoreBlocks(self.store, self.blocks)
        self.relevant = RelevantMemories(
            self.store, self._searcher, self.core, self.live, least=settings.prompt_relevant_probability
        )
        self.insights = RecentInsights(self.store)
        self.review = WeeklyReview(self.store, clock, settings, self.blocks, self.llm, partial(review_tools_of, self))
        self.erasure = ErasureService(self.store, clock, searcher, self.embeddings, self._forget)
        budget = partial(run_budget, self)
        self.batches = BatchProcessor(
            self.store,
            clock,
            self.problems,
            partial(window_steps, self, redactor),
            budget,
            answers=partial(model_answers, self),
            hours=settings.batch_process_hours,
        )
        self.consolidation = build_consolidation(
            settings, self.store, clock, self.embeddings, self.problems, self.llm, budget
        )
        self.graph = EntityManager(self.store, clock, self.embeddings)
        self.active = ActiveEntities(self.store, self.graph)
        self.entity_merges = EntityMerges(self.store)
        self.relations = RelationDiscovery(self.store, clock)
        self.runner = JobRunner(
            self.store,
            clock,
            self.problems,
            last_activity=self.status.last_activity,
            quiet=timedelta(minutes=settings.quiet_minutes),
        )
        for remark in self.blocks.ensure():
            self.problems.set("core memory", remark)

    def users(self) -> list[UUID]:
        """Every user who has a memory in this database; a worker goes through them with ``as_user``."""
        return self.database.users()

    def as_user(self, user: str | UUID) -> MemoryManager:
        """The memory of another user, by name or id, on the same database and model. Close only the first one."""
        named = {"user_id": user} if isinstance(user, UUID) else {"user_name": user, "user_id": None}
        settings = self.settings.model_copy(update=named)
        # The model is shared, and what is off about it; all other problems are this user's own.
        problems = Problems()
        for subject in (EMBEDDING_PROBLEM, RERANKING_PROBLEM):
            if (off := self.problems.all().get(subject)) is not None:
                problems.set(subject, off)
        return MemoryManager(
            settings,
            self.database,
            clock=self.clock,
            embedder=self.embedder,
            llm=self._given_llm,
            reranker=self.reranker,
            problems=problems,
        )

    def tools(self) -> list[Tool]:
        """The tools that are switched on."""
        return tools_of(self)

    @contextmanager
    def updating(self) -> Iterator[None]:
        """Let all parts of the prompt be read in one transaction, after the user's message was embedded."""
        if self.settings.providers.relevant_memories:
            with suppress(LtMemoryError):  # the part that needs it says what is wrong
                self.relevant.embed_ahead()
        with self.store.reading():
            yield

    def providers(self) -> list[Provider]:
        """The parts of the prompt that are switched on."""
        return providers_of(self)

    def attend(self, messages: Callable[[], Sequence[IncomingMessage]]) -> None:
        """Read the live conversation from ``messages`` from now on: what the host holds, oldest first."""
        self.live.messages = messages
        self.blocks.untrusted.live = messages

    def _forget(self, holds: Callable[[str], bool]) -> int:
        """Forget what is kept in this process of texts that are to be forgotten."""
        self.core.forget()
        self.relevant.forget()
        self.insights.forget()
        self.active.forget()
        return self.blocks.forget(holds)

    def jobs(self) -> list[Job]:
        """The jobs that are switched on."""
        functions: dict[str, Callable[[JobRun], JobReport]] = {
            "process_conversations": partial(process_conversations, self),
            "relation_discovery": self.relations.run,
            "health_check": self._check_health,
            "consolidate_memory": self.consolidation.run_job,
            "weekly_review": self.review.run,
            "index_upkeep": self.indexes.run,
            "calibrate_search": self.calibration.run,
            "retention": self.retention.run,
        }
        return build_jobs(self.settings, functions)

    def as_of(self, at: datetime | int | str) -> MemoryAsOf:
        """Memory as it was at a point in time, after a change set (its number), or at a snapshot (its name).

        Raises ``InvalidArgument`` for the future and the unknown, ``UnknownSnapshot``, and ``NotKept`` for what lies
        before the retention.
        """
        show = partial(render_blocks, edit_tools=edit_tools_of(self))
        moment = self.history.resolve(at)
        valid_at = at if isinstance(at, datetime) else self.history.time_of(moment)
        return MemoryAsOf(self.store, self.history, self._searcher, self.graph, show, moment, valid_at)

    def capture(self, messages: Sequence[IncomingMessage]) -> list[IncomingMessage]:
        """Store the messages that are not stored yet and return those. Raises ``StoreError``."""
        return self.recall.capture(messages)

    def import_messages(
        self, messages: Sequence[IncomingMessage], source: str, progress: Progress = no_progress
    ) -> list[IncomingMessage]:
        """Store messages of an import; return those that were new. Importing them again adds nothing."""
        change = Change(Actor.USER, "import", f"import of {source}")
        return self.recall.capture(messages, change, progress, as_run=True)

    def process_pending(self, progress: Progress = no_progress) -> int:
        """Embed every text that waits for its vector, and return how many were; pack words while the model works."""
        with ThreadPoolExecutor(1, thread_name_prefix="ltmemory-words") as beside:
            packing = beside.submit(self._pack_early)
            done = self.embeddings.process_pending(progress)
            packing.result()
        return done

    def _pack_early(self) -> None:
        with self.store.upkeep() as unit:
            for kind in (Kind.MESSAGE, Kind.PASSAGE):
                unit.words.pack_early(kind)

    def record_problem(self, subject: str, text: str) -> None:
        """Show a problem in the prompt's memory status."""
        self.problems.set(subject, text)

    def clear_problem(self, subject: str) -> None:
        """Show it no longer."""
        self.problems.clear(subject)

    def close(self) -> None:
        """Close the database. May be called twice."""
        close = getattr(self._given_llm, "close", None)
        if close is not None:
            close()
        try:
            self.embeddings.cache.save()
        except StoreError as error:
            # Only later processes miss it: they embed those queries again.
            logger.warning("the vectors of the latest queries were not kept: %s", error)
        self.database.close()

    def _check_health(self, run: JobRun) -> JobReport:
        report = self.status.check_health(run)
        wrong = [each for each in self.doctor.check() if not each.right]
        summary = report.summary if not wrong else f"{report.summary} {' '.join(each.told for each in wrong)}"
        return replace(report, summary=summary, counts={**report.counts, "wrong": len(wrong)})

    def _space_of(self, model_id: int, embedder: TokenEmbedder) -> TokenSpace:
        return token_space(self.database, model_id, embedder.token_space)

    def _register(self, model: EmbeddingModel) -> int:
        number = register_model(self.database, model)
        self.models.registered(number, model)
        return number
