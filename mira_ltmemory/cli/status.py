"""``status``: how much there is, what is off, and when the jobs run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from mira_ltmemory.cli.common import Target, console, local, plain, user_name

if TYPE_CHECKING:
    from mira_ltmemory.composition import MemoryManager


def status(
    context: typer.Context,
    tables: Annotated[bool, typer.Option("--tables", help="Also show size and vacuum of every table.")] = False,
) -> None:
    """Show counts, problems, jobs, and where the data is."""
    target: Target = context.obj
    screen = console()
    with target.memory() as memory:
        show_counts(memory, screen)
        show_jobs(memory, screen)
        if tables:
            show_tables(memory, screen)


def show_counts(memory: MemoryManager, screen: Console) -> None:
    """Print how much there is, and each known problem."""
    read = memory.status.read()
    batches = memory.batches.counts()
    zone = memory.settings.zone
    rows = {
        "user": user_name(memory, memory.store.user_id),
        "data": memory.database.where,
        "messages": f"{read.messages} in {read.conversations} conversations",
        "from, to": f"{local(read.oldest, zone)}, {local(read.newest, zone)}" if read.oldest else "-",
        "passages": str(read.passages),
        "to process": f"{batches.waiting} messages, {batches.aside} set aside",
        "to embed": f"{read.pending} texts",
        "calibration": _calibration(memory),
        "problems": "none" if not read.problems else "",
        **{f"  {subject}": text for subject, text in read.problems.items()},
    }
    table = Table.grid(padding=(0, 2))
    for name, value in rows.items():
        table.add_row(plain(name), plain(value))
    screen.print(table, markup=False)


def _calibration(memory: MemoryManager) -> str:
    """Since when it is known what searches find by chance."""
    measured = memory.calibration.all()
    if not measured:
        return "not measured yet: how likely hits are is judged as in other memories (job calibrate_search)"
    zone = memory.settings.zone
    return ", ".join(f"{each.kind.value}s {local(each.measured_at, zone)}" for each in measured)


def show_jobs(memory: MemoryManager, screen: Console) -> None:
    """Print every job with its cron expression, last and next run."""
    from mira_ltmemory.automations.schedule import next_run

    zone = memory.settings.zone
    armed = {job.name: job for job in memory.status.jobs()}
    table = Table("job", "cron", "zone", "last success", "next run", "state")
    for job in memory.jobs():
        known = armed.get(job.name)
        if known is None or known.next_run_at is None:
            due = next_run(job.cron, job.timezone, memory.clock.now())
            table.add_row(job.name, job.cron, job.timezone, "never", local(due, zone), "not armed by a host yet")
            continue
        state = "ok" if known.last_success_at else "has not run yet"
        if known.last_error:
            state = f"failed {known.consecutive_failures} times: {known.last_error}"
        last = local(known.last_success_at, zone)
        table.add_row(job.name, known.cron, known.timezone, last, local(known.next_run_at, zone), plain(state))
    screen.print(table, markup=False)


def show_tables(memory: MemoryManager, screen: Console) -> None:
    """Print what the database and each of its tables take, and when vacuum last went through."""
    from mira_ltmemory.store.condition import database_state

    state = database_state(memory.database)
    zone = memory.settings.zone
    title = f"Database: {state.size / (1 << 20):,.0f} MB, {state.buffers >> 20} MB of shared buffers"
    table = Table("table", "MB", "of it indexes", "rows", "dead", "vacuumed", "analysed", title=title)
    for each in state.tables:
        table.add_row(
            each.name,
            f"{each.size / (1 << 20):,.1f}",
            f"{each.indexes / (1 << 20):,.1f}",
            f"{each.live:,}",
            f"{each.dead:,}",
            local(each.vacuumed, zone),
            local(each.analysed, zone),
        )
    screen.print(table, markup=False)
