"""Locks between processes: plain ``flock`` on files that are never removed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from mira_ltmemory.errors import EmbeddedServerError

_lock_fds: set[int] = set()


@contextlib.contextmanager
def locked(path: Path, deadline: float) -> Iterator[None]:
    """Between processes and threads. The file is never removed: a second one of the same name would not exclude."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    _lock_fds.add(fd)
    try:
        give_to_owner_of(path.parent, fd)
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise EmbeddedServerError(
                        f"Another process is starting or stopping the embedded Postgres and holds {path} for longer"
                        " than the timeout. Try again; if it hangs, end that process."
                    ) from None
                time.sleep(0.01)
        try:
            yield
        finally:
            fcntl.flock(fd, fcntl.LOCK_UN)
    finally:
        _lock_fds.discard(fd)
        os.close(fd)


def give_to_owner_of(directory: Path, fd: int) -> None:
    """As root, give an open file to whom the directory belongs."""
    if os.geteuid() == 0:
        info = directory.stat()
        os.fchown(fd, info.st_uid, info.st_gid)


def _after_fork_in_child() -> None:
    # A copy of the descriptor would keep the lock of a thread of the parent held for as long as the child lives.
    for fd in _lock_fds:
        os.close(fd)
    _lock_fds.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)
