"""Attaching takes at most three bare starts of the embedded server, and the process at most 250 MB more.

In the small host, and in the real MIRA where ``MIRA_ROOT`` names a checkout. What is measured is measured in one
process, in turns; docs/proofs.md says what the last run found.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hosting import host, local, play  # noqa: F401

import mira_ltmemory


@pytest.fixture
def data_dir() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="ltm-"))
    folder.chmod(0o755)
    mira_ltmemory.open_memory(data_dir=folder / "pg").close()
    yield folder / "pg"
    shutil.rmtree(folder, ignore_errors=True)


def test_attaching_is_quick_and_takes_little_memory(host: Any, data_dir: Path) -> None:  # noqa: F811
    found = host("load", "scenario_load", data_dir=data_dir)
    print({name: round(value, 3) for name, value in found.items()})
    assert found["onnxruntime"]
    assert found["attached"] <= 3 * found["bare"]
    assert found["added_mb"] <= 250
