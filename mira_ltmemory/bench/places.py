"""Memories for measurements: an embedded Postgres in a directory of its own, gone afterwards or kept."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mira_ltmemory.composition import MemoryManager, open_memory
from mira_ltmemory.config import MemoryConfig
from mira_ltmemory.protocols import Embedder

USER = "bench"


@contextmanager
def temporary_memory(settings: Mapping[str, Any], place: Path | None = None) -> Iterator[MemoryManager]:
    """Open an empty memory below ``place`` (by default where temporary files go), and remove it at the end.

    ``settings`` are overrides by name, such as those of the command line; where data lies and whose it is are not
    taken from them. Raises ``ConfigError`` and ``StoreError``.
    """
    directory = Path(tempfile.mkdtemp(prefix="ltm-bench-", dir=place))
    try:
        with kept_memory(settings, directory) as memory:
            yield memory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def kept_memory(settings: Mapping[str, Any], directory: Path) -> Iterator[MemoryManager]:
    """Open the memory of a measurement in a directory, which is made where it is not there and stays.

    Raises ``ConfigError`` and ``StoreError``.
    """
    directory.mkdir(parents=True, exist_ok=True)
    own = {
        "data_dir": directory / "pg", "database_url": None, "user_name": USER, "user_id": None,
        "embedding_cache_kept": 0,  # what is to be measured is embedding
    }  # fmt: skip
    memory = open_memory(**{**settings, **own})
    try:
        yield memory
    finally:
        memory.close()


def users_of(memory: MemoryManager, embedder: Embedder) -> Callable[[int], MemoryManager]:
    """The memory of a generated user by number, on the same database; it remembers no vector of a query."""
    made: dict[int, MemoryManager] = {}

    def one(number: int) -> MemoryManager:
        if number not in made:
            own: dict[str, Any] = {"user_name": f"bench-{number}", "user_id": None, "core_memory_blocks": {}}
            own["embedding_cache_size"] = 0
            settings = MemoryConfig(**{**memory.settings.model_dump(exclude_unset=True), **own})
            made[number] = MemoryManager(settings, memory.database, clock=memory.clock, embedder=embedder)
        return made[number]

    return one
