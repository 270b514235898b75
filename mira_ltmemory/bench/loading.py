"""Fills a memory with generated rows, quickly: rows and vectors by binary COPY, words by the product's own index."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

import numpy as np

from mira_ltmemory.bench.generated import CHUNK, Chunk, Generator
from mira_ltmemory.protocols import Actor, Change, Kind, Progress
from mira_ltmemory.store.analysis import STOP_WORDS
from mira_ltmemory.store.models import Conversation, content_hash
from mira_ltmemory.store.unit_of_work import SqlUnitOfWork, Store

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mira_ltmemory.store.database import Database

FIRST, LAST = datetime(2022, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)
"""When the rows of each user were said: spread evenly between these."""

_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = struct.pack(">h", -1)
_EPOCH, _POSITIONS = datetime(2000, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)
_Fields: TypeAlias = tuple[bytes, ...]
_COLUMNS = {
    Kind.PASSAGE: "user_id, id, version, change_set_id, origin, metadata, content, content_hash, said_at, tags, tier",
    Kind.MESSAGE: "user_id, id, version, change_set_id, origin, metadata, content, content_hash, said_at, "
    "conversation_id, external_id, position, role",
}
_CONVERSATION = 200
"""Messages of one generated conversation."""
_TOKEN_DIMENSIONS, _POOL = 128, 2_000
_ORIGINS = (b"user", b"assistant")


def load(
    database: Database,
    store_of: Callable[[int], Store],
    generator: Generator,
    users: Sequence[tuple[int, int]],
    model_id: int,
    progress: Progress,
    kind: Kind = Kind.PASSAGE,
) -> None:
    """Store the rows of each user, given as number and size: passages, or messages. Raises ``StoreError``."""
    total, done = sum(size for _, size in users), 0
    for number, size in users:
        store = store_of(number)
        with store.write(Change(Actor.SYSTEM, "bench", "generated rows")) as unit:
            change_set = unit.change_set_id
            conversations = _conversations(unit, size) if kind is Kind.MESSAGE else []
        for place, chunk in enumerate(generator.chunks(number, size)):
            hashes = [content_hash(text) for text in chunk.texts]
            first = place * CHUNK
            moments = [FIRST + (LAST - FIRST) * ((first + row) / size) for row in range(len(chunk.ids))]
            rows = _rows(store.user_id, change_set, chunk, hashes, moments)
            own = _of_messages(conversations, first, moments) if kind is Kind.MESSAGE else _of_passages(chunk)
            with database.owner() as connection:
                raw = connection.connection.cursor()
                _copy(raw, f"{kind.value}s", _COLUMNS[kind], _records(rows, own))
                key = "user_id, kind, row_id, model_id, content_hash"
                _copy(raw, "vectors", f"{key}, embedding", _vectors(store.user_id, kind, chunk, hashes, model_id))
                tokens = _tokens(store.user_id, kind, chunk, hashes, model_id, generator.seed + first)
                _copy(raw, "token_vectors", f"{key}, tokens", tokens)
            with store.upkeep() as unit:
                unit.words.add(kind, list(zip(chunk.ids, chunk.texts, strict=True)))
            done += len(chunk.ids)
            progress("loading", done, total)


def _copy(cursor: Any, table: str, columns: str, body: bytes) -> None:
    cursor.copy_expert(
        f"COPY ltmemory.{table} ({columns}) FROM STDIN (FORMAT binary)", BytesIO(_SIGNATURE + body + _END)
    )


def _conversations(unit: SqlUnitOfWork, size: int) -> list[UUID]:
    """Store as many conversations as the messages of a user fill; their ids."""
    keys = []
    for number in range(-(-size // _CONVERSATION)):
        name = f"generated-{number}"
        key = unit.messages.conversation_key(name)
        change_set = unit.change_set_id
        unit.messages.ensure_conversation(
            Conversation(user_id=unit.user_id, id=key, change_set_id=change_set, origin="user", external_id=name)
        )
        keys.append(key)
    return keys


def _rows(
    user: UUID, change_set: int, chunk: Chunk, hashes: Sequence[UUID], moments: Sequence[datetime]
) -> Iterator[_Fields]:
    """What the rows of both kinds have, in the order of their columns."""
    for number, (id, text, hash, moment) in enumerate(zip(chunk.ids, chunk.texts, hashes, moments, strict=True)):
        yield (
            user.bytes, id.bytes, struct.pack(">i", 1), struct.pack(">q", change_set), _ORIGINS[number % 2],
            b"\x01{}", text.encode(), hash.bytes, struct.pack(">q", _microseconds(moment - _EPOCH)),
        )  # fmt: skip


def _of_passages(chunk: Chunk) -> Iterator[_Fields]:
    for number, tags in enumerate(chunk.tags):
        yield _array(tags), b"cold" if number % 10 == 0 else b"hot"


def _of_messages(conversations: Sequence[UUID], first: int, moments: Sequence[datetime]) -> Iterator[_Fields]:
    for number, moment in enumerate(moments, first):
        position = struct.pack(">q", _microseconds(moment - _POSITIONS))
        yield conversations[number // _CONVERSATION].bytes, str(number).encode(), position, _ORIGINS[number % 2]


def _records(rows: Iterable[_Fields], own: Iterable[_Fields]) -> bytes:
    parts: list[bytes] = []
    for shared, others in zip(rows, own, strict=True):
        fields = (*shared, *others)
        parts.append(struct.pack(">h", len(fields)))
        parts += [part for field in fields for part in (struct.pack(">i", len(field)), field)]
    return b"".join(parts)


def _microseconds(span: timedelta) -> int:
    return span // timedelta(microseconds=1)


def _tokens(user: UUID, kind: Kind, chunk: Chunk, hashes: Sequence[UUID], model_id: int, seed: int) -> bytes:
    """Vectors of words as many and as large as the model's would be; what they point at is chance."""
    rng = np.random.default_rng(seed)
    pool = rng.integers(-45, 46, (_POOL, _TOKEN_DIMENSIONS), dtype=np.int8).tobytes()
    name = kind.value.encode()
    head = struct.pack(">hi", 6, 16) + user.bytes + struct.pack(">i", len(name)) + name + struct.pack(">i", 16)
    rows = []
    for id, text, hash in zip(chunk.ids, chunk.texts, hashes, strict=True):
        telling = sum(word not in STOP_WORDS for word in dict.fromkeys(text.split()))
        size = min(telling, _POOL) * _TOKEN_DIMENSIONS
        start = int(rng.integers(0, len(pool) - size + 1))
        row = (head, id.bytes, struct.pack(">ihi", 2, model_id, 16), hash.bytes, struct.pack(">i", size))
        rows += [*row, pool[start : start + size]]
    return b"".join(rows)


def _array(texts: Sequence[str]) -> bytes:
    head = struct.pack(">iii", 1 if texts else 0, 0, 25)  # dimensions, no nulls, oid of text
    if not texts:
        return head
    body = b"".join(struct.pack(">i", len(text)) + text.encode() for text in texts)
    return head + struct.pack(">ii", len(texts), 1) + body


def _vectors(user: UUID, kind: Kind, chunk: Chunk, hashes: Sequence[UUID], model_id: int) -> bytes:
    """Every field has a fixed size: one numpy table is the whole message."""
    count, dimension = chunk.vectors.shape
    name = kind.value.encode()
    size = 4 + 2 * dimension
    table: NDArray[np.void] = np.zeros(
        count,
        [
            ("fields", ">i2"), ("n_user", ">i4"), ("user", "V16"), ("n_kind", ">i4"), ("kind", f"S{len(name)}"),
            ("n_row", ">i4"), ("row", "V16"), ("n_model", ">i4"), ("model", ">i2"), ("n_hash", ">i4"),
            ("hash", "V16"), ("n_vector", ">i4"), ("dimension", ">i2"), ("unused", ">i2"),
            ("vector", ">f2", (dimension,)),
        ],
    )  # fmt: skip
    table["fields"], table["model"], table["dimension"], table["kind"] = 6, model_id, dimension, name
    table["n_user"] = table["n_row"] = table["n_hash"] = 16
    table["n_kind"], table["n_model"], table["n_vector"] = len(name), 2, size
    table["user"] = np.void(user.bytes)
    table["row"] = np.frombuffer(b"".join(id.bytes for id in chunk.ids), "V16")
    table["hash"] = np.frombuffer(b"".join(hash.bytes for hash in hashes), "V16")
    table["vector"] = chunk.vectors
    return table.tobytes()
