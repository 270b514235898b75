"""The plugin in mira-OSS: in a double of it, and in the pieces of its snapshot where one is at hand.

``MIRA_OSS_ROOT`` names a checkout of taylorsatula/mira-OSS at 8631dd5, ``MIRA_OSS_PYTHON`` a Python that has our
requirements (default: this one), ``MIRA_OSS_PATH`` a folder with APScheduler and pytz where that lacks them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import mira_ltmemory

HERE = Path(__file__).parent / "real"
ROOT = os.environ.get("MIRA_OSS_ROOT")


@pytest.fixture(scope="module", params=["double", "snapshot"])
def found(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, postgres_dir: Path
) -> Iterator[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("oss")
    python = sys.executable
    paths = [str(HERE), *filter(None, sys.path)]
    if request.param == "snapshot":
        if ROOT is None:
            pytest.skip("MIRA_OSS_ROOT names no checkout of mira-OSS")
        shutil.copytree(ROOT, folder / "mira", ignore=shutil.ignore_patterns("*.pdf", "*.png", ".git", "docs"))
        (folder / "site").mkdir()
        (folder / "site" / "mira_ltmemory").symlink_to(Path(mira_ltmemory.__file__).parent)
        python = os.environ.get("MIRA_OSS_PYTHON", python)
        more = os.environ.get("MIRA_OSS_PATH")
        paths = [str(folder / "mira"), str(folder / "site"), str(HERE), *([more] if more else [])]
    done = subprocess.run(
        [python, str(HERE / "scenario_oss.py"), "main", str(postgres_dir), f"user-{uuid.uuid4()}"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OSS_HOST": request.param},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0 and "FOUND " in done.stdout, done.stdout[-2000:] + done.stderr[-4000:]
    yield json.loads(done.stdout.splitlines()[-1].removeprefix("FOUND "))


def test_the_host_is_known_and_its_time_zone_taken(found: dict[str, Any]) -> None:
    assert (found["host"], found["zone"]) == ("mira-oss", "Europe/Berlin")


def test_every_tool_is_offered_with_its_schema(found: dict[str, Any]) -> None:
    assert sorted(one["name"] for one in found["schemas"]) == found["offered"]
    assert "core_memory_append" in found["offered"] and found["enabled_again"]
    for one in found["schemas"]:
        assert set(one) == {"name", "description", "input_schema"}
        Draft202012Validator.check_schema(one["input_schema"])


def test_an_edit_is_in_the_next_prompt_and_a_mistake_is_an_answer(found: dict[str, Any]) -> None:
    assert found["edit"] and found["prompt"] == [False, True, True, True]
    assert found["mistake"]["success"] is False and "lable" in found["mistake"]["error"]


def test_every_message_is_stored_once(found: dict[str, Any]) -> None:
    turns = [text for number in range(3) for text in (f"Turn {number}", f"Answer {number}")]
    assert found["stored"] == ["My cat is called Ada.", "Noted.", *turns]
    assert found["last"] == "The very last word."


def test_the_model_has_all_tools_and_its_edit_in_a_turn_of_the_orchestrator(found: dict[str, Any]) -> None:
    assert found["refused"] == []
    assert found["answers"] == ["I shall remember that.", "The cello."]
    assert found["requested"] == [[], [], []]
    assert found["told"] == [False, False, True] and "is now at version" in found["result"]
    said = ["I play the cello, remember?", "I shall remember that.", "What do I play?", "The cello."]
    assert found["heard"] == said


def test_its_model_answers_the_memory_and_runs_no_tool_by_itself(found: dict[str, Any]) -> None:
    llm = found["llm"]
    assert (llm["name"], llm["text"], llm["system"]) == ("scripted", "Well.", "You keep a memory.")
    assert llm["calls"] == [["core_memory_append", {"label": "human", "content": "Never to be stored."}]]
    assert llm["tokens"] == [40, 5, "tool_use"] and llm["limits"] == [77, 0.0, False]
    assert llm["provider"] == [500, True]  # as it was before
    assert (llm["429"], llm["529"], llm["400"]) == ("LLMUnavailable", "LLMUnavailable", "LLMRejected")


def test_a_missed_job_runs_at_once(found: dict[str, Any]) -> None:
    assert found["jobs"] == {"process_conversations": "ltmemory_process_conversations"}
    assert found["ran"]["success"] and "skipped" not in found["ran"] and found["fires_in"] < 1
    assert found["again"] == found["due"]  # as the runner says: sooner than the cron, where it failed or was put off


def test_closing_leaves_it_as_it_was(found: dict[str, Any]) -> None:
    assert found["left"] == [[], [], [], False]
