"""``as-of``: memory as it was."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from mira_ltmemory.cli.common import Target, console, local, quoted
from mira_ltmemory.cli.search import show_blocks, show_result
from mira_ltmemory.errors import InvalidArgument, UnknownSnapshot

if TYPE_CHECKING:
    from mira_ltmemory.composition import MemoryManager


def as_of(
    context: typer.Context,
    when: Annotated[
        str,
        typer.Argument(
            help="A day (its end is meant) or time in your time zone, a change set's number, or a snapshot's name."
        ),
    ],
    search: Annotated[
        str | None, typer.Option("--search", help="Search archival memory as it was.", show_default=False)
    ] = None,
    prompt: Annotated[bool, typer.Option("--prompt", help="Show core memory as the prompt showed it.")] = False,
    snapshot: Annotated[bool, typer.Option("--snapshot", help="WHEN is a snapshot's name, whatever it is.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=50, help="How many hits of a search to show.")] = 10,
) -> None:
    """Show memory as it was: the blocks, or with --search archival memory, or with --prompt the prompt."""
    if search is not None and prompt:
        raise typer.BadParameter("give only one of --search and --prompt")
    target: Target = context.obj
    screen = console()
    with target.memory() as memory:
        try:
            then = memory.as_of(when if snapshot else _meant(when, memory))
        except UnknownSnapshot as error:
            raise UnknownSnapshot(f"{error} A day is written YYYY-MM-DD, a time YYYY-MM-DDTHH:MM.") from None
        with memory.store.read() as unit:
            entry = unit.journal.get(then.moment)
        zone = memory.settings.zone
        last = (
            "before any change" if entry is None else f"after change set {entry.id} of {local(entry.created_at, zone)}"
        )
        if prompt:
            screen.print(quoted(then.render() or "(core memory was empty)"), soft_wrap=True)
            return
        screen.print(f"Memory as it was {last}:", markup=False)
        if search is not None:
            show_result(screen, then.search(search, None, limit), zone)
            return
        blocks = then.blocks()
    show_blocks(screen, blocks)
    if not blocks:
        screen.print("There were no blocks.", markup=False)


def _meant(when: str, memory: MemoryManager) -> datetime | int | str:
    """Read WHEN: digits are a change set, a date is one, and all else is a snapshot's name."""
    text = when.strip()
    if text.isascii() and text.isdigit() and len(text) < 20:
        return int(text)
    try:
        return read_time("WHEN", text, memory, end_of_day=True)
    except InvalidArgument:
        return when


def read_time(field: str, text: str, memory: MemoryManager, *, end_of_day: bool) -> datetime:
    """Read a day, as its beginning or its end, or a time. Raises ``InvalidArgument`` naming the field."""
    from mira_ltmemory.services.dates import parse_range

    zone = memory.settings.zone
    start, _ = parse_range(field, text, "", None, zone)
    if start is None:
        raise InvalidArgument(f"{field} is empty; give a day or a time.")
    _, end = parse_range("", None, field, text, zone)
    # A bound that is a time covers nothing more than itself; only a day lasts.
    if end is None or not end_of_day or end - start < timedelta(hours=1):
        return start
    now = memory.clock.now()
    return now if start <= now < end else end - timedelta(microseconds=1)
