"""The server process: found by what it is, never by its pid alone; started, asked and shut down."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import signal
import stat
import time
from pathlib import Path

import psutil
import psycopg2

from mira_ltmemory.errors import EmbeddedServerError
from mira_ltmemory.store.embedded.cluster import ELSEWHERE, Account, bin_dir_of_package, let_through, space

_logger = logging.getLogger(__name__)

PORT = 5432
_SOCKET = f".s.PGSQL.{PORT}"
_LOG = "log/server.log"
_LOG_BYTES = 8 * 1024 * 1024
_SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "cluster_name": "mira-ltmemory",
    "logging_collector": "off",
    "log_destination": "stderr",
    # Statements and DETAIL lines hold what users said, and the log outlives its deletion.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}

_MB = 1 << 20
_LEAST_BUFFERS, _MOST_BUFFERS, _MEMORY_SHARE = 128 * _MB, 4096 * _MB, 8
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def shared_buffers(data_dir: Path) -> int:
    """Bytes of pages that a server of this data is to keep at hand: all of it, up to an eighth of the memory.

    With Postgres' own 128 MB, a search of a large vector index reads thousands of pages from files each time. For
    little data more would only make the start longer.
    """
    memory = int(psutil.virtual_memory().total)
    with contextlib.suppress(OSError, ValueError):  # a container's limit, where there is one
        memory = min(memory, int(_CGROUP_LIMIT.read_text()))
    size = 0
    with contextlib.suppress(OSError):
        size = sum(file.stat().st_size for file in data_dir.glob("base/*/*"))
    return max(_LEAST_BUFFERS, min(size + size // 2, memory // _MEMORY_SHARE, _MOST_BUFFERS))


def _socket_dir(data_dir: Path, account: Account) -> Path:
    """Use the data directory, or a private one in /tmp where that is too long or would need quoting."""
    if len(os.fsencode(data_dir / _SOCKET)) <= 100 and re.fullmatch(r"[\w./+-]+", str(data_dir), re.ASCII):
        return data_dir
    # Not TMPDIR or XDG_RUNTIME_DIR: every process must come to the same path.
    path = Path("/tmp") / f"mira-ltmemory-{hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]}"  # noqa: S108
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
        os.chown(path, account.uid, account.gid)
    info = path.lstat()
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != account.uid or info.st_mode & 0o077:
        raise EmbeddedServerError(
            f"{path}, meant for the socket of {data_dir}, is not a private directory of uid {account.uid}. Find out who"
            " made it and remove it, or give a data directory with a shorter path."
        )
    return path


def _lock_lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []


def _pid(lines: list[str]) -> int | None:
    return int(lines[0]) if lines and re.fullmatch(r"\s*[1-9]\d{0,8}\s*", lines[0], re.ASCII) else None


def alive(process: psutil.Process) -> bool:
    """Count a zombie as dead: in a container nobody may collect it."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _works_in(process: psutil.Process, data_dir: Path) -> bool:
    """Tell a Postgres of this data directory: they all have it as working directory."""
    try:
        return Path(process.cwd()).samefile(data_dir)
    except psutil.AccessDenied:
        # Root in a container without CAP_SYS_PTRACE; only the postmaster still shows its arguments.
        with contextlib.suppress(psutil.Error, ValueError, IndexError, OSError):
            command = process.cmdline()
            return Path(command[command.index("-D") + 1]).samefile(data_dir)
    except (psutil.Error, OSError):
        pass
    return False


def _postmaster(data_dir: Path) -> psutil.Process | None:
    pid = _pid(_lock_lines(data_dir / "postmaster.pid"))
    with contextlib.suppress(psutil.Error, IndexError):
        process = psutil.Process(pid) if pid else None
        # Its children call themselves "postgres: something"; a zombie has no arguments.
        if process and Path(process.cmdline()[0]).name == "postgres" and _works_in(process, data_dir):
            return process
    return None


def _refusal(socket_dir: Path, data_dir: Path, known: bool) -> str | None:
    """Say why the server does not serve this data directory yet; None when it does."""
    if not (socket_dir / _SOCKET).exists():
        return f"there is no socket in {socket_dir}"
    try:
        connection = psycopg2.connect(
            host=str(socket_dir), port=PORT, user="postgres", dbname="postgres", connect_timeout=2,
            options="-c statement_timeout=5s",
        )  # fmt: skip
        try:
            with connection.cursor() as cursor:
                cursor.execute("SHOW data_directory")
                served = Path(cursor.fetchone()[0])
        finally:
            connection.close()
    except psycopg2.Error as error:
        return str(error).strip()
    # A socket inside the directory belongs to it even when it is mounted elsewhere for the server.
    if known or socket_dir == data_dir or (served.exists() and served.samefile(data_dir)):
        return None
    return f"the server in {socket_dir} serves {served}"


def ensure_running(data_dir: Path, account: Account, deadline: float) -> Path:
    """Return the directory of the socket of a server that answers. Needs the lock."""
    launched: psutil.Process | None = None
    while True:
        postmaster = _postmaster(data_dir)
        lines = _lock_lines(data_dir / "postmaster.pid") if postmaster is not None else []
        socket_dir = Path(lines[4].strip()) if len(lines) > 4 else data_dir
        if not (socket_dir / _SOCKET).exists():
            socket_dir = _socket_dir(data_dir, account)
        # Not asked before it says that it is ready: every refusal is a line in its log.
        waiting = postmaster is not None and (len(lines) < 8 or lines[7].strip() != "ready")
        refusal = "it is not ready" if waiting else _refusal(socket_dir, data_dir, postmaster is not None)
        if refusal is None:
            return socket_dir
        if launched is not None and not alive(launched):
            raise EmbeddedServerError(
                f"{space(data_dir)}"
                f"The embedded Postgres in {data_dir} ended while starting. Its log says why; free space or repair what"
                f" it names, give another directory, {ELSEWHERE}.{log_tail(data_dir)}"
            )
        if launched is None and postmaster is None and not _orphans(data_dir):
            launched = _launch(data_dir, account, deadline)
        if time.monotonic() > deadline:
            raise EmbeddedServerError(
                f"The embedded Postgres in {data_dir} did not answer in time ({refusal}). It may be recovering from a"
                f" crash: try again with a longer timeout.{log_tail(data_dir)}"
            )
        time.sleep(0.01)


def _orphans(data_dir: Path) -> bool:
    """Look for children of a killed postmaster: a server started beside them could ruin the data."""
    if not (data_dir / "postmaster.pid").exists():
        return False
    named = (process for process in psutil.process_iter(["name"]) if process.info["name"] == "postgres")
    return any(alive(process) and _works_in(process, data_dir) for process in named)


def _launch(data_dir: Path, account: Account, deadline: float) -> psutil.Process:
    bin_dir, socket_dir = bin_dir_of_package(), _socket_dir(data_dir, account)
    let_through(account, data_dir)
    let_through(account, bin_dir / "postgres")
    for lock in (data_dir / "postmaster.pid", socket_dir / f"{_SOCKET}.lock"):
        pid = _pid(_lock_lines(lock))
        # One that names no process is left to Postgres, which then also checks the shared memory it names. Postgres
        # takes any process of its user for a server, even a zombie; the caller has shown that it is none of ours.
        if lock.exists() and (pid is None or psutil.pid_exists(pid)):
            lock.replace(lock.with_name(f"{lock.name}.stale"))
    log = data_dir / _LOG
    if log.is_file() and log.stat().st_size > _LOG_BYTES:
        log.replace(log.with_name(f"{log.name}.1"))
    buffers = f"{shared_buffers(data_dir) // _MB}MB"
    settings = {**_SETTINGS, "shared_buffers": buffers, "unix_socket_directories": str(socket_dir)}
    command = [str(bin_dir / "postgres"), "-D", str(data_dir)]
    command += [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    # Through a shell of that account, which leaves the server an orphan and opens the log with its rights. Not pg_ctl:
    # it pastes paths into a shell command and polls ten times a second.
    script = f'mkdir -p log || exit 1; exec "$@" </dev/null >>{_LOG} 2>&1 & echo $!'
    done = account.run(["/bin/sh", "-c", script, "sh", *command], data_dir, deadline)
    try:
        process = psutil.Process(int(done.stdout))
    except (ValueError, psutil.Error):
        process = None
    if process is None or done.stderr:
        raise EmbeddedServerError(
            f"{space(data_dir)}"
            f"The embedded Postgres in {data_dir} could not be started. Repair what is named here, give another"
            f" directory, {ELSEWHERE}. {done.stderr.strip()}{log_tail(data_dir)}"
        )
    return process


def log_tail(data_dir: Path) -> str:
    """Return the last lines of the server's log, for an error message; empty where there is none."""
    path = data_dir / _LOG
    try:
        with path.open("rb") as file:
            file.seek(max(path.stat().st_size - 4096, 0))
            lines = file.read().decode(errors="replace").splitlines()[-8:]
    except OSError:
        return ""
    return f"\nThe last lines of {path}:\n" + "\n".join(lines)


def shut_down(data_dir: Path, deadline: float) -> None:
    """Stop the server and wait until ``deadline`` (monotonic seconds); one that takes longer is left to finish."""
    postmaster = _postmaster(data_dir)
    if postmaster is None:
        return
    with contextlib.suppress(psutil.NoSuchProcess):
        postmaster.send_signal(signal.SIGINT)
    while alive(postmaster):
        if time.monotonic() > deadline:
            _logger.warning("The embedded Postgres in %s is still shutting down; left to finish", data_dir)
            return
        time.sleep(0.01)
