"""``prune``: how long memory as it was is kept."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from mira_ltmemory.cli.as_of import read_time
from mira_ltmemory.cli.common import Target, agree, console, local
from mira_ltmemory.cli.log import rows_in_words
from mira_ltmemory.errors import InvalidArgument
from mira_ltmemory.protocols import Actor, Change

if TYPE_CHECKING:
    from mira_ltmemory.composition import MemoryManager


def prune(
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
        change = Change(Actor.USER, "cli prune", f"versions that ended before {bound.isoformat()}")
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
        return read_time("--before", before, memory, end_of_day=False)
    days = memory.settings.retention_days
    if days is None:
        raise InvalidArgument("Every version is kept: the setting retention_days is not set. Give --before.")
    return memory.clock.now() - timedelta(days=days)
