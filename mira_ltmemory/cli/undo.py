"""``undo``: take changes back."""

from __future__ import annotations

from typing import Annotated

import typer

from mira_ltmemory.cli.common import Target, agree, console
from mira_ltmemory.cli.log import rows_in_words, show_change_sets, show_effect
from mira_ltmemory.errors import UndoConflict
from mira_ltmemory.protocols import Actor, Change

_LISTED = 20


def undo(
    context: typer.Context,
    change_set: Annotated[int, typer.Argument(metavar="ID", help="The number of the change set, see log.")],
    with_dependents: Annotated[
        bool, typer.Option("--with-dependents", help="Undo the later changes that depend on it too.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    reason: Annotated[str | None, typer.Option(help="Why; the journal keeps it.", show_default=False)] = None,
) -> None:
    """Take back a change set, or a whole run with all its edits. An undo can be undone as well."""
    from mira_ltmemory.cli.rehearsal import rehearse

    target: Target = context.obj
    screen = console()
    change = Change(Actor.USER, "cli undo", reason)
    with target.memory() as memory:
        try:
            plan = rehearse(
                memory, lambda _, history: history.undo(change_set, change, with_dependents=with_dependents)
            )
            show_change_sets(memory, sorted(plan.answer.undone, reverse=True)[:_LISTED], screen)
            if len(plan.answer.undone) > _LISTED:
                screen.print(f"and {len(plan.answer.undone) - _LISTED} older ones", markup=False)
            show_effect(screen, plan.answer.rows, plan.blocks)
            agree(f"Undo {_sets(len(plan.answer.undone))}?", yes=yes)
            done = memory.history.undo(change_set, change, with_dependents=with_dependents)
        except UndoConflict as refusal:
            screen.print("These later change sets depend on it (--with-dependents undoes them too):", markup=False)
            show_change_sets(memory, sorted(refusal.blocking, reverse=True)[:_LISTED], screen)
            raise
    told = f"Undone: {_sets(len(done.undone))}, {rows_in_words(done.rows)}. This is change set {done.change_set_id}."
    screen.print(told, markup=False)


def _sets(count: int) -> str:
    return "1 change set" if count == 1 else f"{count} change sets"
