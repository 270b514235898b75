"""A memory with a listed model, which asks for facts alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from doubles import FixedClock, ListedLLM

from mira_ltmemory.composition import MemoryManager, open_memory
from mira_ltmemory.config import MemoryConfig
from mira_ltmemory.embedding.onnx import OnnxEmbedder


@pytest.fixture
def llm() -> ListedLLM:
    return ListedLLM()


@pytest.fixture
def memory(config: MemoryConfig, clock: FixedClock, embedder: OnnxEmbedder, llm: ListedLLM) -> Iterator[MemoryManager]:
    settings = config.model_copy(update={"entity_extraction_enabled": False})  # the graph asks for itself
    opened = open_memory(settings, clock=clock, embedder=embedder, llm=llm)
    yield opened
    opened.close()
