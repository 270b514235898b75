"""What the commands share: the console, the memory they look at, questions, and text made safe to show."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from mira_ltmemory.errors import NeedsConfirmation
from mira_ltmemory.protocols import in_zone

if TYPE_CHECKING:
    from mira_ltmemory.composition import MemoryManager
    from mira_ltmemory.protocols import Progress as Callback

# A stored text could move the cursor, recolour the terminal or set its title.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class Target:
    """The settings that the command line gave, before the command."""

    settings: Mapping[str, Any]

    @contextmanager
    def memory(self) -> Iterator[MemoryManager]:
        """Open the memory, and close it at the end. Raises ``ConfigError`` and ``StoreError``."""
        from mira_ltmemory.composition import open_memory

        opened = open_memory(**self.settings)
        try:
            yield opened
        finally:
            opened.close()


def console() -> Console:
    """Return a console on today's standard output, which tests replace."""
    return Console(highlight=False, soft_wrap=False)


def complain(message: str) -> None:
    """Say on standard error, in one line, what went wrong."""
    print(f"mira-ltmemory: {plain(' '.join(message.split()))}", file=sys.stderr)


def plain(text: str) -> str:
    """Return stored text with control characters as visible escapes, so that a terminal obeys none of them."""
    return _CONTROLS.sub(lambda found: f"\\x{ord(found.group()):02x}", text)


def quoted(text: str, style: str = "") -> Text:
    """Return stored text for the console: never read as markup."""
    return Text(plain(text), style=style)


def diff_text(diff: str) -> Text:
    """Return a unified diff of stored texts for the console, in colours."""
    styles = {"@": "cyan", "+": "green", "-": "red"}
    return Text("\n").join(quoted(line, styles.get(line[:1], "")) for line in diff.split("\n"))


def agree(question: str, *, yes: bool) -> None:
    """Ask before something is done, unless ``yes`` says so already. Ends the command where the answer is no.

    Raises ``NeedsConfirmation`` where there is no terminal to ask at.
    """
    if yes:
        return
    if not interactive():
        raise NeedsConfirmation(
            "There is no terminal to ask at, so nothing was changed. Give --yes to do what is shown."
        )
    if not typer.confirm(question, default=False):
        typer.echo("Nothing was changed.")
        raise typer.Exit(1)


def interactive() -> bool:
    """Whether a person can answer."""
    return sys.stdin.isatty()


def group(alone: Callable[..., None], commands: Mapping[str, Callable[..., None]]) -> typer.Typer:
    """Return a command with sub-commands; ``alone`` runs before each, and its text is the help."""
    built = typer.Typer(invoke_without_command=True, rich_markup_mode=None, add_completion=False)
    built.callback()(alone)
    for name, function in commands.items():
        built.command(name)(function)
    return built


def fitting(
    headers: Sequence[str], rows: Sequence[Sequence[str]], whole: Collection[str] = (), title: str = ""
) -> Table:
    """Return a table of stored texts that a narrow terminal shows in full: what does not fit goes on below.

    Columns in ``whole`` are not broken; those that are empty in every row are left out.
    """
    table = Table(title=title or None, title_justify="left")
    shown = [at for at, name in enumerate(headers) if name in whole or any(row[at] for row in rows)]
    for at in shown:
        table.add_column(headers[at], no_wrap=headers[at] in whole, overflow="fold")
    for row in rows:
        table.add_row(*(quoted(row[at]) for at in shown))
    return table


def user_name(memory: MemoryManager, user: UUID) -> str:
    """Name a user as the settings do; one of whom the database knows the id alone, by that."""
    settings = memory.settings
    named = settings.user_id is None or "user_name" in settings.model_fields_set
    return settings.user_name if named and user == memory.store.user_id else str(user)


def local(moment: datetime | None, zone: ZoneInfo) -> str:
    """Return a moment in the user's time zone, to the minute."""
    return "never" if moment is None else in_zone(moment, zone).strftime("%Y-%m-%d %H:%M %Z")


@contextmanager
def bars(screen: Console) -> Iterator[Callback]:
    """Give a progress callback that draws one bar for each label."""
    columns = (
        TextColumn("{task.description:<12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}"),
        TimeElapsedColumn(),
    )
    units = {"importing": "KB", "embedding": "texts", "asking": "questions"}
    units |= dict.fromkeys(("storing", "processing"), "messages")
    with Progress(*columns, console=screen) as progress:
        tasks: dict[str, TaskID] = {}

        def show(label: str, done: int, total: int) -> None:
            if units.get(label) == "KB":
                done, total = -(-done // 1024), -(-total // 1024)
            if label not in tasks:
                tasks[label] = progress.add_task(label, total=total or None, unit=units.get(label, ""))
            progress.update(tasks[label], completed=done, total=total or None)

        yield show
