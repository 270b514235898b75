"""``search`` and ``blocks``: what memory holds."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.panel import Panel
from rich.text import Text

from mira_ltmemory.cli.common import Target, console, local, plain, quoted

_SHOWN = 600


def search(
    context: typer.Context,
    query: Annotated[str, typer.Argument(help="A question or keywords.")],
    archival: Annotated[bool, typer.Option("--archival", help="Search archival memory, not conversations.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, max=50, help="How many hits to show.")] = None,
) -> None:
    """Search what was said, or archival memory, by meaning and by words."""
    target: Target = context.obj
    screen = console()
    with target.memory() as memory:
        part = memory.archival if archival else memory.recall
        result = part.search(query, None, limit)
        zone = memory.settings.zone
    for number, hit in enumerate(result.hits, 1):
        head = [local(hit.said_at, zone), hit.speaker or (hit.role.value if hit.role else ""), ", ".join(hit.tags)]
        screen.print(Text(f"{number:2}. ", style="bold") + quoted(" | ".join(part for part in head if part), "cyan"))
        shown = hit.content[:_SHOWN]
        more = len(hit.content) - len(shown)
        screen.print(quoted(shown + (f" [... {more} more characters]" if more else "")))
    for note in result.notes:
        screen.print(quoted(note, "dim"))
    found = f"{len(result.hits)} of {result.total} found." if result.hits else "Nothing was found."
    screen.print(found, markup=False)


def blocks(context: typer.Context) -> None:
    """Show core memory: the blocks that are always in the prompt."""
    target: Target = context.obj
    screen = console()
    with target.memory() as memory:
        everything = memory.blocks.all()
    for block in everything:
        title = f"{block.label} | {block.used} of {block.limit} characters | version {block.version}"
        body = quoted(block.content) if block.content else Text("(empty)", style="dim")
        screen.print(Panel(body, title=Text(plain(title)), title_align="left", subtitle=Text(plain(block.description))))
