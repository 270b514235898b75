"""The automation engine of the small host, quirks included. Each was seen on MIRA 3e1a230."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from mira_ltmemory.hosts.local import AutomationEngine, ManualClock, ToolError, ToolRepository

NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)  # a Monday


class JobTool:
    name = "ltmemory"
    description = "Runs jobs"

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.result: Any = {"success": True}
        self.engine: AutomationEngine | None = None
        self.rearm: datetime | None = None

    def get_dependencies(self) -> list[str]:
        return []

    def get_metadata(self) -> dict[str, Any]:
        return {"name": self.name, "description": "", "parameters": {}, "required_parameters": []}

    def run(self, operation: str, **parameters: Any) -> Any:
        self.calls.append((operation, parameters))
        try:
            if isinstance(self.result, Exception):
                raise self.result
            return self.result
        finally:
            if self.rearm is not None and self.engine is not None:
                assert not self.engine.delete_automation("job")
                self.engine.update_automation("job", {"next_execution_time": self.rearm})


class Bench:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "automations.db"
        self.clock = ManualClock(NOON)
        self.tool = JobTool()
        self.engine = self.open(self.tool)

    def open(self, *tools: Any) -> AutomationEngine:
        repo = ToolRepository()
        for tool in tools:
            repo.register_tool(tool)
        engine = AutomationEngine(repo, db_path=self.path, clock=self.clock)
        self.tool.engine = engine
        return engine

    def create(self, **changes: Any) -> Any:
        job: dict[str, Any] = {
            "id": "job",
            "name": "a job",
            "type": "simple_task",
            "execution_mode": "direct",
            "tool_name": "ltmemory",
            "operation": "go",
            "parameters": {"n": 1},
            "frequency": "hourly",
            "scheduled_time": NOON.isoformat(),
            "timezone": "UTC",
        }
        return self.engine.create_automation(job | changes)

    def run(self, **changes: Any) -> dict[str, Any]:
        self.create(**changes)
        self.engine.process_due()
        execution: dict[str, Any] = self.engine.get_executions("job")["executions"][0]
        return execution

    @property
    def next(self) -> datetime:
        job = self.engine.get_automation("job")
        assert job is not None
        assert job.next_execution_time is not None
        return job.next_execution_time


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.engine.join()


def naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)


def test_a_due_job_calls_its_tool_and_enables_it(bench: Bench) -> None:
    assert not bench.engine.tool_repo.is_tool_enabled("ltmemory")
    execution = bench.run()
    assert execution["status"] == "completed"
    assert bench.tool.calls == [("go", {"n": 1})]
    assert bench.engine.tool_repo.is_tool_enabled("ltmemory")
    assert bench.next == naive(NOON + timedelta(hours=1))
    assert bench.engine.process_due() == []
    assert bench.engine.process_due(NOON + timedelta(hours=1)) == ["job"]
    details = bench.engine.get_execution_details(execution["id"])
    assert details is not None
    assert details.result == {"success": True}


def test_jobs_and_records_survive_a_restart(bench: Bench) -> None:
    bench.run()
    again = bench.open(JobTool())
    job = again.get_automation("job")
    assert job is not None
    assert (job.name, job.status, job.execution_count, job.parameters) == ("a job", "active", 1, {"n": 1})
    assert again.get_executions("job")["total"] == 1


def test_moments_come_back_naive(bench: Bench) -> None:
    assert bench.create().next_execution_time == naive(NOON)


def test_a_taken_id_is_an_integrity_error_in_a_tool_error(bench: Bench) -> None:
    bench.create()
    with pytest.raises(ToolError, match="UNIQUE constraint failed") as caught:
        bench.create()
    assert isinstance(caught.value.__cause__, sqlite3.IntegrityError)


@pytest.mark.parametrize(
    "changes",
    [
        {"scheduled_time": "09:30"},
        {"scheduled_time": None},
        {"frequency": "cron"},
        {"type": "conditional"},
        {"execution_mode": None},
        {"tool_name": None},
        {"name": ""},
        {"frequency": "weekly"},
    ],
)
def test_bad_definitions_are_refused(bench: Bench, changes: dict[str, Any]) -> None:
    with pytest.raises(ToolError, match="TOOL_INVALID_INPUT"):
        bench.create(**changes)


def test_a_time_without_zone_is_local_and_next_time_is_taken(bench: Bench) -> None:
    bench.create(scheduled_time="2026-01-06T10:00:00", timezone="America/Chicago")
    assert bench.next == datetime(2026, 1, 6, 16, 0)
    later = NOON + timedelta(days=3)
    assert bench.create(id="b", next_execution_time=later.isoformat()).next_execution_time == naive(later)
    assert bench.create(id="c", scheduled_time=NOON).scheduled_time == naive(NOON)


def test_a_next_time_outside_utc_is_stored_wrong(bench: Bench) -> None:
    elsewhere = datetime(2026, 1, 6, 10, 0, tzinfo=timezone(timedelta(hours=-6)))
    assert bench.create(next_execution_time=elsewhere).next_execution_time == datetime(2026, 1, 6, 10, 0)


@pytest.mark.parametrize("failing", [False, True])
def test_a_rearm_while_running_wins(bench: Bench, failing: bool) -> None:
    bench.tool.rearm = NOON + timedelta(minutes=17)
    bench.tool.result = RuntimeError("boom") if failing else None
    assert bench.run()["status"] == ("failed" if failing else "completed")
    assert bench.next == naive(bench.tool.rearm)
    assert bench.engine.delete_automation("job")


@pytest.mark.parametrize("result", [{"when": NOON}, {"set": {1}}])
def test_a_result_beyond_json_runs_for_ever(bench: Bench, result: Any) -> None:
    bench.tool.result = result
    execution = bench.run()
    assert execution["status"] == "running"
    assert execution["completed_at"] is None
    assert bench.next == naive(NOON + timedelta(hours=1))
    assert bench.engine.active_automations == {}


@pytest.mark.parametrize("result", [[1], "text", 5, []])
def test_a_result_that_is_no_dict_fails(bench: Bench, result: Any) -> None:
    bench.tool.result = result
    execution = bench.run()
    assert execution["status"] == "failed"
    assert "type" in execution["error"]


def test_secrets_are_redacted(bench: Bench) -> None:
    bench.tool.result = RuntimeError("token abc")
    assert bench.run()["error"].endswith("[REDACTED SENSITIVE INFORMATION]")


def test_an_overdue_job_before_registration_fails_and_is_pushed_on(bench: Bench) -> None:
    bench.create(next_execution_time=NOON - timedelta(days=1))
    early = bench.open()
    early.check_interval = 3600
    early.start_scheduler()
    early.tool_repo.register_tool(bench.tool)
    [execution] = early.get_executions("job")["executions"]
    assert execution["status"] == "failed"
    assert "TOOL_NOT_FOUND" in execution["error"]
    assert early.process_due() == []
    assert bench.next > naive(NOON)
    assert early.scheduler_running
    early.stop_scheduler()
    assert early.scheduler_thread is None


def test_the_background_thread_runs_due_jobs(bench: Bench) -> None:
    bench.engine.check_interval = 0.005
    bench.create(next_execution_time=NOON + timedelta(minutes=1))
    ran = threading.Event()
    bench.tool.run = lambda operation, **parameters: ran.set()  # type: ignore[method-assign]
    bench.engine.start_scheduler()
    assert not ran.is_set()
    bench.clock.advance(minutes=1)
    assert ran.wait(5)
    bench.engine.stop_scheduler()


def test_cleanup_is_called_on_all_enabled_tools(bench: Bench) -> None:
    class Cleaned(JobTool):
        name = "other"
        cleaned = 0

        def cleanup(self) -> None:
            self.cleaned += 1
            raise RuntimeError("and its failure is swallowed")

    other = Cleaned()
    bench.engine.tool_repo.register_tool(other)
    bench.run()
    assert other.cleaned == 0
    bench.engine.tool_repo.enable_tool("other")
    bench.engine.process_due(NOON + timedelta(hours=1))
    assert other.cleaned == 1


def test_lists_have_ten_to_a_page(bench: Bench) -> None:
    for number in range(12):
        bench.create(id=f"job{number}")
    page = bench.engine.get_automations()
    assert (page["count"], page["total"], len(page["automations"])) == (10, 12, 10)
    assert bench.engine.get_automations(limit=50)["count"] == 12
    assert bench.engine.get_automations(status="paused")["total"] == 0
    assert page["automations"][0]["status"] == "active"
    assert page["automations"][0]["next_execution_time"] == NOON.isoformat()


def test_update_keeps_the_rest_in_utc_and_shifts_it_elsewhere(bench: Bench) -> None:
    bench.create(user_id="anna")
    updated = bench.engine.update_automation("job", {"description": "new"})
    assert updated is not None
    job = bench.engine.get_automation("job")
    assert job is not None
    assert (job.description, job.version, job.user_id) == ("new", 2, "anna")
    assert job.scheduled_time == job.next_execution_time == naive(NOON)
    bench.create(id="far", timezone="America/Chicago")
    bench.engine.update_automation("far", {"description": "new"})
    far = bench.engine.get_automation("far")
    assert far is not None
    assert far.scheduled_time == far.next_execution_time == naive(NOON - timedelta(hours=6))


def test_update_refuses_sequences_and_nonsense(bench: Bench) -> None:
    assert bench.engine.update_automation("ghost", {}) is None
    bench.create(id="steps", type="sequence", steps=[{"name": "one"}])
    with pytest.raises(ToolError, match="sequence"):
        bench.engine.update_automation("steps", {"name": "new"})
    bench.create()
    for bad in ({"name": ""}, {"frequency": "cron"}):
        with pytest.raises(ToolError):
            bench.engine.update_automation("job", dict(bad))


def test_update_takes_a_time_of_day_and_empties_no_moment(bench: Bench) -> None:
    bench.create()
    bench.engine.update_automation("job", {"next_execution_time": None})
    assert bench.next == naive(NOON)
    updated = bench.engine.update_automation("job", {"scheduled_time": "09:30"})
    assert updated is not None
    assert updated.scheduled_time == NOON.replace(hour=9, minute=30) + timedelta(days=1)
    assert bench.next == naive(NOON + timedelta(minutes=30))


def test_a_change_of_schedule_overrides_the_next_time_that_was_passed(bench: Bench) -> None:
    bench.create()
    bench.engine.update_automation("job", {"timezone": "UTC", "next_execution_time": NOON + timedelta(days=9)})
    assert bench.next == naive(NOON + timedelta(hours=1))


def test_pause_and_resume(bench: Bench) -> None:
    bench.create()
    assert bench.engine.resume_automation("job")["success"]
    assert bench.engine.pause_automation("job")
    assert bench.engine.process_due() == []
    with pytest.raises(ToolError, match="paused"):
        bench.engine.execute_now("job")
    with pytest.raises(TypeError, match="offset-naive"):
        bench.engine.resume_automation("job")
    assert not bench.engine.pause_automation("ghost")
    assert not bench.engine.resume_automation("ghost")["success"]
    bench.engine.update_automation("job", {"status": "active"})
    assert bench.engine.process_due() == ["job"]


def test_execute_now_returns_a_record_that_stays_pending(bench: Bench) -> None:
    bench.create(next_execution_time=NOON + timedelta(days=1))
    pending = bench.engine.execute_now("job")
    bench.engine.join()
    listed = {one["id"]: one["status"] for one in bench.engine.get_executions("job")["executions"]}
    assert listed.pop(pending.id) == "pending"
    assert list(listed.values()) == ["completed"]
    with pytest.raises(ToolError, match="not found"):
        bench.engine.execute_now("ghost")


def test_once_is_completed(bench: Bench) -> None:
    bench.run(frequency="once")
    job = bench.engine.get_automation("job")
    assert job is not None
    assert job.status == "completed"


@pytest.mark.parametrize(
    ("changes", "due"),
    [
        ({"frequency": "daily", "scheduled_time": "2026-01-05T10:00:00+00:00"}, datetime(2026, 1, 6, 10)),
        # stored as 16:00 UTC, read as 16:00 in Chicago, which is 22:00 UTC
        (
            {"frequency": "daily", "scheduled_time": "2026-01-05T10:00:00", "timezone": "America/Chicago"},
            datetime(2026, 1, 5, 22),
        ),
        ({"frequency": "minutely"}, datetime(2026, 1, 5, 12, 1)),
        # the same day, in the past: it is due at once, all day long
        ({"frequency": "weekly", "day_of_week": 0}, datetime(2026, 1, 5, 12)),
        ({"frequency": "custom", "custom_schedule": "every 2 hours"}, datetime(2026, 1, 5, 14)),
        ({"frequency": "custom", "custom_schedule": "now and then"}, datetime(2026, 1, 6, 12)),
        ({"frequency": "hourly", "max_executions": 1}, datetime(2026, 1, 5, 11)),
    ],
)
def test_native_schedules_and_their_quirks(bench: Bench, changes: dict[str, Any], due: datetime) -> None:
    bench.run(**({"next_execution_time": NOON - timedelta(hours=1)} | changes))
    assert bench.next == due


@pytest.mark.parametrize(
    "changes", [{"frequency": "monthly", "day_of_month": 5}, {"end_time": "2027-01-01T00:00:00+00:00"}]
)
def test_some_schedules_never_reach_the_tool(bench: Bench, changes: dict[str, Any]) -> None:
    assert bench.run(**changes)["status"] == "running"
    assert bench.tool.calls == []
    assert bench.engine.process_due() == ["job"]


def test_orchestrated_jobs_are_dead(bench: Bench) -> None:
    assert bench.run(execution_mode="orchestrated", task_description="x")["status"] == "failed"
