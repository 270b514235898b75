"""A year of forty messages a day: what the indexes and the prompt hold stays below the configured sizes."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from doubles import FixedClock, WordEmbedder
from growing import live

from mira_ltmemory.composition import open_memory
from mira_ltmemory.config import MemoryConfig
from mira_ltmemory.protocols import Filter

DAYS, A_DAY = int(os.environ.get("GROWTH_DAYS", "365")), 40
PASSAGES, MESSAGES = 600, 4_000


def test_a_year_stays_within_its_bounds(postgres_dir: Path, make_memory: Callable[..., object]) -> None:
    clock = FixedClock(datetime(2025, 1, 1, 8, tzinfo=UTC))
    config = MemoryConfig(
        data_dir=postgres_dir, user_name="growth", max_hot_passages=PASSAGES, max_hot_messages=MESSAGES,
        max_memory_age_days=60,
    )  # fmt: skip
    memory = open_memory(config, clock=clock, embedder=WordEmbedder())
    budget = (
        config.prompt_relevant_chars + config.prompt_insights_chars + config.prompt_status_chars
        + sum(config.core_memory_blocks.values()) + 4_000
    )  # fmt: skip
    try:
        for size in live(memory, clock, DAYS, A_DAY, every=30):
            print(size)
            assert size.hot_passages <= PASSAGES
            assert size.hot_messages <= MESSAGES
            assert size.prompt <= budget
            assert size.messages == size.day * A_DAY
        both = Filter(tiers=("hot", "cold"))
        for day in range(1, DAYS + 1, max(1, DAYS // 40)):
            hits = memory.recall.search(f"note d{day}n2", both, 20).hits
            assert any(f"d{day}n2)" in hit.content for hit in hits), day
        notes = memory.archival.search("code of the shed", Filter(tiers=("hot",)), 50).hits
        assert len([hit for hit in notes if hit.content.startswith("Remember this")]) == min(50, DAYS // 10)
    finally:
        memory.close()
