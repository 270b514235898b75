from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture
def make_place() -> Iterator[Callable[[], Path]]:
    """Directories with a short path, as a server's socket needs; in memory where there is some."""
    made: list[Path] = []

    def make() -> Path:
        fast = "/dev/shm" if Path("/dev/shm").is_dir() else None
        made.append(Path(tempfile.mkdtemp(prefix="ltm-", dir=fast)))
        return made[-1]

    yield make
    for path in made:
        shutil.rmtree(path, ignore_errors=True)
