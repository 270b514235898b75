"""``blocks pending``, ``confirm`` and ``dismiss``: edits of core memory by the model that wait for a person."""

from __future__ import annotations

from typing import Annotated

import typer

from mira_ltmemory.cli.common import Target, console, diff_text, local
from mira_ltmemory.protocols import Actor, Change

Number = Annotated[int, typer.Argument(min=1, help="The number of a held edit.")]


def pending(context: typer.Context) -> None:
    """Show the edits of the model that wait for you, each as the change that it would make."""
    target: Target = context.obj
    with target.memory() as memory:
        waiting, zone = memory.blocks.pending(), memory.settings.zone
    if not waiting:
        console().print("Nothing waits.")
    from mira_ltmemory.services.edits import unified_diff

    for held in waiting:
        told = f"{held.id}: {held.operation} of block {held.label}, held {local(held.held_at, zone)}"
        console().print(f"{told}, by {held.tool or 'the model'}", markup=False, soft_wrap=True)
        if held.sources:
            listed = ", ".join(held.sources[:5])
            console().print(f"It repeats text of a tool or a web page: {listed}", markup=False, soft_wrap=True)
        changed = unified_diff(held.before, held.after, "now", "then")
        console().print(diff_text(changed) if changed else "The text stays the same.", soft_wrap=True)


def confirm(context: typer.Context, number: Number) -> None:
    """Carry out a held edit as yours. One that no longer fits is refused, and waits on."""
    target: Target = context.obj
    with target.memory() as memory:
        done = memory.blocks.confirm(number, Change(Actor.USER, "cli blocks confirm"))
    told = f"Block {done.block.label} is at version {done.block.version} (change set {done.change_set_id})."
    console().print(told, markup=False)


def dismiss(context: typer.Context, number: Number) -> None:
    """Drop a held edit; nothing is changed."""
    target: Target = context.obj
    with target.memory() as memory:
        held = memory.blocks.dismiss(number)
    console().print(f"The {held.operation} of block {held.label} is dropped.", markup=False)
