from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mira_ltmemory.automations.retry import retry_at
from mira_ltmemory.automations.runner import LEASE, JobRunner
from mira_ltmemory.automations.schedule import next_run
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
    assert again == clock.now() + LEASE
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


def test_a_job_that_failed_is_tried_again_soon_and_then_ever_more_rarely(
    make: Any, store: Any, clock: Any, work: Work
) -> None:
    runner = make("0 2 * * *")
    work.error = ValueError("odd")
    waits: list[float] = []
    for _ in range(6):
        began, tries = clock.now(), len(work.runs)
        assert runner.run("tidy")["success"] is False and len(work.runs) == tries + 1
        again = runner.next_run_at("tidy")
        assert state(store).next_run_at == again
        for held in (runner, make("0 2 * * *")):  # also after a restart, and for a worker that is called every minute
            ((schedule,), _) = held.declare()
            assert (schedule.next_run_at, schedule.catching_up) == (again, True)
            assert held.run("tidy")["skipped"] and held.next_run_at("tidy") == again
        assert len(work.runs) == tries + 1
        waits.append((again - began).total_seconds() / 60)
        clock.moment = again
    assert waits == [5, 15, 45, 135, 360, 360]
    work.error = None
    assert runner.run("tidy") == DONE
    assert runner.next_run_at("tidy") == datetime(2025, 5, 6, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("cron", "failures", "minutes"),
    [("* * * * *", 1, 5), ("* * * * *", 9, 5), ("0 * * * *", 2, 15), ("0 * * * *", 3, 30), ("0 0 * * 0", 99, 1440)],
)
def test_a_regular_run_takes_the_place_of_a_later_try(cron: str, failures: int, minutes: int) -> None:
    failed_at = datetime(2025, 5, 5, 9, 30, tzinfo=UTC)
    assert retry_at(cron, "UTC", failed_at, failures) - failed_at == timedelta(minutes=minutes)


@given(
    cron=st.sampled_from(["* * * * *", "0 * * * *", "0 2 * * *", "0 0 * * 0", "30 1 1 * *"]),
    zone=st.sampled_from(["UTC", "America/New_York"]),
    failed_at=st.datetimes(datetime(2023, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC)),
    failures=st.integers(1, 1000),
)
def test_a_try_is_never_sooner_than_five_minutes_and_never_far_after_the_regular_run(
    cron: str, zone: str, failed_at: datetime, failures: int
) -> None:
    again = retry_at(cron, zone, failed_at, failures)
    regular = next_run(cron, zone, failed_at)
    assert failed_at + timedelta(minutes=5) <= again <= max(regular, failed_at + timedelta(minutes=5))
    assert retry_at(cron, zone, failed_at, failures + 1) >= again


def test_runs_that_are_killed_are_failures_too(make: Any, store: Any, clock: Any, problems: Problems) -> None:
    runner = make("0 2 * * *")
    runner.declare()
    for _ in range(2):
        with store.upkeep() as unit:
            assert unit.jobs.take_lease("tidy", "dead", clock.now(), LEASE)
        clock.advance(minutes=5)
    assert runner.run("tidy")["skipped"], "killed twice: it waits before it tries a third time"
    clock.moment = runner.next_run_at("tidy")
    runner.before = lambda: seen.append((problems.all(), state(store).consecutive_failures))
    seen: list[Any] = []
    assert runner.run("tidy") == DONE
    (told, failures) = seen[0]
    assert failures == 2 and "failed 2 times in a row: Its last run was not ended" in told["job tidy"]
    assert problems.all() == {} and state(store).consecutive_failures == 0


def test_failures_are_told_again_after_a_restart(make: Any, store: Any, clock: Any, work: Work) -> None:
    work.error = ValueError("odd")
    for _ in range(2):
        make().run("tidy")
        clock.advance(minutes=20)
    fresh = Problems()
    job = Job(name="tidy", cron="0 * * * *", timezone="UTC", description="Tidies.", run=work)
    runner = JobRunner(store, clock, fresh, [job])
    runner.declare()
    assert fresh.all() == {"job tidy": "The job tidy failed 2 times in a row: ValueError: odd"}
    work.error = None
    clock.advance(hours=1)
    assert make().run("tidy") == DONE
    assert runner.run("tidy")["skipped"] and fresh.all() == {}, "another process has mended it"


def test_a_long_run_keeps_its_lease(make: Any, store: Any, clock: Any) -> None:
    long, other = make(owner="long", lease=timedelta(milliseconds=150)), make(owner="other")
    other.declare()
    answers: list[Any] = []

    def work(run: JobRun) -> JobReport:
        clock.advance(hours=2)
        deadline = time.monotonic() + 20
        while state(store).lease_until <= clock.now() and time.monotonic() < deadline:
            time.sleep(0.02)
        answers.append((other.run("tidy"), run.may_go_on()))
        return JobReport(summary="done", counts={"things": 3})

    long.add(Job(name="tidy", cron="0 * * * *", timezone="UTC", description="Tidies.", run=work))
    assert long.run("tidy") == DONE
    ((waited, own),) = answers
    assert own and waited["skipped"] and "Another process" in waited["report"]["summary"]


def test_a_run_that_was_taken_over_is_told_and_ends_nothing(make: Any, store: Any, clock: Any) -> None:
    slept = make(owner="slept", lease=timedelta(milliseconds=150))
    slept.declare()

    def work(run: JobRun) -> JobReport:
        with store.upkeep() as unit:  # as if the machine had slept, and another had begun meanwhile
            unit.jobs.execute("UPDATE ltmemory.jobs SET lease_owner = 'other' WHERE user_id = :user_id")
        deadline = time.monotonic() + 20
        while run.may_go_on() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not run.may_go_on()
        return JobReport(summary="given up")

    slept.add(Job(name="tidy", cron="0 * * * *", timezone="UTC", description="Tidies.", run=work))
    slept.run("tidy")
    assert (state(store).lease_owner, state(store).last_success_at) == ("other", None)


def test_a_heavy_job_waits_until_the_user_is_away(make: Any, store: Any, clock: Any, work: Work) -> None:
    seen = clock.now() - timedelta(minutes=3)
    job = Job(name="tidy", cron="0 9 * * *", timezone="UTC", description="Tidies.", run=work, heavy=True)
    runner = JobRunner(store, clock, Problems(), [job], last_activity=lambda: seen, quiet=timedelta(minutes=10))
    put_off = runner.run("tidy")
    assert put_off["skipped"] and "while the user is there" in put_off["report"]["summary"] and not work.runs
    assert runner.next_run_at("tidy") == clock.now() + timedelta(minutes=7)
    assert runner.run("tidy", force=True) == DONE
    clock.advance(days=1)
    seen = clock.now() - timedelta(minutes=10)
    assert runner.run("tidy") == DONE
    clock.advance(days=1, hours=3)
    seen = clock.now()
    assert runner.run("tidy") == DONE, "it was due long enough"


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


def test_a_run_that_may_not_be_wanted_waits_for_nobody_and_leaves_no_trace(make: Any, store: Any) -> None:
    begun, go_on, runs = threading.Event(), threading.Event(), []

    def slow(run: JobRun) -> JobReport:
        runs.append(run)
        begun.set()
        assert go_on.wait(20)
        return JobReport(summary="done", counts={})

    here, elsewhere = make(), make()
    for runner in (here, elsewhere):
        runner.add(Job(name="tidy", cron="0 * * * *", timezone="UTC", description="Tidies.", run=slow))
    under_way = threading.Thread(target=here.run, args=("tidy",))
    under_way.start()
    assert begun.wait(20)
    try:
        for runner in (here, elsewhere):
            assert runner.run("tidy", only_if=lambda _unit: True)["skipped"]
    finally:
        go_on.set()
        under_way.join()
    before = state(store)
    again = elsewhere.next_run_at("tidy")
    for runner in (here, elsewhere):
        assert runner.run("tidy", only_if=lambda _unit: False)["skipped"]
    after = state(store)
    assert (after.lease_owner, after.last_started_at) == (None, before.last_started_at) and len(runs) == 1
    assert elsewhere.next_run_at("tidy") == again, "what it waits for stays"
    assert here.run("tidy", only_if=lambda unit: unit.jobs.get("tidy") is not None)["report"]["summary"] == "done"
    assert len(runs) == 2


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
