"""The documents say what is there: links live, settings, hooks and tools are described."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from mira_ltmemory.cli.app import app
from mira_ltmemory.config import MemoryConfig, ToolSwitches
from mira_ltmemory.hooks import hookspecs

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        if not target.startswith(("http://", "https://", "mailto:")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_setting_is_documented() -> None:
    text = (ROOT / "docs" / "settings.md").read_text("utf-8")
    missing = [name for name in MemoryConfig.model_fields if f"`{name}`" not in text]
    assert missing == []


def test_every_hook_is_documented() -> None:
    text = (ROOT / "docs" / "hooks.md").read_text("utf-8")
    hooks = [name for name, hook in vars(hookspecs).items() if hasattr(hook, f"{hookspecs.PROJECT}_spec")]
    assert len(hooks) == 7
    assert [name for name in hooks if f"`{name}(" not in text] == []


def test_every_tool_and_command_is_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert [name for name in ToolSwitches.model_fields if f"`{name}" not in text] == []
    commands = [command.name for command in typer.main.get_command(app).commands.values()]  # type: ignore[attr-defined]
    assert [name for name in commands if f"mira-ltmemory {name}" not in text and f"make {name}" not in text] == []


def test_no_page_names_a_path_of_one_machine() -> None:
    for page in PAGES:
        assert not re.search(r"(?<![\w.])/(?:home|root|work)/", page.read_text("utf-8")), page.name
