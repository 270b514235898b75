"""Opens the memory: settings, database and model first, then the memory of the configured user."""

from __future__ import annotations

from typing import Any

from mira_ltmemory.composition.degraded import DegradedMemory
from mira_ltmemory.composition.manager import MemoryManager
from mira_ltmemory.composition.models import open_embedder
from mira_ltmemory.config import MemoryConfig, load_config, override
from mira_ltmemory.embedding.reranker import OnnxReranker
from mira_ltmemory.errors import EmbeddingError, LtMemoryError
from mira_ltmemory.llm.patient import PatientLLM, RateLimit
from mira_ltmemory.protocols import (
    LLM,
    Clock,
    Embedder,
    Reranker,
    SystemClock,
)
from mira_ltmemory.services.embeddings import PROBLEM as EMBEDDING_PROBLEM
from mira_ltmemory.services.problems import Problems
from mira_ltmemory.services.search.rerank import PROBLEM as RERANKING_PROBLEM
from mira_ltmemory.store.database import open_database


def open_memory(
    settings: MemoryConfig | None = None,
    *,
    clock: Clock | None = None,
    embedder: Embedder | None = None,
    llm: LLM | None = None,
    host_llm: LLM | None = None,
    **overrides: Any,
) -> MemoryManager:
    """Open the memory of the configured user. Raises ``ConfigError`` and ``StoreError``.

    ``llm`` is used as it is; else the model at the configured address; else ``host_llm``, patiently and not too often;
    else none: what a model would do is then done without one.

    A missing or unusable embedding model is no error: search then works by words, and the status says why.
    """
    if settings is None:
        settings = load_config(**overrides)
    elif overrides:
        settings = override(settings, **overrides)
    problems = Problems()
    database = open_database(
        settings.database_url,
        data_dir=settings.data_dir,
        pool_size=settings.db_pool_size,
        max_overflow=settings.db_pool_max_overflow,
    )
    try:
        return MemoryManager(
            settings,
            database,
            clock=clock or SystemClock(),
            embedder=embedder or _embedder(settings, problems),
            llm=llm or _language_model(settings, host_llm),
            reranker=_reranker(settings, problems),
            problems=problems,
        )
    except BaseException:
        database.close()
        raise


def degraded(settings: MemoryConfig | None, error: LtMemoryError) -> DegradedMemory:
    """What a host gets when ``open_memory`` raised ``error``."""
    return DegradedMemory(settings, error)


HOST_REQUESTS_PER_MINUTE = 6.0
"""MIRA's bridge allows 10 for all its callers: the conversation has to get its turns."""


def _language_model(settings: MemoryConfig, host_llm: LLM | None) -> LLM | None:
    per_minute = settings.llm_requests_per_minute
    llm = host_llm
    if settings.llm_base_url is not None and settings.llm_model is not None:
        from mira_ltmemory.llm.openai import OpenAIClient  # here: only who sets an address pays for the import

        llm = OpenAIClient(
            settings.llm_base_url, settings.llm_model, api_key=settings.llm_api_key, timeout=settings.llm_timeout
        )
    elif per_minute is None:
        per_minute = HOST_REQUESTS_PER_MINUTE
    if llm is None:
        return None
    return PatientLLM(llm, rate_limit=None if per_minute is None else RateLimit(per_minute))


def _reranker(settings: MemoryConfig, problems: Problems) -> Reranker | None:
    if settings.reranker_path is None:
        return None
    try:
        return OnnxReranker(settings.reranker_path)
    except EmbeddingError as error:
        problems.set(RERANKING_PROBLEM, f"off: {error}")
        return None


def _embedder(settings: MemoryConfig, problems: Problems) -> Embedder | None:
    try:
        return open_embedder(settings)
    except EmbeddingError as error:
        problems.set(EMBEDDING_PROBLEM, f"off: {error}")
        return None
