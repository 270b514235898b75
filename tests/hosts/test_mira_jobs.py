"""Jobs through the engine of the small host: arming, re-arming, catching up, and who sees what runs them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

from mira_ltmemory.automations.runner import JobRunner
from mira_ltmemory.errors import HostError
from mira_ltmemory.hosts.local import Execution, ExecutionStatus, HostConfig, initialize_system, shutdown
from mira_ltmemory.hosts.mira import MiraHost
from mira_ltmemory.protocols import Job, JobReport, JobRun, Json
from mira_ltmemory.services.problems import Problems

USER = uuid.UUID("00000000-0000-0000-0000-000000000001")
NEW_YORK = "America/New_York"


class Echo:
    """A tool that carries the jobs."""

    name = "echo"
    description = "Says it again."
    schema: ClassVar[Json] = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}

    def run(self, text: str) -> Json:
        return {"success": True, "text": text}


@pytest.fixture
def system(tmp_path: Path, clock: Any) -> Iterator[dict[str, Any]]:
    config = HostConfig.for_folder(tmp_path)
    config.automation.scheduler = False
    config.system.timezone = NEW_YORK
    running = initialize_system(config, llm_bridge=object(), clock=clock.now)
    yield dict(running)
    shutdown(running)


@pytest.fixture
def ran() -> list[JobRun]:
    return []


Start = Callable[..., MiraHost]


@pytest.fixture
def start(system: dict[str, Any], store: Any, clock: Any, ran: list[JobRun]) -> Start:
    def work(run: JobRun) -> JobReport:
        ran.append(run)
        return JobReport(summary="done")

    def begin(*crons: str, tools: bool = True) -> MiraHost:
        host = MiraHost(system)
        if tools:
            host.register_tool(Echo())
        jobs = [
            Job(name=f"job{number}", cron=cron, timezone=NEW_YORK, description="Works.", run=work)
            for number, cron in enumerate(crons)
        ]
        host.start_jobs(JobRunner(store, clock, Problems()), jobs, USER)
        host.start(lambda messages: [])
        return host

    return begin


def rows(system: dict[str, Any]) -> list[Json]:
    found: list[Json] = system["automation_engine"].get_automations(limit=100)["automations"]
    return found


def due(system: dict[str, Any]) -> list[datetime]:
    return [datetime.fromisoformat(row["next_execution_time"]).astimezone(UTC) for row in rows(system)]


def pass_time(system: dict[str, Any], clock: Any, ran: list[JobRun], until: datetime) -> list[datetime]:
    """Let the engine look every ten minutes, and return when jobs ran."""
    times = []
    while clock.now() < until:
        clock.advance(minutes=10)
        before = len(ran)
        system["automation_engine"].process_due()
        times += [clock.now()] * (len(ran) - before)
    return times


def executions(system: dict[str, Any]) -> list[Json]:
    engine = system["automation_engine"]
    return [one for row in rows(system) for one in engine.get_executions(row["id"], limit=1000)["executions"]]


def test_a_row_for_each_job(start: Start, system: dict[str, Any], clock: Any) -> None:
    start("0 * * * *", "30 2 * * *")
    assert [(row["frequency"], row["timezone"], row["tool_name"], row["operation"]) for row in rows(system)] == [
        ("hourly", "UTC", "echo", "job0"),
        ("hourly", "UTC", "echo", "job1"),
    ]
    assert due(system) == [datetime(2025, 5, 5, 10, 0, tzinfo=UTC), datetime(2025, 5, 6, 6, 30, tzinfo=UTC)]


@pytest.mark.parametrize("tools", [True, False], ids=["carried by a tool", "no tool is on"])
def test_runs_follow_the_cron_over_a_change_of_the_clock(
    start: Start, system: dict[str, Any], clock: Any, ran: list[JobRun], tools: bool
) -> None:
    clock.moment = datetime(2025, 11, 1, 0, 0, tzinfo=UTC)
    start("30 1 * * *", tools=tools)
    times = pass_time(system, clock, ran, datetime(2025, 11, 4, 0, 0, tzinfo=UTC))
    assert times == [
        datetime(2025, 11, 1, 5, 30, tzinfo=UTC),
        datetime(2025, 11, 2, 5, 30, tzinfo=UTC),
        datetime(2025, 11, 3, 6, 30, tzinfo=UTC),
    ]
    assert {one["status"] for one in executions(system)} == {"completed"}


def test_downtime_is_made_up_for_once(start: Start, system: dict[str, Any], clock: Any, ran: list[JobRun]) -> None:
    start("0 * * * *").close()
    system["automation_engine"].process_due()
    clock.advance(days=2)
    system["automation_engine"].process_due()  # overdue, before the plugin is there: the engine fails and goes on
    start("0 * * * *")
    for _ in range(3):
        system["automation_engine"].process_due()
    assert len(ran) == 1
    assert pass_time(system, clock, ran, clock.now() + timedelta(hours=1)) == [datetime(2025, 5, 7, 10, tzinfo=UTC)]


def test_a_restart_changes_nothing(start: Start, system: dict[str, Any], clock: Any) -> None:
    start("0 * * * *").close()
    before = rows(system)
    start("0 * * * *")
    assert [row["id"] for row in rows(system)] == [row["id"] for row in before]
    assert due(system) == [datetime(2025, 5, 5, 10, 0, tzinfo=UTC)]


def test_re_timing_and_switching_off_reach_the_engine(start: Start, system: dict[str, Any], clock: Any) -> None:
    for number in range(15):  # more than one page of the user's own
        system["automation_engine"].create_automation(
            {
                "name": f"mine {number}",
                "type": "simple_task",
                "execution_mode": "direct",
                "frequency": "daily",
                "tool_name": "weather_tool",
                "operation": "job1",
                "scheduled_time": clock.now(),
            }
        )
    start("0 * * * *", "0 3 * * *").close()
    assert len(rows(system)) == 17
    start("20 * * * *").close()
    mine = [row for row in rows(system) if row["name"].startswith("Long-term memory")]
    assert [(row["operation"], row["description"]) for row in mine] == [
        ("job0", "Works. (20 * * * *, America/New_York)")
    ]
    assert len(rows(system)) == 16
    start().close()
    assert len(rows(system)) == 15


def test_a_job_that_was_taken_out_while_it_ran_runs_when_it_is_back(
    start: Start, system: dict[str, Any], clock: Any, ran: list[JobRun]
) -> None:
    engine = system["automation_engine"]
    start("0 * * * *").close()
    (row,) = rows(system)
    engine.active_automations[row["id"]] = "a run of another process"
    start().close()  # switched off meanwhile
    assert [one["status"] for one in rows(system)] == ["archived"]
    engine.active_automations.clear()
    start("0 * * * *")
    assert [one["status"] for one in rows(system)] == ["active"]
    assert pass_time(system, clock, ran, clock.now() + timedelta(hours=1)) == [datetime(2025, 5, 5, 10, tzinfo=UTC)]


def test_a_job_that_somebody_paused_stays_paused(start: Start, system: dict[str, Any], ran: list[JobRun]) -> None:
    start("0 * * * *").close()
    (row,) = rows(system)
    system["automation_engine"].pause_automation(row["id"])
    start("0 * * * *")
    assert [one["status"] for one in rows(system)] == ["paused"]


def test_a_row_that_somebody_spoiled_is_made_anew(start: Start, system: dict[str, Any], clock: Any) -> None:
    host = start("0 * * * *")
    host.close()
    system["automation_engine"].update_automation(rows(system)[0]["id"], {"timezone": NEW_YORK, "frequency": "daily"})
    start("0 * * * *")
    assert (rows(system)[0]["frequency"], rows(system)[0]["timezone"]) == ("hourly", "UTC")
    assert due(system) == [datetime(2025, 5, 5, 10, 0, tzinfo=UTC)]


def test_a_job_captures_what_was_said(start: Start, system: dict[str, Any], clock: Any, ran: list[JobRun]) -> None:
    host = start("0 * * * *")
    taken: list[str] = []
    host._store = lambda messages: taken.extend(one.content for one in messages) or []  # type: ignore[func-returns-value]
    system["conversation"].add_message("assistant", "just said")
    pass_time(system, clock, ran, clock.now() + timedelta(minutes=40))
    assert ran and taken == ["just said"]


def offered(system: dict[str, Any]) -> set[str]:
    return {one["name"] for one in system["tool_repo"].get_all_tool_definitions()}


def test_where_a_tool_is_on_there_is_no_job_tool_at_all(start: Start, system: dict[str, Any]) -> None:
    start("0 * * * *")
    assert "ltmemory_jobs" not in system["tool_repo"].tools


def test_the_model_never_sees_the_job_tool(start: Start, system: dict[str, Any], clock: Any, ran: list[JobRun]) -> None:
    host = start("0 * * * *", tools=False)
    assert "ltmemory_jobs" in system["tool_repo"].tools
    system["tool_repo"].enable_all_tools()  # <need_tool/>
    assert "ltmemory_jobs" not in offered(system)
    while_running: list[set[str]] = []
    host._rows._runner.before = lambda: (  # type: ignore[union-attr]
        system["tool_repo"].enable_all_tools(),
        while_running.append(offered(system)),
    )
    pass_time(system, clock, ran, clock.now() + timedelta(minutes=40))
    assert len(ran) == len(while_running) == 1
    assert "ltmemory_jobs" not in while_running[0] | offered(system)


def test_the_model_cannot_run_a_job(start: Start, system: dict[str, Any], ran: list[JobRun]) -> None:
    start("0 * * * *")
    answer = system["tool_repo"].invoke_tool("echo", {"operation": "job0"})
    assert not answer["success"] and ran == []


def test_without_an_engine_automations_are_off(system: dict[str, Any], start: Start) -> None:
    system["automation_engine"] = None
    with pytest.raises(HostError, match="MIRA has no automation engine"):
        start("0 * * * *")


def test_an_engine_that_fails_is_our_error(system: dict[str, Any], start: Start) -> None:
    system["automation_engine"] = object()
    with pytest.raises(HostError, match="automation engine failed"):
        start("0 * * * *")


def test_a_job_that_fails_is_failed_in_the_engine_and_armed_again(
    start: Start, system: dict[str, Any], clock: Any, ran: list[JobRun]
) -> None:
    host = start("0 * * * *")
    host._rows._runner.before = lambda: 1 / 0  # type: ignore[union-attr]
    pass_time(system, clock, ran, clock.now() + timedelta(minutes=40))
    record = executions(system)[-1]
    assert (record["status"], "division by zero" in record["error"]) == ("failed", True)
    assert clock.now() < due(system)[0] <= datetime(2025, 5, 5, 11, 0, tzinfo=UTC)


def left_running(system: dict[str, Any], clock: Any) -> str:
    """A record as a process leaves it that is killed in the middle of a run."""
    run = Execution(rows(system)[0]["id"], clock.now(), status=ExecutionStatus.RUNNING, started_at=clock.now())
    system["automation_engine"].db.save_run(run)
    return run.id


@pytest.mark.parametrize("when", ["at the next start", "at the next run"])
def test_a_record_that_a_killed_process_left_running_is_ended(
    start: Start, system: dict[str, Any], clock: Any, ran: list[JobRun], when: str
) -> None:
    host = start("0 * * * *")
    left = left_running(system, clock)
    if when == "at the next start":
        host.close()
        start("0 * * * *")
    else:
        pass_time(system, clock, ran, clock.now() + timedelta(minutes=40))
    record = next(one for one in executions(system) if one["id"] == left)
    assert (record["status"], record["error"]) == ("failed", "The process ended in the middle of the run.")
    assert "running" not in {one["status"] for one in executions(system)}


def test_of_two_miras_one_runs_and_one_waits(
    start: Start, system: dict[str, Any], store: Any, clock: Any, ran: list[JobRun]
) -> None:
    host = start("0 * * * *")
    runner = host._rows._runner  # type: ignore[union-attr]
    clock.moment = datetime(2025, 5, 5, 10, 0, tzinfo=UTC)
    with store.upkeep() as unit:
        assert unit.jobs.take_lease("job0", "another MIRA", clock.now(), timedelta(minutes=45))
    left = left_running(system, clock)
    pass_time(system, clock, ran, clock.now() + timedelta(minutes=30))
    statuses = {one["id"]: one["status"] for one in executions(system)}
    # What may still run elsewhere is left as it is.
    assert ran == [] and statuses.pop(left) == "running" and set(statuses.values()) == {"completed"}
    with store.upkeep() as unit:
        unit.jobs.finish("job0", "another MIRA", clock.now(), next_run_at=clock.now(), report={"summary": "theirs"})
    assert not runner.is_running("job0")
    pass_time(system, clock, ran, datetime(2025, 5, 5, 10, 50, tzinfo=UTC))
    assert ran == []  # the other ran it for ten o'clock
    pass_time(system, clock, ran, datetime(2025, 5, 5, 11, 10, tzinfo=UTC))
    assert len(ran) == 1
