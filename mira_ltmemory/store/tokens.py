"""Rows of token vectors: what the words of a text mean, each by itself. They go with the vector of their text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

import numpy as np
from sqlalchemy import text

from mira_ltmemory.protocols import Kind, TokenSpace
from mira_ltmemory.store.database import Database, foreign_errors
from mira_ltmemory.store.rows import Rows, sliced

if TYPE_CHECKING:
    from numpy.typing import NDArray

# One value for all: a row each would be parsed one by one.
_READ = """
SELECT string_agg(t.tokens, ''::bytea ORDER BY c.place) AS tokens,
    array_agg(CAST(c.place AS int) ORDER BY c.place) AS places,
    array_agg(octet_length(t.tokens) ORDER BY c.place) AS sizes
FROM unnest(CAST(:ids AS uuid[]), CAST(:hashes AS uuid[])) WITH ORDINALITY AS c (id, hash, place)
JOIN ltmemory.token_vectors t ON t.user_id = :user_id AND t.kind = :kind AND t.row_id = c.id
    AND t.model_id = :model_id AND t.content_hash = c.hash
"""

_ADD = text("""
INSERT INTO ltmemory.token_vectors (user_id, kind, row_id, model_id, content_hash, tokens)
SELECT :user_id, :kind, u.row_id, :model_id, u.content_hash, substring(CAST(:packed AS bytea) FROM u.at FOR u.size)
FROM unnest(CAST(:row_ids AS uuid[]), CAST(:hashes AS uuid[]), CAST(:starts AS int[]), CAST(:sizes AS int[]))
    AS u (row_id, content_hash, at, size)
ON CONFLICT DO NOTHING
""")

_SPACE = text("SELECT token_space FROM ltmemory.embedding_models WHERE id = :id")
_KEEP_SPACE = text("UPDATE ltmemory.embedding_models SET token_space = :space WHERE id = :id AND token_space IS NULL")
_SIZE = np.dtype("<i4")
_NUMBER = np.dtype("<f4")


@dataclass(frozen=True, slots=True, eq=False)
class TokenTable:
    """The tokens of several rows one after the other: int8 ``(tokens, dimensions)``, where a length of 1 is 127.

    Row ``places[i]`` of what was asked for has ``sizes[i]`` of them, in this order; rows that are not there have no
    token vectors. A row whose text holds nothing to compare has size 0.
    """

    vectors: NDArray[np.int8]
    places: NDArray[np.int64]
    sizes: NDArray[np.int64]


class TokenRows(Rows):
    """The user's token vectors."""

    def add(self, kind: Kind, model_id: int, rows: Sequence[tuple[UUID, UUID, NDArray[np.int8]]]) -> None:
        """Store tokens by row id and content hash. The vectors of the texts must be there; what is there stays."""
        if rows:
            self.execute(
                _ADD,
                kind=kind.value,
                model_id=model_id,
                row_ids=[row_id for row_id, _, _ in rows],
                hashes=[content_hash for _, content_hash, _ in rows],
                **sliced(vectors.tobytes() for _, _, vectors in rows),
            )

    def read(
        self, kind: Kind, model_id: int, rows: Sequence[tuple[UUID | str, UUID | str]], dimensions: int
    ) -> TokenTable:
        """The tokens of rows, given as (id, content hash)."""
        found = self.execute(
            _READ,
            kind=kind.value,
            model_id=model_id,
            ids=[str(row_id) for row_id, _ in rows],
            hashes=[str(content_hash) for _, content_hash in rows],
        ).one()
        vectors = np.frombuffer(found.tokens or b"", np.int8).reshape(-1, dimensions)
        places = np.array(found.places or [], dtype=np.int64) - 1
        return TokenTable(vectors, places, np.array(found.sizes or [], dtype=np.int64) // dimensions)


def token_space(database: Database, model_id: int, make: Callable[[], TokenSpace]) -> TokenSpace:
    """The token space of a registered model; where it has none yet, it is made and kept.

    The one that is kept first stays for ever: vectors of two spaces would not compare. Raises ``StoreError``, and what
    ``make`` raises.
    """
    known = _read_space(database, model_id)
    if known is not None:
        return known
    made = make()
    sizes = np.array(made.basis.shape, _SIZE)
    packed = b"".join((sizes.tobytes(), made.mean.astype(_NUMBER).tobytes(), made.basis.astype(_NUMBER).tobytes()))
    with database.owner() as connection:
        connection.execute(_KEEP_SPACE, {"id": model_id, "space": packed})
    return _read_space(database, model_id) or made


def _read_space(database: Database, model_id: int) -> TokenSpace | None:
    with foreign_errors(), database.engine.connect() as connection:
        packed = connection.execute(_SPACE, {"id": model_id}).scalar()
    if packed is None:
        return None
    data = bytes(packed)
    dimensions, hidden = (int(size) for size in np.frombuffer(data, _SIZE, 2))
    numbers = np.frombuffer(data, _NUMBER, offset=2 * _SIZE.itemsize).astype(np.float32)
    return TokenSpace(numbers[:hidden], numbers[hidden:].reshape(dimensions, hidden))
