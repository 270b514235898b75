"""``as-of`` and ``vacuum``: memory as it was, and how long that is kept."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from mira_ltmemory.cli.common import Target, agree, console, local, quoted
from mira_ltmemory.cli.journal import rows_in_words
from mira_ltmemory.cli.looking import show_blocks, show_result
from mira_ltmemory.errors import InvalidArgument, UnknownSnapshot
from mira_ltmemory.protocols import Actor, Change

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


def vacuum(
    context: typer.Context,
    before: Annotated[
        str | None,
        typer.Option(help="A day or time in your time zone.", show_default="as the setting retention_days says"),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove for good the versions that ended before a time. What snapshots name stays."""
    from mira_ltmemory.cli.rehearsal import rehearse
    from mira_ltmemory.services.retention import RetentionService

    target: Target = context.obj
    screen = console()
    with target.memory() as memory:
        bound = _bound(before, memory)
        change = Change(Actor.USER, "cli vacuum", f"versions that ended before {bound.isoformat()}")
        plan = rehearse(
            memory, lambda store, history: RetentionService(store, memory.clock, history, None).vacuum(bound, change)
        )
        count = rows_in_words(plan.answer.versions)
        told = f"Of what ended before {local(bound, memory.settings.zone)}, earlier versions to be removed: {count}."
        screen.print(told, f"Vectors: {plan.answer.vectors}.", markup=False)
        agree("Remove them for good? This cannot be undone.", yes=yes)
        done = memory.retention.vacuum(bound, change)
    removed = f"Removed earlier versions: {rows_in_words(done.versions)}. Vectors: {done.vectors}."
    screen.print(removed, f"Memory is known from change set {done.kept_from} on, and at snapshots.", markup=False)


def _bound(before: str | None, memory: MemoryManager) -> datetime:
    if before is not None:
        return _time("--before", before, memory, end_of_day=False)
    days = memory.settings.retention_days
    if days is None:
        raise InvalidArgument("Every version is kept: the setting retention_days is not set. Give --before.")
    return memory.clock.now() - timedelta(days=days)


def _meant(when: str, memory: MemoryManager) -> datetime | int | str:
    """Read WHEN: digits are a change set, a date is one, and all else is a snapshot's name."""
    text = when.strip()
    if text.isascii() and text.isdigit() and len(text) < 20:
        return int(text)
    try:
        return _time("WHEN", text, memory, end_of_day=True)
    except InvalidArgument:
        return when


def _time(field: str, text: str, memory: MemoryManager, *, end_of_day: bool) -> datetime:
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
