"""The host adapter inside the real MIRA, where a checkout is at hand.

``MIRA_ROOT`` names a checkout of taylorsatula/mira at 3e1a230 or 23a3a17, ``MIRA_PYTHON`` a Python that has
MIRA's requirements and ours (default: this one). Everything asserted here has a twin against the small host.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mira_ltmemory

ROOT = os.environ.get("MIRA_ROOT")
PYTHON = os.environ.get("MIRA_PYTHON", sys.executable)
HERE = Path(__file__).parent / "real"

pytestmark = pytest.mark.skipif(ROOT is None, reason="MIRA_ROOT names no checkout of MIRA")

Play = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory, postgres_dir: Path) -> Play:
    """Runs a scenario in a fresh copy of MIRA and returns what it found."""

    def run(name: str) -> dict[str, Any]:
        place = tmp_path_factory.mktemp(name)
        shutil.copytree(str(ROOT), place / "mira", ignore=shutil.ignore_patterns("*.png", "*.db", ".git"))
        # Our package alone: the repository's root would hide MIRA's own `tools`.
        (place / "site").mkdir()
        (place / "site" / "mira_ltmemory").symlink_to(Path(mira_ltmemory.__file__).parent)
        environment = {**os.environ, "PYTHONPATH": f"{place / 'site'}:{HERE / 'stubs'}", "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [PYTHON, str(HERE / "scenario.py"), name, str(postgres_dir), f"user-{uuid.uuid4()}"],
            cwd=place / "mira",
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        lines = [line for line in done.stdout.splitlines() if line.startswith("FOUND ")]
        assert done.returncode == 0 and lines, done.stdout[-3000:] + done.stderr[-6000:]
        found: dict[str, Any] = json.loads(lines[-1].removeprefix("FOUND "))
        return found

    return run


@pytest.fixture(scope="module")
def conversation(play: Play) -> dict[str, Any]:
    return play("conversation")


def test_every_tool_is_in_every_request(conversation: dict[str, Any]) -> None:
    requests, complete = conversation["tools"]
    assert conversation["missing"] == []
    assert requests == complete > 20
    assert conversation["workflow"] == [True, True]


def test_the_job_tool_is_never_offered(conversation: dict[str, Any]) -> None:
    assert conversation["need_tool"] == [True, []]


def test_the_model_sees_its_own_edit_in_the_same_turn(conversation: dict[str, Any]) -> None:
    assert conversation["edit"] == [False, True]


def test_a_refused_edit_leaves_no_trace(conversation: dict[str, Any]) -> None:
    assert conversation["refused"] is False


def test_every_message_is_stored_once_although_mira_pruned_it(conversation: dict[str, Any]) -> None:
    said = [content for _, content in conversation["stored"]]
    assert conversation["kept"] <= 4
    assert said[:2] == ["My cat is called Ada.", "[calls core_memory_append]"]
    assert said[-2:] == ["Goodbye", "The very last word."]
    for text in ("Turn on the lamp", "About: Turn on the lamp"):
        assert said.count(text) == 1
    assert not any("thought_process" in text or "topic_changed" in text or "success" in text for text in said)


def test_jobs(play: Play) -> None:
    found = play("jobs")
    assert {row[0] for row in found["armed"]} == {"process_conversations", "health_check"}
    assert {row[3] for row in found["armed"]} == {"active"}
    assert found["executions"] == [["completed", None]]
    assert found["result"]["success"] is True
    assert found["rearmed"] == found["expected"]
    assert found["visible"] == []
    ((name, due),) = found["retimed"]
    assert name == "health_check" and ":15:00" in due
    assert found["zone"] == "America/Chicago"


def test_a_turn_and_the_jobs_do_not_trip_over_each_other(play: Play) -> None:
    found = play("threads")
    assert found["raised"] == [] and found["looks"] > 500 and found["runs"] > 10
    assert found["statuses"] == ["completed"]


def test_downtime_is_made_up_for(play: Play) -> None:
    found = play("downtime")
    assert found["before"] == ["failed"]
    assert found["after"] == ["completed", "failed"]
    assert found["next_is_later"]


def test_what_was_said_is_kept_through_clear_swap_and_crash(play: Play) -> None:
    said = [content for _, content in play("history")["stored"]]
    assert said[:4] == ["First", "One.", "Second", "Two."]
    # Before 3e1a230 MIRA looks only before it takes down what the user says, so the last turn dies unseen.
    assert said[4:] in ([], ["Third"])


def test_jobs_where_no_tool_is_on(play: Play) -> None:
    found = play("jobs_without_tools")
    assert found["executions"] == [["completed", None], ["completed", None]]
    assert found["offered"] == [] and found["looked"] == 2


def test_mira_starts_without_the_database_and_says_so(play: Play) -> None:
    found = play("degraded")
    assert "off" in found["prompt"] and found["tools"] == []


def test_config_and_language_model(play: Play) -> None:
    found = play("config")
    # Before 3e1a230 MIRA has no memory section that could be set.
    assert found["same"] and found["published"][0] == (7 if found["section"] else 10)
    assert found["published"][1:] == ["America/Chicago", "America/Chicago"]
    assert found["ollama"] == [9, 9]
    assert found["llm"] == ["An answer.", True, "end_turn"]
