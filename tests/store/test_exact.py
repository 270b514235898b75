"""The nearest of many questions in one pass equal those of Postgres, however the vectors fall into parts."""

from __future__ import annotations

import numpy as np
import psycopg2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from mira_ltmemory.errors import StoreError, StoreUnavailable
from mira_ltmemory.store.database import Database, foreign_errors
from mira_ltmemory.store.search import exact as exact_module
from mira_ltmemory.store.search.exact import NearestOf
from mira_ltmemory.store.vector_text import vector_text

DIMENSION = 7
_COPY = "COPY (SELECT embedding FROM halves ORDER BY id) TO STDOUT (FORMAT binary)"


@pytest.mark.parametrize("at_once", [1, 4, 8, 100])
@pytest.mark.parametrize("rows", [0, 1, 3, 8, 40])
def test_it_equals_postgres(database: Database, rows: int, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact_module, "_AT_ONCE", at_once)
    chance = np.random.default_rng(rows)
    vectors = chance.standard_normal((rows, DIMENSION)).astype(np.float32)
    questions = chance.standard_normal((3, DIMENSION)).astype(np.float32)
    sink = NearestOf(questions, 5)
    with database.owner() as connection:
        connection.execute(
            text(f"CREATE TEMPORARY TABLE halves (id int, embedding halfvec({DIMENSION})) ON COMMIT DROP")
        )
        for number, vector in enumerate(vectors):
            connection.execute(
                text("INSERT INTO halves VALUES (:id, CAST(:vector AS halfvec))"),
                {"id": number, "vector": vector_text(vector)},
            )
        connection.connection.cursor().copy_expert(_COPY, sink)
        nearest = text("SELECT embedding <=> CAST(:vector AS halfvec) AS d FROM halves ORDER BY d LIMIT 5")
        expected = [
            [row.d for row in connection.execute(nearest, {"vector": vector_text(question)})] for question in questions
        ]
    found = sink.distances()
    assert [len(each) for each in found] == [min(rows, 5)] * 3
    for near, right in zip(found, expected, strict=True):
        assert near == pytest.approx(right, abs=1e-5)


@given(st.lists(st.integers(1, 40), max_size=30))
def test_a_stream_may_come_in_any_pieces(sizes: list[int]) -> None:
    vectors = np.arange(6 * DIMENSION, dtype=np.float32).reshape(6, DIMENSION) - 20
    row = np.zeros(6, [("n", ">i2"), ("b", ">i4"), ("d", ">i2"), ("u", ">i2"), ("v", ">f2", (DIMENSION,))])
    row["v"] = vectors
    stream = bytes(19) + row.tobytes() + b"\xff\xff"
    whole, pieces = NearestOf(vectors[:2], 3), NearestOf(vectors[:2], 3)
    whole.write(stream)
    at = 0
    for size in [*sizes, len(stream)]:
        pieces.write(stream[at : at + size])
        at += size
    assert pieces.distances() == whole.distances()
    assert whole.distances()[0][0] == pytest.approx(0, abs=1e-6)


def test_errors_of_a_bare_cursor_become_ours(database: Database) -> None:
    with pytest.raises(StoreError, match="gave up"), foreign_errors(), database.engine.begin() as connection:
        connection.connection.cursor().copy_expert(
            "COPY (SELECT 1/0) TO STDOUT", NearestOf(np.ones((1, 1), np.float32), 1)
        )
    with pytest.raises(StoreUnavailable, match="gone"), foreign_errors():
        raise psycopg2.OperationalError("gone\nand more")
