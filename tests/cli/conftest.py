"""Runs the command line for the test's user, on the real embedded Postgres."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable

import pytest
from typer.testing import CliRunner

from mira_ltmemory.cli.app import app
from mira_ltmemory.config import MemoryConfig

Run = Callable[..., str]
_TERMINAL = {"COLUMNS": "220", "NO_COLOR": "1"}


@pytest.fixture
def run(config: MemoryConfig) -> Run:
    """Runs a command and returns what it printed, on either stream."""

    def invoke(*arguments: str, code: int = 0, stdin: str | bytes | None = None, **env: str) -> str:
        target = ["--data-dir", str(config.data_dir), "--user", config.user_name]
        done = CliRunner().invoke(app, [*target, *arguments], input=stdin, env={**_TERMINAL, **env})
        assert done.exit_code == code, done.output
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        if code == 1:
            assert len(done.stderr.splitlines()) <= 1, done.stderr
        return done.output

    return invoke


@pytest.fixture
def answer(config: MemoryConfig) -> Run:
    """Runs a command in a process of its own whose input is a terminal at which somebody types."""

    def invoke(typed: str, *arguments: str, code: int = 0) -> str:
        target = ["--data-dir", str(config.data_dir), "--user", config.user_name]
        ours, theirs = pty.openpty()
        os.write(ours, typed.encode())
        try:
            done = subprocess.run(
                [sys.executable, "-c", "from mira_ltmemory.cli import main; main()", *target, *arguments],
                stdin=theirs,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=120,
                check=False,
                env={**os.environ, **_TERMINAL},
            )
        finally:
            os.close(ours)
            os.close(theirs)
        assert done.returncode == code, done.stdout
        return done.stdout

    return invoke
