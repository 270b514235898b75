"""Fixtures that put memory at two places in turn: the embedded server's application role, and a plain owner.

Import those that a module uses; ``place`` is what the settings say, ``admin`` the superuser's URL of the same database.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from doubles import FixedClock
from isolation import TwoUsers, make_two
from owners import make_plain_database, superuser_of, superuser_url

from mira_ltmemory.composition import MemoryManager, open_memory
from mira_ltmemory.config import MemoryConfig
from mira_ltmemory.embedding.onnx import OnnxEmbedder
from mira_ltmemory.store.database import EMBEDDED_DATABASE

PLACES = ("app role", "plain owner")
BLOCKS = {"persona": 2048, "human": 1_000_000}


@pytest.fixture(scope="module", name="plain_url")
def plain_url_fixture(postgres_dir: Path) -> str:
    return make_plain_database(postgres_dir)


@pytest.fixture(scope="module", params=PLACES, name="place")
def place_fixture(request: pytest.FixtureRequest, postgres_dir: Path, plain_url: str) -> dict[str, object]:
    return {"data_dir": postgres_dir} if request.param == "app role" else {"database_url": plain_url}


@pytest.fixture(scope="module", name="admin")
def admin_fixture(place: dict[str, object], postgres_dir: Path) -> str:
    if "database_url" in place:
        return superuser_url(postgres_dir, str(place["database_url"]))
    return superuser_of(postgres_dir, EMBEDDED_DATABASE)


@pytest.fixture(name="memory")
def memory_fixture(place: dict[str, object], clock: FixedClock, embedder: OnnxEmbedder) -> Iterator[MemoryManager]:
    """The memory of a fresh user, at each place in turn."""
    config = MemoryConfig(user_name=f"user-{uuid.uuid4()}", core_memory_blocks=BLOCKS, **place)  # type: ignore[arg-type]
    opened = open_memory(config, clock=clock, embedder=embedder)
    yield opened
    opened.close()


@pytest.fixture(scope="module", name="two")
def two_fixture(place: dict[str, object], admin: str, embedder: OnnxEmbedder) -> Iterator[TwoUsers]:
    """A user with rows in every table, and a thief."""
    made = make_two(place, admin, FixedClock(datetime(2025, 5, 5, 9, 30, tzinfo=UTC)), embedder)
    yield made
    made.victim.close()
