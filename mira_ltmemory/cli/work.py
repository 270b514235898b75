"""``work``: run the memory's jobs without a host, for one user or for all."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mira_ltmemory.cli.common import Target, console, plain, user_name
from mira_ltmemory.errors import InvalidArgument


def work(
    context: typer.Context,
    jobs: Annotated[list[str] | None, typer.Argument(help="Jobs to run now; none: those that are due.")] = None,
    all_users: Annotated[bool, typer.Option("--all-users", help="Work for every user of the database.")] = False,
) -> None:
    """Run jobs that are due, as MIRA's automation engine would, for servers where no MIRA runs all the time."""
    from mira_ltmemory.automations.table import refusal

    target: Target = context.obj
    screen = console()
    failed = False
    with target.memory() as memory:
        for name in jobs or ():
            if (refused := refusal(name, memory.settings)) is not None:
                raise InvalidArgument(refused)
        own = memory.store.user_id
        for user in memory.users() if all_users else [own]:
            worker = memory if user == own else memory.as_user(user)
            for job in worker.jobs():
                worker.runner.add(job)
            schedules, _ = worker.runner.declare()
            now = worker.clock.now()
            due = jobs or [schedule.job.name for schedule in schedules if schedule.next_run_at <= now]
            for name in due:
                result = worker.runner.run(name, force=bool(jobs))
                failed = failed or not result["success"]
                screen.print(plain(f"{user_name(memory, user)} {name}: {_outcome(result)}"), markup=False)
            if not due:
                screen.print(plain(f"{user_name(memory, user)}: nothing is due"), markup=False)
    if failed:
        raise typer.Exit(1)


def _outcome(result: dict[str, Any]) -> str:
    if not result["success"]:
        return f"failed: {result['error']}"
    report = result.get("report")
    return str(report["summary"]) if isinstance(report, dict) and "summary" in report else "done"
