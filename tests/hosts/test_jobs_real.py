"""Jobs in the real MIRA's engine. Twins: test_mira_jobs.py."""

from __future__ import annotations

import json
from typing import Any


def test_jobs_follow_their_cron_over_changes_of_the_clock_restarts_and_downtime(play: Any) -> None:
    found = play("cron", "scenario_jobs")
    assert found["zone"] == "America/New_York"
    # 01:30 comes twice on November 2nd and fires once, the first time; from then on it is an hour later in UTC.
    assert found["autumn"] == [
        "2025-11-01T05:30 completed",
        "2025-11-02T05:30 completed",
        "2025-11-03T06:30 completed",
    ]
    # Every sixth hour on the wall: 04, 10, 16, 22 UTC in summer, an hour later in winter.
    summer = [f"2025-{day}T{hour}:00" for day in ("10-31", "11-01") for hour in ("04", "10", "16", "22")]
    winter = ["2025-11-02T04:00", *(f"2025-11-02T{hour}:00" for hour in ("11", "17", "23"))]
    last = [f"2025-11-03T{hour}:00" for hour in ("05", "11", "17")]
    assert found["often"] == [f"{moment} completed" for moment in [*summer[3:], *winter, *last]]
    # Missed since autumn: once. 02:30 does not exist on March 8th and fires at 03:30. Three days down: once.
    assert found["spring"] == [
        "2026-03-07T12:00 completed",
        "2026-03-08T07:30 completed",
        "2026-03-09T06:30 completed",
        "2026-03-12T12:00 completed",
        "2026-03-13T06:30 completed",
    ]
    assert found["rows"] == ["process_conversations"]


def test_of_two_miras_one_runs_and_one_waits(play: Any) -> None:
    found = play("second_mira", "scenario_jobs")
    status, result = found["while_held"]
    assert status == "completed" and result["skipped"] and "Another process runs it" in result["report"]["summary"]
    ((theirs, report),) = json.loads(found["other"].removeprefix("FOUND "))["theirs"]
    assert theirs == "completed" and report["success"] and "skipped" not in report
    status, result = found["afterwards"]
    assert status == "completed" and result["skipped"] and "Nothing to do" in result["report"]["summary"]
    assert found["record"] == [0, None, None]


def test_every_record_of_the_engine_ends(play: Any) -> None:
    found = play("ends", "scenario_jobs")
    assert found["failed"][0] == "failed" and "the disk is on fire" in found["failed"][1]
    assert found["armed_again"]
    assert found["left"] == ["running"] and found["held_is_left"] == ["running"] and found["mended"] == ["failed"]
