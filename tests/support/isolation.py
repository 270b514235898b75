"""Two users on one database: one whose every table is full, and one who tries to get at it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from erasing import BY_MODEL, PLACES, Garden, everything
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.pool import NullPool

from mira_ltmemory.composition import MemoryManager, open_memory
from mira_ltmemory.config import MemoryConfig
from mira_ltmemory.protocols import Clock, Embedder, IncomingMessage, Kind, Origin, Role
from mira_ltmemory.store.calibrations import Calibration, Way
from mira_ltmemory.store.database import Database
from mira_ltmemory.store.held import HeldEdit
from mira_ltmemory.store.postings import BLOCK

SAME = "the same in both"


@dataclass
class TwoUsers:
    """``victim`` has rows in every table; ``secret`` stands beside the ``token`` in each of them."""

    victim: MemoryManager
    thief: MemoryManager
    token: str
    secret: str
    admin: str

    @property
    def database(self) -> Database:
        return self.thief.database

    def victims_rows(self) -> list[tuple[str, str]]:
        """All that the victim has, by raw SQL of the superuser."""
        return sorted(everything(self.admin, self.victim.store.user_id))

    @contextmanager
    def as_superuser(self) -> Iterator[Connection]:
        engine = create_engine(self.admin, poolclass=NullPool)
        with engine.connect() as connection:
            yield connection
        engine.dispose()

    @contextmanager
    def as_thief(self) -> Iterator[Connection]:
        """A connection of the application in the thief's transaction, rolled back at the end."""
        with self.database.engine.connect() as connection:
            connection.execute(
                text("SELECT set_config('ltmemory.user_id', CAST(:id AS text), true)"), {"id": self.thief.store.user_id}
            )
            yield connection
            connection.rollback()

    def counted(self, table: str) -> int:
        """How many rows the victim has in a table."""
        with self.as_superuser() as connection:
            statement = f"SELECT count(*) FROM ltmemory.{table} WHERE user_id = :id"
            return int(connection.execute(text(statement), {"id": self.victim.store.user_id}).scalar_one())

    def victims(self, table: str, columns: str = "*") -> list[dict[str, Any]]:
        """Rows of the victim, as the superuser reads them."""
        with self.as_superuser() as connection:
            rows = connection.execute(
                text(f"SELECT {columns} FROM ltmemory.{table} WHERE user_id = :id LIMIT 20"),
                {"id": self.victim.store.user_id},
            )
            return [dict(row._mapping) for row in rows]


def make_two(place: dict[str, Any], admin: str, clock: Clock, embedder: Embedder) -> TwoUsers:
    """Open both memories at a place, and fill them. Each table has rows of the victim."""
    name = f"user-{uuid.uuid4()}"
    blocks = {"human": 100_000, "persona": 2048}
    config = MemoryConfig(user_name=name, core_memory_blocks=blocks, **place)
    victim = open_memory(config, clock=clock, embedder=embedder)
    thief = victim.as_user(f"{name}-thief")
    token, secret = f"zork{uuid.uuid4().hex[:8]}", f"secret{uuid.uuid4().hex[:8]}"
    garden = Garden(victim, token)
    for kind in PLACES:
        garden.plant(kind, f"{token} {secret}")
    garden.keep()
    # More postings of one word than a block holds, so that the word index has blocks of this user.
    victim.capture([shared_message(victim, f"{token} {number}", str(number)) for number in range(10, 10 + BLOCK)])
    victim.process_pending()
    for memory, content in ((victim, f"{token} {secret} mine"), (thief, "theirs")):
        memory.capture([shared_message(memory, content)])
        memory.archival.insert(SAME)
        memory.blocks.append("human", f"{content} line", BY_MODEL)
        memory.snapshots.create("shared name")
    assert victim.batches.counts().waiting > 0
    waiting = victim.archival.insert(f"{token} {secret} waits").id
    cold = victim.archival.insert(f"{token} {secret} cold").id
    with victim.store.write(BY_MODEL) as unit:
        # So that the tables of earlier versions have rows too.
        for table in ("sources", "entity_merges", "relations", "mentions", "entity_aliases", "entities"):
            unit.passages.execute(f"DELETE FROM ltmemory.{table} WHERE user_id = :user_id")
        unit.words.pack(Kind.MESSAGE)
        unit.vectors.enqueue(Kind.PASSAGE, [waiting])
        unit.passages.execute(
            "UPDATE ltmemory.passages SET tier = 'cold' WHERE user_id = :user_id AND id = :id", id=cold
        )
        unit.cold.freeze(Kind.PASSAGE, [cold])
        unit.uses.record(Kind.PASSAGE, [waiting], clock.now().date())
        unit.consolidation.set_mark("duplicates", 1, waiting, clock.now())
        unit.erasure.bury("message", [uuid.uuid4()], uuid.uuid4(), clock.now())
        unit.calibrations.put(Calibration(Kind.MESSAGE, Way.TOKENS, 7, 1, 48, 10, clock.now()))
        unit.held.put(HeldEdit(0, "append", "human", {}, None, "", f"{token} {secret} held", (), clock.now()))
    victim.recall.search(f"{token} {secret}")
    assert victim.embeddings.cache.save() > 0
    garden.plant("derived", f"{token} {secret}")
    garden.plant("entity", f"{token} {secret}")
    return TwoUsers(victim, thief, token, secret, admin)


def shared_message(memory: MemoryManager, content: str, external_id: str = "1") -> IncomingMessage:
    """A message of the same conversation and id for whoever says it."""
    return IncomingMessage(
        conversation_id="same",
        external_id=external_id,
        role=Role.USER,
        content=content,
        said_at=memory.clock.now(),
        origin=Origin.USER,
    )
