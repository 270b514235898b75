"""``snapshot``: named moments of memory."""

from __future__ import annotations

from typing import Annotated

import typer

from mira_ltmemory.cli.common import Target, agree, console, diff_text, fitting, group, local, quoted
from mira_ltmemory.cli.log import rows_in_words, show_effect
from mira_ltmemory.protocols import Actor, Change

Name = Annotated[str, typer.Argument(help="The name of a snapshot.")]


def snapshot(context: typer.Context) -> None:
    """Named moments of memory. Alone, it lists them."""
    if context.invoked_subcommand is None:
        list_snapshots(context)


def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What to call it.")],
    note: Annotated[str | None, typer.Option(help="A remark for people.", show_default=False)] = None,
) -> None:
    """Name the present moment; its versions are then kept."""
    target: Target = context.obj
    with target.memory() as memory:
        made = memory.snapshots.create(name, note)
    console().print(quoted(f"Snapshot {made.name!r} names memory after change set {made.moment}."))


def list_snapshots(context: typer.Context) -> None:
    """List the snapshots, newest first."""
    target: Target = context.obj
    with target.memory() as memory:
        found = memory.snapshots.list()
        zone = memory.settings.zone
    screen = console()
    if not found:
        screen.print("There are no snapshots.", markup=False)
        return
    rows = [(each.name, local(each.created_at, zone), str(each.moment), each.note or "") for each in found]
    screen.print(fitting(("name", "made", "change set", "note"), rows, ("made", "change set")))


def diff(
    context: typer.Context,
    old: Annotated[str, typer.Argument(metavar="A", help="The name of a snapshot.")],
    new: Annotated[
        str | None, typer.Argument(metavar="[B]", help="The name of another; now where left out.", show_default=False)
    ] = None,
) -> None:
    """Show what changed from one snapshot to another, or until now."""
    target: Target = context.obj
    with target.memory() as memory:
        found = memory.snapshots.diff(old, new)
    screen = console()
    for label, text in found.blocks.items():
        screen.print(quoted(f"block {label}", "bold"))
        screen.print(diff_text(text) if text else "(came or went empty)", soft_wrap=True)
    for table, rows in found.rows.items():
        if rows.added or rows.removed or rows.changed:
            told = f"{len(rows.added)} came, {len(rows.removed)} went, {len(rows.changed)} changed"
            screen.print(f"{table}: {told}", markup=False)
    if found.empty:
        screen.print("Nothing changed.", markup=False)


def restore(
    context: typer.Context,
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    reason: Annotated[str | None, typer.Option(help="Why; the journal keeps it.", show_default=False)] = None,
) -> None:
    """Bring blocks and passages back to how they were. Messages stay, and an undo takes it back."""
    from mira_ltmemory.cli.rehearsal import rehearse
    from mira_ltmemory.services.snapshots import SnapshotService

    target: Target = context.obj
    screen = console()
    with target.memory() as memory:
        change = Change(Actor.USER, "cli snapshot restore", reason or f"restore of snapshot {name!r}")
        plan = rehearse(
            memory, lambda store, history: SnapshotService(store, memory.clock, history).restore(name, change)
        )
        if not plan.answer.rows:
            screen.print("Memory is as it was then; nothing was changed.", markup=False)
            return
        show_effect(screen, plan.answer.rows, plan.blocks)
        agree("Restore this snapshot?", yes=yes)
        done = memory.snapshots.restore(name, change)
    told = f"Restored {rows_in_words(done.rows)}. This is change set {done.change_set_id}: undo it to take it back."
    screen.print(told, markup=False)


def delete(
    context: typer.Context,
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Forget a name; the versions that only it kept go when older ones are pruned."""
    target: Target = context.obj
    with target.memory() as memory:
        if any(each.name == name for each in memory.snapshots.list()):  # one that is not there is refused at once
            agree(f"Delete the snapshot {name!r}? What only it kept is lost when older versions are pruned.", yes=yes)
        memory.snapshots.delete(name)
    console().print(quoted(f"There is no snapshot {name!r} any more; memory itself is unchanged."))


group_of_snapshots = group(
    snapshot,
    {"create": create, "list": list_snapshots, "diff": diff, "restore": restore, "delete": delete},
)
