"""Fixtures: one migrated Postgres a session, a fresh user a test, a clock that tests move."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from doubles import FixedClock
from hypothesis import HealthCheck, settings
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

import mira_ltmemory
from mira_ltmemory.composition import MemoryManager, open_memory
from mira_ltmemory.config import MemoryConfig
from mira_ltmemory.embedding.onnx import OnnxEmbedder
from mira_ltmemory.store.database import Database, open_database
from mira_ltmemory.store.embedded import EmbeddedServer
from mira_ltmemory.store.unit_of_work import Store

# Machines differ in speed: a deadline would be a timing in a test.
settings.register_profile("ltmemory", deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
settings.load_profile("ltmemory")

for name in [name for name in os.environ if name.startswith("LT_MEMORY_")]:
    del os.environ[name]


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(datetime(2025, 5, 5, 9, 30, tzinfo=UTC))


def _fast_folder() -> str | None:
    """Memory where there is enough of it: the tests are about answers, and a disk's syncs take their time."""
    memory = Path("/dev/shm")
    return str(memory) if memory.is_dir() and shutil.disk_usage(memory).free > 2 << 30 else None


@pytest.fixture(scope="session")
def postgres_dir() -> Iterator[Path]:
    """Data directory of this test process's Postgres: short, because a socket's path must be."""
    directory = Path(tempfile.mkdtemp(prefix="ltm-", dir=_fast_folder()))
    server = EmbeddedServer.start(directory / "pg")
    yield directory / "pg"
    server.stop()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def database(postgres_dir: Path) -> Iterator[Database]:
    opened = open_database(None, data_dir=postgres_dir)
    yield opened
    opened.close()


@pytest.fixture
def store(database: Database, clock: FixedClock) -> Store:
    """The store of a user whom no other test knows."""
    return Store(database, uuid.uuid4(), clock)


@pytest.fixture
def config(postgres_dir: Path) -> MemoryConfig:
    """Settings of a user whom no other test knows, on the session's Postgres."""
    return MemoryConfig(data_dir=postgres_dir, user_name=f"user-{uuid.uuid4()}")


@pytest.fixture(scope="session")
def embedder() -> OnnxEmbedder:
    """The real model that the package ships, loaded once."""
    folder = Path(mira_ltmemory.__file__).parent / "onnx"
    return OnnxEmbedder(folder / "model.onnx", folder)


@pytest.fixture
def make_memory(
    config: MemoryConfig, clock: FixedClock, embedder: OnnxEmbedder
) -> Iterator[Callable[..., MemoryManager]]:
    """Opens memories of the test's user; each may override settings. Closed at the end."""
    opened: list[MemoryManager] = []

    def make(**overrides: object) -> MemoryManager:
        settings = MemoryConfig(**{**config.model_dump(exclude_unset=True), **overrides})
        memory = open_memory(settings, clock=clock, embedder=embedder)
        opened.append(memory)
        return memory

    yield make
    for memory in opened:
        memory.close()


@pytest.fixture
def memory(make_memory: Callable[..., MemoryManager]) -> MemoryManager:
    """The memory of the test's user, with the real model."""
    return make_memory()


@pytest.fixture(scope="session")
def plain_owner_url(postgres_dir: Path) -> Iterator[str]:
    """URL of a database whose owner is no superuser: what a hosted Postgres gives. The extension is there already."""
    name = f"plain_{uuid.uuid4().hex[:12]}"
    server = EmbeddedServer.start(postgres_dir)

    def as_superuser(database: str, *statements: str) -> None:
        engine = create_engine(server.url(database=database), isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with engine.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    as_superuser(
        "postgres",
        f"CREATE ROLE {name} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE",
        f"CREATE DATABASE {name} OWNER {name} TEMPLATE template0 ENCODING 'UTF8' "
        "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C'",
    )
    as_superuser(name, "CREATE EXTENSION vector SCHEMA public")
    yield server.url(database=name, user=name)
    as_superuser("postgres", f"DROP DATABASE {name} WITH (FORCE)")
    server.stop()
