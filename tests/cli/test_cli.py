"""The command line, on the real embedded Postgres."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mira_ltmemory.cli.app import COMMANDS, app
from mira_ltmemory.cli.common import plain
from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.config import MemoryConfig
from mira_ltmemory.protocols import Actor, Change

Run = Callable[..., str]


@pytest.fixture
def conversation(tmp_path: Path) -> Path:
    path = tmp_path / "talk.jsonl"
    contents = ["The ferry to Gotland leaves at 07:10.", "Noted, 07:10.", "[bold]not markup[/bold] \x1b[31mred"]
    records = [
        {"conversation_id": "c", "id": str(number), "role": "user", "content": text, "timestamp": "2025-01-02T10:00:00"}
        for number, text in enumerate(contents)
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_import_then_search(run: Run, conversation: Path) -> None:
    assert "3 messages read, 3 new" in run("import", str(conversation))
    assert "nothing new, 3 already known" in run("import", str(conversation))
    assert "The ferry to Gotland leaves at 07:10." in run("search", "when does the ferry leave", "--limit", "2")
    assert "Nothing was found." in run("search", "--archival", "ferry")


def test_stored_text_is_shown_and_not_obeyed(run: Run, conversation: Path) -> None:
    run("import", str(conversation))
    shown = run("search", "markup")
    assert "[bold]not markup[/bold]" in shown
    assert "\x1b[31m" not in shown
    assert plain("a\x1b[31m\x07\u202e") == "a\\x1b[31m\\x07\\x202e"


def test_a_damaged_file_is_told_and_the_rest_imported(run: Run, conversation: Path) -> None:
    with conversation.open("a") as file:
        file.write("{broken\n")
    told = run("import", str(conversation), code=1)
    assert f"{conversation}, line 4: is no JSON" in re.sub(r"\s+", " ", told)
    assert "3 new" in told


def test_a_path_that_is_not_there(run: Run, tmp_path: Path) -> None:
    assert "does not exist" in run("import", str(tmp_path / "gone"), code=1)


def test_status_tells_counts_jobs_and_the_place(run: Run, config: MemoryConfig, conversation: Path) -> None:
    run("import", "--no-embed", str(conversation))
    told = run("status")
    assert "3 in 1 conversations" in told
    assert "3 texts" in told
    assert str(config.data_dir) in told
    for name in ("process_conversations", "health_check", "0 */6 * * *", "not armed by a host yet"):
        assert name in told


def test_blocks_are_shown(run: Run, memory: object) -> None:
    memory.blocks.append("human", "Likes [red]beetroot[/red].", Change(Actor.USER))  # type: ignore[attr-defined]
    told = run("blocks")
    assert "Likes [red]beetroot[/red]." in told
    assert "26 of 2048 characters" in told
    assert "(empty)" in told


def test_settings_are_shown_and_secrets_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LT_MEMORY_LLM_API_KEY", "very-secret")
    monkeypatch.setenv("LT_MEMORY_DATABASE_URL", "postgresql://me:hunter2@nowhere/db?sslpassword=hunter2")
    monkeypatch.setenv("LT_MEMORY_LLM_BASE_URL", "https://hunter2@somewhere/v1")
    monkeypatch.setenv("LT_MEMORY_LLM_MODEL", "small")
    done = CliRunner().invoke(app, ["config"], env={"COLUMNS": "200"})
    assert done.exit_code == 0
    assert "very-secret" not in done.output
    assert "hunter2" not in done.output
    assert "nowhere/db" in done.output
    assert "somewhere/v1" in done.output
    for name in MemoryConfig.model_fields:
        assert name in done.output


def test_a_search_by_side_and_time(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "talk.jsonl"
    sides = [("user", "2025-01-02T10:00:00"), ("assistant", "2025-01-02T10:01:00"), ("user", "2025-01-03T10:00:00")]
    path.write_text(
        "".join(
            json.dumps({"role": role, "timestamp": moment, "content": f"ferry {number}", "id": str(number)}) + "\n"
            for number, (role, moment) in enumerate(sides)
        )
    )
    run("import", "--no-embed", str(path))
    shown = run("search", "ferry", "--role", "user", "--to", "2025-01-02")
    assert re.findall(r"ferry \d", shown) == ["ferry 0"]
    assert re.findall(r"ferry \d", run("search", "--from", "2025-01-02T10:01", "--role", "assistant")) == ["ferry 1"]
    assert "Nothing was asked for" in run("search")
    assert "--from 'soon' is no date" in run("search", "ferry", "--from", "soon", code=1)
    assert "give --archival too" in run("search", "ferry", "--tag", "x", code=2)
    assert "--role is about messages" in run("search", "ferry", "--archival", "--role", "user", code=2)


def test_a_search_by_tag_category_and_what_has_ended(run: Run, memory: MemoryManager) -> None:
    memory.archival.insert("The ferry leaves at seven", tags=["travel"])
    memory.archival.insert("The ferry is blue", tags=["colour"])
    assert "seven" in (told := run("search", "ferry", "--archival", "--tag", "travel"))
    assert "blue" not in told
    assert "2 of 2" in run("search", "ferry", "--archival", "--category", "note", "--ended")
    assert "Nothing was found" in run("search", "ferry", "--archival", "--category", "insight")


def test_a_directory_or_a_user_given_is_the_one_meant(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LT_MEMORY_DATABASE_URL", "postgresql://127.0.0.1:1/none")
    monkeypatch.setenv("LT_MEMORY_USER_ID", "6f1c3a52-5d3b-5c1e-9b59-2f0a5f3f7f10")
    assert "There are no changes" not in run("blocks", "create", "ideas", "-c", "Mine.")
    monkeypatch.delenv("LT_MEMORY_DATABASE_URL")
    monkeypatch.delenv("LT_MEMORY_USER_ID")
    assert "Mine." in run("blocks", "show", "ideas")
    assert "give only one of" in run("--database-url", "postgresql://h/d", "status", code=2)


def test_our_errors_are_one_line_and_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LT_MEMORY_TIMEZONE", "Europe/Berlim")
    done = CliRunner().invoke(app, ["status"])
    assert done.exit_code == 1
    assert len(done.stderr.splitlines()) == 1
    assert "Europe/Berlin" in done.stderr
    monkeypatch.setenv("LT_MEMORY_TIMEZONE", "UTC")
    done = CliRunner().invoke(app, ["--database-url", "postgresql://127.0.0.1:1/none", "status"])
    assert done.exit_code == 1
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_every_command_has_help() -> None:
    for name in COMMANDS:
        done = CliRunner().invoke(app, [name, "--help"])
        assert done.exit_code == 0
        assert "Usage" in done.output


@pytest.mark.parametrize(
    ("name", "commands"),
    [
        ("blocks", "show edit history diff rollback create delete rename"),
        ("snapshot", "create list diff restore delete"),
    ],
)
def test_sub_commands_have_help(name: str, commands: str) -> None:
    told = CliRunner().invoke(app, [name, "--help"]).output
    for command in commands.split():
        assert command in told
        assert "Usage" in CliRunner().invoke(app, [name, command, "--help"]).output


def test_version_and_help_without_a_command() -> None:
    from mira_ltmemory import __version__

    assert __version__ in CliRunner().invoke(app, ["--version"]).output
    assert "import" in CliRunner().invoke(app, []).output


def test_the_command_line_is_cheap_to_load() -> None:
    heavy = "{'sqlalchemy', 'onnxruntime', 'transformers', 'numpy', 'alembic', 'networkx'}"
    code = f"import sys, mira_ltmemory.cli.app; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
