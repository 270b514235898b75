"""``doctor``: looks whether searches find what they should, and says what to run where they do not."""

from __future__ import annotations

from typing import Annotated

import typer

from mira_ltmemory.cli.common import Target, console, plain, user_name


def doctor(
    context: typer.Context,
    all_users: Annotated[bool, typer.Option("--all-users", help="Examine every user of the database.")] = False,
    sample: Annotated[int, typer.Option(min=1, max=10_000, help="Rows of each kind that are looked at closely.")] = 20,
    tables: Annotated[bool, typer.Option("--tables", help="Also show size and vacuum of every table.")] = False,
) -> None:
    """Compare the indexes with exact search on live data, and look at plans, queues, vacuum and jobs.

    Ends with exit code 1 where something is wrong, and says what to run.
    """
    target: Target = context.obj
    screen = console()
    wrong = 0
    with target.memory() as memory:
        own = memory.store.user_id
        for user in memory.users() if all_users else [own]:
            examined = memory if user == own else memory.as_user(user)
            screen.print(plain(f"user {user_name(memory, user)}"), markup=False)
            for found in examined.doctor.examine(sample):
                wrong += not found.right
                mark = "ok " if found.right else "BAD"
                told = f"  {mark} {found.topic}: {found.told}" + ("" if found.right else f" {found.remedy}")
                screen.print(plain(told), markup=False, soft_wrap=True)
        if tables:
            from mira_ltmemory.cli.status import show_tables

            show_tables(memory, screen)
    screen.print("Nothing is wrong." if not wrong else f"{wrong} things are wrong.")
    if wrong:
        raise typer.Exit(1)
