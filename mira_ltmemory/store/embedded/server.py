"""`EmbeddedServer`: one handle on the server of a data directory."""

from __future__ import annotations

import atexit
import logging
import os
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

import platformdirs

from mira_ltmemory.errors import EmbeddedServerError
from mira_ltmemory.store.embedded.cluster import ELSEWHERE, LOCK, account_for, initialise, is_cluster, space
from mira_ltmemory.store.embedded.handles import HANDLES, birth, live_handles, write_handles
from mira_ltmemory.store.embedded.locks import locked
from mira_ltmemory.store.embedded.process import PORT, ensure_running, log_tail, shut_down

_logger = logging.getLogger(__name__)

_STOP_SECONDS = 60.0


class EmbeddedServer:
    """The Postgres that runs when no database URL is configured: one data directory, one unix socket, no network.

    Every object is one handle. A process that is killed leaves its server running; the next one joins it.
    """

    data_dir: Path

    def __init__(self, data_dir: Path, socket_dir: Path) -> None:
        """Use `start`; the constructor starts nothing."""
        self.data_dir = data_dir
        self._socket_dir = socket_dir
        self._process = os.getpid()

    @classmethod
    def start(cls, data_dir: Path, *, timeout: float = 30.0) -> EmbeddedServer:
        """Start the server of `data_dir`, creating the cluster when there is none, or joins the one that runs.

        `timeout` in seconds covers waiting for other processes, creation and recovery after a crash. A server that
        is still recovering when it passes is left to finish: call again. Stopped by `stop` or a normal exit of the
        interpreter, whichever comes first. Raises EmbeddedServerError; never deletes or overwrites existing data.
        """
        deadline = time.monotonic() + timeout
        try:
            path = Path(data_dir).expanduser().resolve()
            if not is_cluster(path):
                initialise(path, deadline)
            account = account_for(path)
            with locked(path / LOCK, deadline):
                server = cls(path, ensure_running(path, account, deadline))
                others = [handle for handle in live_handles(path) if handle[0] != os.getpid()]
                write_handles(path, [*others, [os.getpid(), birth(os.getpid())]])
                _held.setdefault(path, []).append(server)
        except (OSError, subprocess.SubprocessError) as error:
            raise EmbeddedServerError(
                f"{space(Path(data_dir))}"
                f"The embedded Postgres in {data_dir} could not be started: {error}. Make the directory (and, for a"
                f" new one, its parent) writable, give another directory, {ELSEWHERE}.{log_tail(Path(data_dir))}"
            ) from error
        return server

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        """Give the SQLAlchemy URL of a database of this server, names quoted. Starts nothing, raises nothing."""
        # The port is named because PGPORT in the environment would otherwise choose another socket.
        host = quote(str(self._socket_dir))
        return f"postgresql+psycopg2://{quote(user, safe='')}@/{quote(database, safe='')}?host={host}&port={PORT}"

    def stop(self) -> None:
        """Give up this handle; the last live handle of all processes stops the server (fast shutdown, up to 60 s).

        Does nothing the second time and in a forked child. A server that takes longer is left to finish, with a
        warning in the log. Raises EmbeddedServerError when the data directory cannot be locked or written.
        """
        if self._process != os.getpid() or self not in _held.get(self.data_dir, ()):
            return
        deadline = time.monotonic() + _STOP_SECONDS
        try:
            with locked(self.data_dir / LOCK, deadline):
                held = _held.get(self.data_dir, [])
                if self not in held:
                    return
                held.remove(self)
                if held:
                    return
                others = [handle for handle in live_handles(self.data_dir) if handle[0] != os.getpid()]
                if others:
                    write_handles(self.data_dir, others)
                    return
                shut_down(self.data_dir, deadline)
                (self.data_dir / HANDLES).unlink(missing_ok=True)
        except FileNotFoundError:
            _held.pop(self.data_dir, None)
            _logger.warning("The data directory %s is gone; its server ends by itself within a minute", self.data_dir)
        except OSError as error:
            message = f"The embedded Postgres in {self.data_dir} could not be stopped: {error}"
            raise EmbeddedServerError(message) from error


def default_data_dir() -> Path:
    """Say where the cluster lies unless configured otherwise; creates nothing.

    As root a system path, because the unprivileged account of the server must be able to traverse its parents.
    """
    if os.geteuid() == 0:
        return Path("/var/lib/mira-ltmemory/postgres")
    return Path(platformdirs.user_data_dir("mira-ltmemory", appauthor=False)) / "postgres"


_held: dict[Path, list[EmbeddedServer]] = {}


@atexit.register
def _stop_all() -> None:
    for server in [server for servers in _held.values() for server in servers]:
        try:
            server.stop()
        except EmbeddedServerError as error:
            _logger.warning("%s", error)


os.register_at_fork(after_in_child=_held.clear)
