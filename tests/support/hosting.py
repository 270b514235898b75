"""``play``: runs a scenario inside the real MIRA, where a checkout is at hand.

``MIRA_ROOT`` names a checkout of taylorsatula/mira at 3e1a230 or 23a3a17, ``MIRA_PYTHON`` a Python that has
MIRA's requirements and ours (default: this one). Without the first the tests that play are skipped.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import pytest

import mira_ltmemory

ROOT = os.environ.get("MIRA_ROOT")
PYTHON = os.environ.get("MIRA_PYTHON", sys.executable)
HERE = Path(__file__).parents[1] / "hosts" / "real"


class Play(Protocol):
    def __call__(
        self,
        name: str,
        script: str = "scenario",
        *,
        environment: Mapping[str, str] = {},
        prepare: Callable[[Path], None] = lambda mira: None,
        before: tuple[str, ...] = (),
        data_dir: Path | None = None,
        timeout: float = 300,
    ) -> dict[str, Any]: ...


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory, postgres_dir: Path) -> Play:
    """Runs a scenario in a fresh copy of MIRA and returns what it found.

    ``prepare`` may change the copy, ``before`` stands before the command, ``environment`` beside the usual one.
    """
    if ROOT is None:
        pytest.skip("MIRA_ROOT names no checkout of MIRA")

    def run(
        name: str,
        script: str = "scenario",
        *,
        environment: Mapping[str, str] = {},
        prepare: Callable[[Path], None] = lambda mira: None,
        before: tuple[str, ...] = (),
        data_dir: Path | None = None,
        timeout: float = 300,
    ) -> dict[str, Any]:
        place = tmp_path_factory.mktemp(name)
        shutil.copytree(str(ROOT), place / "mira", ignore=shutil.ignore_patterns("*.png", "*.db", ".git"))
        prepare(place / "mira")
        # Our package alone: the repository's root would hide MIRA's own `tools`.
        (place / "site").mkdir()
        (place / "site" / "mira_ltmemory").symlink_to(Path(mira_ltmemory.__file__).parent)
        paths = f"{place / 'site'}:{HERE / 'stubs'}:{HERE}"
        done = subprocess.run(
            [*before, PYTHON, str(HERE / f"{script}.py"), name, str(data_dir or postgres_dir), f"user-{uuid.uuid4()}"],
            cwd=place / "mira",
            env={**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1", **environment},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        lines = [line for line in done.stdout.splitlines() if line.startswith("FOUND ")]
        assert done.returncode == 0 and lines, done.stdout[-3000:] + done.stderr[-6000:]
        found: dict[str, Any] = json.loads(lines[-1].removeprefix("FOUND "))
        return found

    return run


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory, postgres_dir: Path) -> Play:
    """Plays a scenario with the small host, in a process of its own."""

    def run(
        name: str,
        script: str,
        *,
        environment: Mapping[str, str] = {},
        before: tuple[str, ...] = (),
        data_dir: Path | None = None,
        timeout: float = 300,
        prepare: Callable[[Path], None] = lambda folder: None,
    ) -> dict[str, Any]:
        folder = tmp_path_factory.mktemp("local")
        prepare(folder)
        paths = os.pathsep.join([*filter(None, sys.path), str(HERE)])
        done = subprocess.run(
            [
                *before,
                sys.executable,
                str(HERE / f"{script}.py"),
                name,
                str(data_dir or postgres_dir),
                f"user-{uuid.uuid4()}",
            ],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": paths, "BOOT_HOST": "local", **environment},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == 0 and "FOUND " in done.stdout, done.stdout[-2000:] + done.stderr[-4000:]
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1].removeprefix("FOUND "))
        return found

    return run


@pytest.fixture(scope="module", params=["the small host", "the real MIRA"])
def host(request: pytest.FixtureRequest) -> Iterator[Play]:
    if request.param == "the real MIRA" and ROOT is None:
        pytest.skip("MIRA_ROOT names no checkout of MIRA")
    yield request.getfixturevalue("local" if request.param == "the small host" else "play")
