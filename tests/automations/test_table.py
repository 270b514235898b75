from __future__ import annotations

import pytest

from mira_ltmemory.automations.table import DESCRIPTIONS, build_jobs
from mira_ltmemory.config import AutomationSettings, MemoryConfig
from mira_ltmemory.protocols import JobFunction, JobReport

FUNCTIONS: dict[str, JobFunction] = {name: lambda run: JobReport(summary="done") for name in DESCRIPTIONS}


def test_every_automation_that_can_be_set_is_in_the_table() -> None:
    assert list(DESCRIPTIONS) == list(AutomationSettings.model_fields)


def test_cron_and_time_zone_come_from_the_settings() -> None:
    settings = MemoryConfig(timezone="Europe/Berlin", automations={"health_check": {"cron": "15 4 * * *"}})
    jobs = {job.name: job for job in build_jobs(settings, FUNCTIONS)}
    assert (jobs["health_check"].cron, jobs["health_check"].timezone) == ("15 4 * * *", "Europe/Berlin")
    assert jobs["process_conversations"].cron == "0 * * * *"


def test_a_job_that_is_switched_off_is_left_out() -> None:
    every = [job.name for job in build_jobs(MemoryConfig(), FUNCTIONS)]
    settings = MemoryConfig(automations={"health_check": False})
    assert [job.name for job in build_jobs(settings, FUNCTIONS)] == [name for name in every if name != "health_check"]
    assert {"process_conversations", "health_check", "weekly_review"} <= set(every)


def test_heavy_jobs_are_marked() -> None:
    heavy = {job.name for job in build_jobs(MemoryConfig(), FUNCTIONS) if job.heavy}
    assert "weekly_review" in heavy and "process_conversations" not in heavy


def test_a_job_without_a_function_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        build_jobs(MemoryConfig(), {})
