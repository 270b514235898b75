"""Jobs in the real engine: cron over changes of the clock, restarts, downtime, a second MIRA, failures and kills."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from stage import FOUND, install, our_rows, perform, run_due, start_mira

NIGHTLY, OFTEN = "process_conversations", "health_check"


def only(**crons: str) -> dict[str, Any]:
    """Settings with these jobs alone."""
    from mira_ltmemory.config import AutomationSettings

    off = {name: False for name in AutomationSettings.model_fields if name not in crons}
    return {"automations": {**off, **{name: {"cron": cron} for name, cron in crons.items()}}}


class MovedClock:
    """One clock for MIRA's engine and for us, which a scenario moves."""

    def __init__(self, engine: Any) -> None:
        from mira_ltmemory.protocols import SystemClock

        self.moment = datetime.now(UTC)
        engine.stop_scheduler()
        module = sys.modules["task_manager.automation_engine"]
        module.utc_now = lambda: self.moment  # type: ignore[attr-defined]
        module.time = SimpleNamespace(sleep=lambda seconds: None)  # type: ignore[attr-defined]
        SystemClock.now = lambda clock: self.moment  # type: ignore[method-assign]

    def run_until(self, engine: Any, end: datetime, step: timedelta = timedelta(minutes=10)) -> None:
        """Let the engine look every ten minutes, and wait for what it started."""
        while self.moment < end:
            self.moment += step
            look(engine)


def look(engine: Any) -> None:
    engine._process_due_automations()
    for thread in threading.enumerate():
        if thread.name.startswith("Automation-"):
            thread.join()


def runs(engine: Any, job: str) -> list[str]:
    """When the engine ran a job, oldest first, and how each run ended."""
    row = next(row for row in our_rows(engine) if row["operation"] == job)
    found = engine.get_executions(row["id"], limit=1000)["executions"]
    return sorted(f"{one['started_at'][:16]} {one['status']}" for one in found)


def cron(model: Any) -> None:
    os.environ["AGENT_SYSTEM__TIMEZONE"] = "America/New_York"
    system = start_mira(model.url)
    engine = system["automation_engine"]
    clock = MovedClock(engine)
    settings = only(**{NIGHTLY: "30 1 * * *", OFTEN: "0 */6 * * *"})
    clock.moment = datetime(2025, 10, 31, 20, 0, tzinfo=UTC)
    first = install(system, **settings)
    FOUND["zone"] = first.memory.settings.timezone
    clock.run_until(engine, datetime(2025, 11, 2, 0, 0, tzinfo=UTC))
    first.close()
    second = install(system, **settings)  # a restart at midnight UTC
    clock.run_until(engine, datetime(2025, 11, 3, 20, 0, tzinfo=UTC))
    FOUND["autumn"] = runs(engine, NIGHTLY)
    FOUND["often"] = runs(engine, OFTEN)
    second.close()
    # In spring 02:30 does not exist; the engine stands still for three days after it.
    clock.moment = datetime(2026, 3, 7, 12, 0, tzinfo=UTC)
    third = install(system, **only(**{NIGHTLY: "30 2 * * *"}))
    look(engine)  # what was missed since autumn
    clock.run_until(engine, datetime(2026, 3, 9, 12, 0, tzinfo=UTC))
    third.close()
    clock.moment += timedelta(days=3)
    fourth = install(system, **only(**{NIGHTLY: "30 2 * * *"}))
    look(engine)
    look(engine)
    clock.run_until(engine, clock.moment + timedelta(days=1))
    FOUND["spring"] = [run for run in runs(engine, NIGHTLY) if run.startswith("2026")]
    FOUND["rows"] = sorted(row["operation"] for row in our_rows(engine))
    fourth.close()


def hold(model: Any) -> None:
    """The other MIRA: begins a job, and waits in the middle of it until it may go on, or dies in it."""
    system = start_mira(model.url)
    engine = system["automation_engine"]
    engine.stop_scheduler()
    installation = install(system, **only(**{NIGHTLY: "0 * * * *"}))

    def wait() -> None:
        Path("../held").touch()
        while not Path("../go_on").exists():
            time.sleep(0.05)
        if "die" in Path("../go_on").read_text():
            os._exit(0)

    installation.memory.runner.before = wait
    row = our_rows(engine)[0]["id"]
    engine.update_automation(row, {"next_execution_time": datetime.now(UTC) - timedelta(seconds=1)})
    executions = run_due(engine, row)
    FOUND["theirs"] = [[one["status"], engine.get_execution_details(one["id"]).result] for one in executions]
    installation.close()


def other_mira(user: str) -> subprocess.Popen[str]:
    """Start the other MIRA in a copy of its own, and wait until it holds the job."""
    shutil.rmtree("../other", ignore_errors=True)
    shutil.copytree(".", "../other", ignore=shutil.ignore_patterns("*.db"))
    for left in ("../held", "../go_on"):
        Path(left).unlink(missing_ok=True)
    command = [sys.executable, __file__, "hold", sys.argv[2], user]
    process = subprocess.Popen(command, cwd="../other", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    while not Path("../held").exists():
        assert process.poll() is None
        time.sleep(0.05)
    return process


def second_mira(model: Any) -> None:
    """Two on one database: one runs, the other waits and comes back."""
    system = start_mira(model.url)
    engine = system["automation_engine"]
    engine.stop_scheduler()
    process = other_mira(sys.argv[3])
    installation = install(system, **only(**{NIGHTLY: "0 * * * *"}))
    row = our_rows(engine)[0]["id"]

    def run_now() -> Any:
        engine.update_automation(row, {"next_execution_time": datetime.now(UTC) - timedelta(seconds=1)})
        executions = run_due(engine, row)
        return [executions[0]["status"], engine.get_execution_details(executions[0]["id"]).result]

    FOUND["while_held"] = run_now()
    Path("../go_on").write_text("go on")
    output, _ = process.communicate(timeout=60)
    FOUND["other"] = output.splitlines()[-1]
    FOUND["afterwards"] = run_now()
    with installation.memory.store.upkeep() as unit:
        state = unit.jobs.get(NIGHTLY)
        FOUND["record"] = [state.consecutive_failures, state.lease_owner, state.last_error]
    installation.close()


def ends(model: Any) -> None:
    """A job that fails, and one whose process is killed in the middle: every record of the engine ends."""
    system = start_mira(model.url)
    engine = system["automation_engine"]
    engine.stop_scheduler()
    installation = install(system, **only(**{NIGHTLY: "0 * * * *"}))
    capture = installation.memory.runner.before

    def fail() -> None:
        raise RuntimeError("the disk is on fire")

    installation.memory.runner.before = fail
    row = our_rows(engine)[0]["id"]
    engine.update_automation(row, {"next_execution_time": datetime.now(UTC) - timedelta(seconds=1)})
    failed = run_due(engine, row)
    FOUND["failed"] = [failed[0]["status"], failed[0]["error"]]
    FOUND["armed_again"] = engine.get_automation(row).next_execution_time.replace(tzinfo=UTC) > datetime.now(UTC)
    installation.memory.runner.before = capture
    installation.close()
    # The other dies in the middle; its engine's records are what this copy of MIRA starts from next.
    process = other_mira(f"{sys.argv[3]}-who-dies")
    Path("../go_on").write_text("die")
    process.wait(timeout=60)
    os.chdir("../other")
    died = start_another()
    FOUND["left"] = died["left"]
    FOUND["mended"] = died["mended"]
    FOUND["held_is_left"] = died["held_is_left"]


def start_another() -> dict[str, Any]:
    """What the next start of the MIRA that died makes of its records, in a process of its own."""
    command = [sys.executable, __file__, "after_death", sys.argv[2], f"{sys.argv[3]}-who-dies"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    lines = [line for line in done.stdout.splitlines() if line.startswith("FOUND ")]
    assert lines, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(lines[-1].removeprefix("FOUND "))
    return found


def after_death(model: Any) -> None:
    from sqlalchemy import text

    system = start_mira(model.url)
    engine = system["automation_engine"]
    engine.stop_scheduler()
    row = our_rows(engine)[0]["id"]

    def statuses() -> list[str]:
        return [one["status"] for one in engine.get_executions(row, limit=100)["executions"]]

    FOUND["left"] = statuses()
    first = install(system, **only(**{NIGHTLY: "0 * * * *"}))
    FOUND["held_is_left"] = statuses()  # its lease has not run out: it may be running elsewhere
    with first.memory.store.upkeep() as unit:
        past = text("UPDATE ltmemory.jobs SET lease_until = now() - interval '1 second' WHERE user_id = :user")
        unit.session.connection().execute(past, {"user": first.memory.store.user_id})
    first.close()
    second = install(system, **only(**{NIGHTLY: "0 * * * *"}))
    FOUND["mended"] = statuses()
    second.close()


if __name__ == "__main__":
    perform(globals())
