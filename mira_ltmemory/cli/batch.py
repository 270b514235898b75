"""``batch``: the processing of conversations: what waits, what was set aside, and running it now."""

from __future__ import annotations

import typer
from rich.table import Table

from mira_ltmemory.cli.common import Target, bars, console, group, local, plain


def batch(context: typer.Context) -> None:
    """Processing of conversations. Alone, it shows what waits."""
    if context.invoked_subcommand is None:
        show(context)


def show(context: typer.Context) -> None:
    """Show how many messages wait, which were set aside, and why."""
    target: Target = context.obj
    screen = console()
    with target.memory() as memory:
        counts, aside = memory.batches.counts(), memory.batches.set_aside()
        zone = memory.settings.zone
        model = memory.llm.name if memory.llm is not None and memory.settings.batch_use_model else None
    how = f"facts, drawn by the model {model}" if model else "passages of their own words, without a language model"
    screen.print(plain(f"Conversations become {how}."), markup=False)
    retried = f" ({counts.retried} of them after a failure)" if counts.retried else ""
    screen.print(plain(f"{counts.waiting} messages wait{retried}, {counts.aside} are set aside."), markup=False)
    if aside:
        table = Table("said", "conversation", "message", "failed", "why")
        for each in aside:
            said = local(each.said_at, zone)
            row = (said, each.conversation, each.external_id, f"{each.attempts} times", each.error or "")
            table.add_row(*map(plain, row))
        screen.print(table, markup=False)
        screen.print("Try them again with: mira-ltmemory batch retry", markup=False)


def retry(context: typer.Context) -> None:
    """Let what failed or was set aside wait again; the next run takes it up."""
    target: Target = context.obj
    with target.memory() as memory:
        console().print(f"{memory.batches.retry()} messages wait again.", markup=False)


def run(context: typer.Context) -> None:
    """Process now what waits, with progress, as the hourly job does."""
    target: Target = context.obj
    screen = console()
    with target.memory() as memory, bars(screen) as progress:
        for job in memory.jobs():
            memory.runner.add(job)
        result = memory.runner.run("process_conversations", force=True, progress=progress)
    if not result["success"]:
        screen.print(plain(f"Failed: {result['error']}"), markup=False)
        raise typer.Exit(1)
    screen.print(plain(str(result["report"]["summary"])), markup=False)


group_of_batches = group(batch, {"status": show, "run": run, "retry": retry})
