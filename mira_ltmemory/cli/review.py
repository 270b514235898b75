"""``review``: what the weekly review noticed and did, and how to have one now."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from mira_ltmemory.cli.common import Target, console, group, local, plain, quoted
from mira_ltmemory.errors import LtMemoryError

NONE_YET = "There has been no review yet. The job weekly_review makes one; review run makes one now."


def review(context: typer.Context) -> None:
    """Show what the weekly review noticed and did, or have one now."""
    if context.invoked_subcommand is None:
        show(context)


def show(
    context: typer.Context,
    run: Annotated[
        int | None, typer.Argument(metavar="ID", help="The review's change set; none: the newest.", show_default=False)
    ] = None,
) -> None:
    """Show the report of a review."""
    target: Target = context.obj
    with target.memory() as memory:
        found = memory.review.latest() if run is None else [memory.review.get(run)]
    console().print(plain(found[0].report if found else NONE_YET), markup=False, soft_wrap=True)


def list_reviews(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many to list.")] = 20,
) -> None:
    """List the reviews, newest first."""
    target: Target = context.obj
    screen = console()
    with target.memory() as memory:
        found = memory.review.latest(limit)
        if not found:
            screen.print(NONE_YET, markup=False)
            return
        table = Table("id", "when", "patterns", "new", "changed", "ended", "edits")
        for each in found:
            names = ("patterns", "insights_added", "insights_changed", "insights_ended", "edits")
            numbers = [str(each.counts.get(name, 0)) for name in names]
            table.add_row(*map(quoted, (str(each.run), local(each.at, memory.settings.zone), *numbers)))
        screen.print(table)


def run_review(context: typer.Context) -> None:
    """Have a review now, with the configured language model where there is one, and show its report."""
    target: Target = context.obj
    screen = console()
    with target.memory() as memory:
        job = next((job for job in memory.jobs() if job.name == "weekly_review"), None)
        if job is None:
            raise LtMemoryError("The job weekly_review is switched off in the settings.")
        memory.runner.add(job)
        result = memory.runner.run(job.name, force=True)
        if not result["success"]:
            raise LtMemoryError(str(result["error"]))
        if result.get("skipped"):
            screen.print(plain(result["report"]["summary"]), markup=False)
            return
        found = memory.review.latest()
    screen.print(plain(found[0].report if found else NONE_YET), markup=False, soft_wrap=True)


group_of_reviews = group(review, {"show": show, "list": list_reviews, "run": run_review})
