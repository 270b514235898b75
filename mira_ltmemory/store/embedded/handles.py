"""Which processes use a server: the last one that lives stops it."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path

import psutil

from mira_ltmemory.store.embedded.locks import give_to_owner_of
from mira_ltmemory.store.embedded.process import alive

HANDLES = ".mira-handles.json"


def birth(pid: object) -> str | None:
    """Return what tells a process from a later one of the same pid; None when it is dead."""
    with contextlib.suppress(OSError, psutil.Error, TypeError, ValueError):
        process = psutil.Process(pid)
        if not sys.platform.startswith("linux"):
            return str(process.create_time()) if alive(process) else None
        # Not psutil's time of creation: it moves when the clock is set, and a living process would seem dead.
        started = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[19]
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {started}" if alive(process) else None
    return None


def live_handles(data_dir: Path) -> list[list[object]]:
    """Read the handles, pairs of pid and birth, of processes that still live."""
    try:
        stored = json.loads((data_dir / HANDLES).read_text())
    except (FileNotFoundError, ValueError):
        return []  # Written by rename, so unreadable means a crash of the machine: nobody lives.
    pairs = [pair for pair in stored if isinstance(pair, list) and len(pair) == 2] if isinstance(stored, list) else []
    return [pair for pair in pairs if pair[1] is not None and birth(pair[0]) == pair[1]]


def write_handles(data_dir: Path, handles: list[list[object]]) -> None:
    """Write the handles, whole or not at all."""
    new = data_dir / f"{HANDLES}.new"
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        give_to_owner_of(data_dir, file.fileno())
        json.dump(handles, file)
    new.replace(data_dir / HANDLES)
