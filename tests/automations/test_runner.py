from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mira_ltmemory.automations.runner import JobRunner
from mira_ltmemory.errors import StoreUnavailable
from mira_ltmemory.protocols import Actor, Job, JobReport, JobRun
from mira_ltmemory.services.problems import Problems


class Work:
    """A job that remembers its runs and fails on command."""

    def __init__(self) -> None:
        self.runs: list[JobRun] = []
        self.error: Exception | None = None

    def __call__(self, run: JobRun) -> JobReport:
        self.runs.append(run)
        if self.error is not None:
            raise self.error
        return JobReport(summary="done", counts={"things": 3})


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def problems() -> Problems:
    return Problems()


@pytest.fixture
def make(store: Any, clock: Any, work: Work, problems: Problems) -> Callable[..., JobRunner]:
    def runner(cron: str = "0 * * * *", **options: Any) -> JobRunner:
        job = Job(name="tidy", cron=cron, timezone="UTC", description="Tidies.", run=work)
        return JobRunner(store, clock, problems, [job], **options)

    return runner


def state(store: Any) -> Any:
    with store.read() as unit:
        return unit.jobs.get("tidy")


DONE = {"success": True, "job": "tidy", "report": {"summary": "done", "counts": {"things": 3}}}


def test_a_run_is_told_what_it_is_for_and_recorded(make: Any, store: Any, work: Work) -> None:
    runner = make()
    runner.declare()
    assert runner.run("tidy") == DONE
    (run,) = work.runs
    assert run.scheduled_for == datetime(2025, 5, 5, 9, 0, tzinfo=UTC)
    assert (run.change.actor, run.change.tool) == (Actor.AUTOMATION, "tidy")
    found = state(store)
    assert found.last_success_at == datetime(2025, 5, 5, 9, 30, tzinfo=UTC)
    assert found.next_run_at == datetime(2025, 5, 5, 10, 0, tzinfo=UTC)
    assert (found.last_report, found.lease_owner) == (DONE["report"], None)


def test_a_due_time_is_run_once(make: Any, clock: Any, work: Work) -> None:
    first, second = make(), make()
    assert first.run("tidy") == DONE
    skipped = second.run("tidy")
    assert skipped["success"] and skipped["skipped"] and "Nothing to do" in skipped["report"]["summary"]
    assert second.run("tidy", force=True) == DONE
    clock.advance(hours=1)
    assert second.run("tidy") == DONE
    assert len(work.runs) == 3


def test_another_process_waits_while_one_runs(make: Any, clock: Any, work: Work) -> None:
    first, second = make(owner="one"), make(owner="two")
    second.declare()
    seen: list[Any] = []
    first.before = lambda: seen.append((second.run("tidy"), second.next_run_at("tidy")))
    assert first.run("tidy") == DONE
    ((waited, again),) = seen
    assert waited["skipped"] and "Another process" in waited["report"]["summary"] and len(work.runs) == 1
    assert again == clock.now() + timedelta(minutes=30)
    assert second.next_run_at("tidy") == again
    clock.advance(minutes=30)
    second.run("tidy")
    assert second.next_run_at("tidy") == datetime(2025, 5, 5, 11, 0, tzinfo=UTC)


def test_a_process_that_died_keeps_the_job_for_as_long_as_its_lease(make: Any, store: Any, clock: Any) -> None:
    runner = make()
    runner.declare()
    with store.upkeep() as unit:
        assert unit.jobs.take_lease("tidy", "dead", clock.now(), timedelta(minutes=30))
    assert runner.run("tidy")["skipped"]
    clock.advance(minutes=30)
    assert runner.run("tidy") == DONE


def test_failures_are_recorded_and_told_from_the_second_on(
    make: Any, store: Any, clock: Any, work: Work, problems: Problems
) -> None:
    runner = make()
    work.error = ValueError("odd")
    failed = {"success": False, "job": "tidy", "error": "ValueError: odd"}
    assert runner.run("tidy") == failed and problems.all() == {}
    clock.advance(hours=1)
    assert runner.run("tidy") == failed
    assert problems.all() == {"job tidy": "The job tidy failed 2 times in a row: ValueError: odd"}
    assert (state(store).last_error, state(store).lease_owner) == ("ValueError: odd", None)
    work.error = None
    clock.advance(hours=1)
    assert runner.run("tidy") == DONE and problems.all() == {}


def test_an_unknown_job_is_answered(make: Any) -> None:
    assert make().run("other") == {"success": False, "job": "other", "error": "There is no job 'other'. Jobs: tidy."}


def test_a_database_that_is_away_is_answered(clock: Any, work: Work, problems: Problems) -> None:
    class Away:
        def upkeep(self) -> Any:
            raise StoreUnavailable

    job = Job(name="tidy", cron="0 * * * *", timezone="UTC", description="Tidies.", run=work)
    runner = JobRunner(Away(), clock, problems, [job])
    assert runner.run("tidy")["success"] is False
    assert runner.next_run_at("tidy") == datetime(2025, 5, 5, 10, 0, tzinfo=UTC)


def test_many_missed_runs_are_made_up_for_once(make: Any, clock: Any, work: Work) -> None:
    runner = make()
    ((first,), gone) = runner.declare()
    assert (first.next_run_at, first.catching_up, gone) == (datetime(2025, 5, 5, 10, 0, tzinfo=UTC), False, [])
    runner.run("tidy")
    now = clock.advance(days=3)
    ((again,), _) = make().declare()
    assert (again.next_run_at, again.catching_up) == (now, True)
    assert make().run("tidy") == DONE
    assert make().declare()[0][0].catching_up is False


def test_a_run_that_never_came_off_is_made_up_for(make: Any, clock: Any) -> None:
    make().declare()
    clock.advance(days=1)
    assert make().declare()[0][0].catching_up


def test_a_job_that_is_re_timed_has_not_missed_what_its_new_times_would_have_been(make: Any, clock: Any) -> None:
    make("0 9 * * *").run("tidy")
    ((schedule,), _) = make("20 9 * * *").declare()
    assert (schedule.catching_up, schedule.next_run_at) == (False, datetime(2025, 5, 6, 9, 20, tzinfo=UTC))


def test_a_run_that_ends_late_does_not_count_for_the_next_time(make: Any, clock: Any, work: Work) -> None:
    runner = make()
    runner.before = lambda: clock.advance(minutes=45)
    runner.run("tidy")
    runner.before = lambda: None
    assert clock.now() == datetime(2025, 5, 5, 10, 15, tzinfo=UTC)
    assert runner.run("tidy") == DONE


def test_a_job_that_is_no_more_is_forgotten(make: Any, store: Any, clock: Any, problems: Problems) -> None:
    make().declare()
    assert JobRunner(store, clock, problems).declare() == ([], ["tidy"])


def test_two_threads_of_one_process_do_not_run_a_job_at_once(make: Any, work: Work) -> None:
    runner = make()
    threads = [threading.Thread(target=runner.run, args=("tidy",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(work.runs) == 1


def test_no_secret_of_a_jobs_text_is_kept(memory: Any, clock: Any) -> None:
    token = "ghp_" + "a1B2c3D4" * 4 + "e5F6"

    def fail(_run: JobRun) -> JobReport:
        raise ValueError(f"refused {token}")

    def report(_run: JobRun) -> JobReport:
        return JobReport(summary=f"used {token}")

    for name, run in (("fail", fail), ("report", report)):
        memory.runner.add(Job(name=name, cron="0 * * * *", timezone="UTC", description="", run=run))
    memory.runner.declare()
    answers = [memory.runner.run(name, force=True) for name in ("fail", "fail", "report")]
    assert [answer["success"] for answer in answers] == [False, False, True]
    with memory.store.read() as unit:
        kept = [(job.last_error, job.last_report) for job in unit.jobs.all()]
    assert token not in f"{answers} {kept} {memory.problems.all()}"
    assert "[redacted: " in str(kept)
