"""``search``, and how blocks and hits are shown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from mira_ltmemory.cli.common import Target, console, local, plain, quoted
from mira_ltmemory.protocols import Category, Filter, Hit, Role, SearchResult

if TYPE_CHECKING:
    from mira_ltmemory.services.block_work import BlockView

_SHOWN = 600


def search(
    context: typer.Context,
    query: Annotated[
        str, typer.Argument(help="A question or keywords; with a filter it may be left out.", show_default=False)
    ] = "",
    archival: Annotated[bool, typer.Option("--archival", help="Search archival memory, not conversations.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, max=50, help="How many hits to show.")] = None,
    start: Annotated[str | None, typer.Option("--from", help="Only what was said from this day or time on.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Only until then; a day counts to its end.")] = None,
    role: Annotated[list[Role] | None, typer.Option(help="Only messages of this side; may be repeated.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Only passages with this tag; may be repeated.")] = None,
    category: Annotated[
        list[Category] | None, typer.Option(help="Only passages of this category; may be repeated.")
    ] = None,
    ended: Annotated[bool, typer.Option("--ended", help="Also passages that hold no longer.")] = False,
    ids: Annotated[bool, typer.Option("--ids", help="Show the id of each hit, for forget --id.")] = False,
) -> None:
    """Search what was said, or archival memory, by meaning and by words."""
    if role and archival:
        raise typer.BadParameter("--role is about messages, --archival searches passages")
    if (tag or category or ended) and not archival:
        raise typer.BadParameter("--tag, --category and --ended are about passages: give --archival too")
    from mira_ltmemory.services.dates import parse_range

    target: Target = context.obj
    with target.memory() as memory:
        zone = memory.settings.zone
        first, after = parse_range("--from", start, "--to", end, zone)
        chosen = Filter(
            start=first,
            end=after,
            roles=tuple(role or ()),
            tags=tuple(tag or ()),
            categories=tuple(each.value for each in category or ()),
            include_ended=ended,
        )
        part = memory.archival if archival else memory.recall
        result = part.search(query, chosen, limit)
    show_result(console(), result, zone, ids=ids)


def show_result(screen: Console, result: SearchResult, zone: ZoneInfo, *, ids: bool = False) -> None:
    """Print the hits of a search, with their ids where asked, its notes and how many there are."""
    for number, hit in enumerate(result.hits, 1):
        show_hit(screen, number, hit, zone, *([str(hit.id)] if ids else []))
    for note in result.notes:
        screen.print(quoted(note, "dim"))
    found = f"{len(result.hits)} of {result.total} found." if result.hits else "Nothing was found."
    screen.print(found, markup=False)


def show_hit(screen: Console, number: int, hit: Hit, zone: ZoneInfo, *more: str) -> None:
    """Print one hit, with its number; ``more`` stands in its head."""
    role = hit.role.value if hit.role else ""
    head = [local(hit.said_at, zone), hit.speaker or role, ", ".join(hit.tags), *more]
    screen.print(Text(f"{number:2}. ", style="bold") + quoted(" | ".join(part for part in head if part), "cyan"))
    shown = hit.content[:_SHOWN]
    left = len(hit.content) - len(shown)
    screen.print(quoted(shown + (f" [... {left} more characters]" if left else "")))


def show_blocks(screen: Console, blocks: Iterable[BlockView]) -> None:
    """Print core memory blocks, each in a frame."""
    for block in blocks:
        title = f"{block.label} | {block.used} of {block.limit} characters | version {block.version}"
        title += " | read-only" if block.read_only else ""
        body = quoted(block.content) if block.content else Text("(empty)", style="dim")
        screen.print(Panel(body, title=Text(plain(title)), title_align="left", subtitle=Text(plain(block.description))))
