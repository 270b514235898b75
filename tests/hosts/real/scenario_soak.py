"""Thousands of turns with the jobs running on a moved clock: nothing grows, and nothing is left open.

``SOAK_TURNS`` says how many turns; the clock moves six minutes a turn. ``BOOT_HOST=local`` plays the small host.
"""

from __future__ import annotations

import gc
import os
import re
import sys
import tempfile
import threading
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
from scenario_boot import LOCAL, say
from stage import FOUND, our_rows, perform, start_mira

TURNS = int(os.environ.get("SOAK_TURNS", "7200"))
STEP = timedelta(minutes=6)
LOOKS = int(os.environ.get("SOAK_LOOKS", "6"))
WORDS = ("bread", "garden", "train", "winter", "letter", "music", "river", "cat", "lamp", "tea", "Bonn", "Ada")


class LocalClock:
    """The clock of the small host and of the memory."""

    def __init__(self) -> None:
        self.moment = datetime.now(UTC)


def begin(model: Any) -> tuple[dict[str, Any], Any]:
    if not LOCAL:
        from scenario_jobs import MovedClock

        system = start_mira(model.url)
        return system, MovedClock(system["automation_engine"])
    from mira_ltmemory.hosts.local import HostConfig, initialize_system
    from mira_ltmemory.protocols import SystemClock

    clock = LocalClock()
    SystemClock.now = lambda own: clock.moment  # type: ignore[method-assign]
    config = HostConfig.for_folder(tempfile.mkdtemp(dir="."), base_url=model.url, api_key="none")
    config.automation.scheduler = False
    return initialize_system(config, clock=lambda: clock.moment), clock


def run_jobs(system: dict[str, Any]) -> None:
    if LOCAL:
        system["automation_engine"].process_due()
        return
    from scenario_jobs import look

    look(system["automation_engine"])


def said(number: int) -> str:
    picked = [WORDS[(number * prime) % len(WORDS)] for prime in (1, 3, 5, 7)]
    return f"Number {number}: the {picked[0]} and the {picked[1]} near the {picked[2]} of {picked[3]}"


def soak(model: Any) -> None:
    import mira_ltmemory

    model.when(lambda body: "worth remembering for months" in str(body), '{"facts": []}')
    model.when(lambda body: "list who and what it speaks of" in str(body), '{"entities": [], "relations": []}')
    model.default = "That is good to know."
    system, clock = begin(model)
    installation = mira_ltmemory.install(
        system, user_name=sys.argv[3], data_dir=sys.argv[2], llm_requests_per_minute=1_000
    )
    store = installation.memory.store
    looks: list[dict[str, Any]] = []
    for number in range(1, TURNS + 1):
        clock.moment += STEP
        if number % 50 == 0:
            model.requests.clear()  # the stand-in of the model keeps all that it was asked
        say(system, said(number))
        run_jobs(system)
        if number % (TURNS // LOOKS) == 0:
            model.requests.clear()
            looks.append(look_at(installation))
            print(f"turn {number}: {looks[-1]}", file=sys.stderr, flush=True)
    FOUND["looks"], FOUND["host"] = looks, "local" if LOCAL else "mira"
    installation.host.refresh()
    from sqlalchemy import text

    with store.read() as unit:
        user = {"user": store.user_id}
        rows = unit.session.connection().execute(
            text("SELECT role, count(*), count(DISTINCT content_hash) FROM ltmemory.messages "
                 "WHERE user_id = :user GROUP BY role"), user,
        ).all()  # fmt: skip
        FOUND["stored"] = {role: [every, distinct] for role, every, distinct in rows}
    engine = system["automation_engine"]
    ended: dict[str, Counter[str]] = {}
    for row in our_rows(engine):
        executions = engine.get_executions(row["id"], limit=100_000)["executions"]
        ended[row["operation"]] = Counter(one["status"] for one in executions)
    FOUND["runs"] = ended
    FOUND["problems"] = installation.memory.problems.all()
    installation.close()
    gc.collect()
    FOUND["threads_after"] = sorted(thread.name for thread in threading.enumerate())


def look_at(installation: Any) -> dict[str, Any]:
    """What could leak, as it is now."""
    from sqlalchemy import text

    gc.collect()
    process = psutil.Process()
    with installation.memory.store.read() as unit:
        connections = unit.session.connection().scalar(
            text("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'mira-ltmemory'")
        )
    return {
        "rss_mb": process.memory_info().rss / 1e6,
        "objects": len(gc.get_objects()),
        "threads": threading.active_count(),
        "files": open_files(),
        "connections": int(connections or 0),
        "children": len(process.children(recursive=True)),
        "abroad": sorted({c.raddr.ip for c in process.net_connections("inet") if c.raddr} - {"127.0.0.1", "::1"}),
        "problems": installation.memory.problems.all(),
    }


def open_files() -> dict[str, int]:
    """How often each file is open, by its path; sockets and pipes by what they are."""
    listed = Path("/proc/self/fd")
    if not listed.is_dir():
        return {"all": psutil.Process().num_fds()}
    names = []
    for each in listed.iterdir():
        with suppress(OSError):  # the listing itself
            names.append(re.sub(r":\[\d+\]$", "", str(each.readlink())))
    return dict(Counter(names))


if __name__ == "__main__":
    perform(globals())
