"""``import``: conversations from files into recall memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from mira_ltmemory.cli.common import Target, bars, complain, console, plain

if TYPE_CHECKING:
    from mira_ltmemory.composition import MemoryManager
    from mira_ltmemory.hosts.importers import ImportSummary


def import_files(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(help="Files, or directories that are searched for files.")],
    embed: Annotated[bool, typer.Option(help="Embed at once what was imported; a job does it later otherwise.")] = True,
    all_branches: Annotated[
        bool, typer.Option(help="Also what was given up: messages of exports that were edited or answered anew.")
    ] = False,
) -> None:
    """Import conversations: MIRA's conversation_<id>.json, exports of ChatGPT and Claude (.zip), or JSON Lines.

    What is there already is not imported again. A file, entry or line that cannot be read is told by name
    and line, the rest is imported, and the exit code is 1.
    """
    target: Target = context.obj
    screen = console()
    with target.memory() as memory:
        summary, embedded = run_import(memory, paths, screen, embed=embed, all_branches=all_branches)
    for problem in summary.remarks:
        screen.print(f"  note: {plain(str(problem))}", markup=False, style="dim")
    for problem in summary.errors:
        complain(str(problem))
    screen.print(describe(summary, embedded), markup=False)
    if summary.errors:
        raise typer.Exit(1)


def run_import(
    memory: MemoryManager, paths: list[Path], screen: Console, *, embed: bool = True, all_branches: bool = False
) -> tuple[ImportSummary, int]:
    """Import with progress bars; return the summary, and how many texts were embedded."""
    from mira_ltmemory.hosts.importers import import_conversations

    with bars(screen) as progress:
        summary = import_conversations(
            paths, memory.import_messages, zone=memory.settings.zone, all_branches=all_branches, progress=progress
        )
        embedded = memory.process_pending(progress) if embed else 0
    return summary, embedded


def describe(summary: ImportSummary, embedded: int | None = None) -> str:
    """Sum an import up in one line."""
    told = [
        f"{summary.files} files",
        f"{summary.conversations} conversations",
        f"{summary.read} messages read",
        f"{summary.new} new" if summary.new else "nothing new",
        f"{summary.known} already known",
    ]
    if summary.recalled:
        told.append(f"{summary.recalled} of memory shown again left out")
    if embedded is not None:
        told.append(f"{embedded} texts embedded")
    if summary.errors:
        told.append(f"{len(summary.errors)} problems")
    return ", ".join(told) + "."
