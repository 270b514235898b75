"""How the demo looks: headings, turns, tool calls, the prompt, the jobs, and the ticks at the end."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from mira_ltmemory.cli.common import local, plain, quoted
from mira_ltmemory.demo.checks import Check
from mira_ltmemory.demo.session import ToolUse
from mira_ltmemory.services.status import JobStatus

_MARKS = re.compile(r"\s*<topic_changed=\w+\s*/?>", re.IGNORECASE)
_ARGUMENT = 240
_RESULT = 700


class Screen:
    """Writes to one console; stored text is never read as markup."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def heading(self, title: str) -> None:
        """Begin a part."""
        self.console.print()
        self.console.rule(Text(title, style="bold"), align="left")

    def say(self, text: str, style: str = "") -> None:
        """Print a line of our own, or of stored text."""
        self.console.print(quoted(text, style))

    def pairs(self, rows: Iterable[tuple[str, str]]) -> None:
        """Print names and values."""
        table = Table.grid(padding=(0, 2))
        for name, value in rows:
            table.add_row(Text(name, style="dim"), quoted(value))
        self.console.print(table)

    def user(self, number: int, shows: str, text: str) -> None:
        """Print what the user says."""
        self.console.print()
        self.console.print(Text(f"Turn {number}: the model {shows}", style="bold cyan"))
        self._said("user", text, "green")

    def assistant(self, text: str) -> None:
        """Print what the model says."""
        if shown := _MARKS.sub("", text).strip():
            self._said("MIRA", shown, "magenta")

    def tool(self, use: ToolUse) -> None:
        """Print a tool call with its arguments and its result."""
        arguments = ", ".join(
            f"{name}={_short(json.dumps(v, ensure_ascii=False))}" for name, v in use.arguments.items()
        )
        style = "blue" if use.success else "red"
        self.console.print(Padding(quoted(f"-> {use.name}({arguments})", style), (0, 0, 0, 4)))
        self.console.print(Padding(_result(use), (0, 0, 0, 7)))

    def prompt(self, parts: Sequence[str]) -> None:
        """Print the memory's part of the system prompt, byte for byte but for control characters."""
        self.console.print(
            Panel(quoted("\n\n".join(parts)), title="system prompt: the memory's part", title_align="left")
        )

    def jobs(self, jobs: Sequence[JobStatus], outcomes: dict[str, str], zone: ZoneInfo) -> None:
        """Print the automations, with what the engine's last run of each brought."""
        table = Table(title=f"cron is read in {zone.key}", title_justify="left", title_style="dim")
        for column in ("job", "cron"):
            table.add_column(column, no_wrap=True)
        for column in ("last run", "next run", "last result"):
            table.add_column(column)
        for job in jobs:
            outcome = quoted(outcomes.get(job.name, job.last_error or ""))
            table.add_row(job.name, job.cron, local(job.last_success_at, zone), local(job.next_run_at, zone), outcome)
        self.console.print(table)

    def checks(self, made: Sequence[Check]) -> None:
        """Print every claim with its tick."""
        table = Table.grid(padding=(0, 1))
        for check in made:
            mark = Text("ok", style="green") if check.holds else Text("--" if check.soft else "NO", style="bold red")
            if check.soft and not check.holds:
                mark.stylize("yellow")
            detail = quoted(f" ({check.detail})" if check.detail else "", "dim")
            table.add_row(mark, quoted(check.claim) + detail)
        self.console.print(table)

    def verdict(self, made: Sequence[Check]) -> None:
        """Say how it ended."""
        if any(not check.holds and not check.soft for check in made):
            self.say("Something that was claimed does not hold: see NO above.", "bold red")
        elif all(check.holds for check in made):
            self.say("Everything that was claimed holds.", "bold green")
        else:
            self.say("Everything holds that must; where -- stands, the model did it in its own way.", "bold green")

    def _said(self, who: str, text: str, style: str) -> None:
        line = Text(f"{who}: ", style=f"bold {style}")
        shown = text if len(text) <= _RESULT else f"{text[:_RESULT]} [... {len(text) - _RESULT} more characters]"
        self.console.print(Padding(line + quoted(shown), (0, 0, 0, 2)))


def _result(use: ToolUse) -> Text:
    if not isinstance(use.result, dict):
        return quoted(str(use.result)[:_RESULT], "red")
    answer = dict(use.result)
    found = answer.pop("results", None)
    text = quoted(_short(json.dumps(answer, ensure_ascii=False), _RESULT), "" if use.success else "red")
    for hit in found or []:
        head = " ".join(str(part) for part in (hit.get("timestamp"), hit.get("speaker") or hit.get("role")) if part)
        text.append(f"\n  {plain(head)}: ", style="dim")
        text.append_text(quoted(_short(hit["content"].replace("\n", " "), 150)))
    return text


def _short(text: str, limit: int = _ARGUMENT) -> str:
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"
