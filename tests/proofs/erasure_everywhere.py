"""Proof: whatever is planted wherever, an erasure leaves it nowhere, in rows or in the files of the database.

Run it by its name: ``python -m pytest tests/proofs/erasure_everywhere.py``. ``PROOF_EXAMPLES`` says how many
memories are tried at each place: the embedded server's application role, and a plain owner.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from erasing import PLACES, Garden, check_one_garden, found_in, planted
from hypothesis import given, settings
from owners import run
from places import admin_fixture, memory_fixture, place_fixture, plain_url_fixture  # noqa: F401

from mira_ltmemory.composition import MemoryManager

EXAMPLES = int(os.environ.get("PROOF_EXAMPLES", "200"))


@settings(max_examples=EXAMPLES)
@given(plants=planted)
def test_nothing_is_left_in_any_row(memory: MemoryManager, admin: str, plants: list[tuple[str, str, str]]) -> None:
    # A user of its own for each example: what earlier ones left would only slow the later ones down.
    name = f"user-{uuid.uuid4()}"
    check_one_garden(memory.as_user(name), memory.as_user(f"{name}-other"), admin, plants)


def test_nothing_is_left_in_the_files_of_the_tables_after_a_vacuum(
    memory: MemoryManager, admin: str, postgres_dir: Path
) -> None:
    token = f"zork{uuid.uuid4().hex}"
    garden = Garden(memory, token)
    for place in PLACES:
        garden.plant(place, token)
    memory.process_pending()
    run(admin, "CHECKPOINT")
    assert files_with(postgres_dir, token)
    receipt = memory.erasure.erase(memory.erasure.preview(subject=token, blocks=True), vacuum=True)
    assert receipt.complete
    assert found_in(admin, memory.store.user_id, token) == []
    # The catalog's own statistics are rows too, and a superuser's to vacuum; the log is what the receipt names.
    run(admin, "VACUUM FULL pg_catalog.pg_statistic")
    run(admin, "CHECKPOINT")
    left = files_with(postgres_dir, token)
    assert [path for path in left if "pg_wal" not in path.parts] == []


def files_with(data_dir: Path, token: str) -> list[Path]:
    """Files of the cluster that hold the token as it was written."""
    wanted = token.encode()
    return [path for path in data_dir.rglob("*") if path.is_file() and wanted in path.read_bytes()]
