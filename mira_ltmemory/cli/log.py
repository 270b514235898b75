"""``log``: who changed memory, and how changes are shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from mira_ltmemory.cli.common import Target, console, diff_text, fitting, local

if TYPE_CHECKING:
    from mira_ltmemory.composition import MemoryManager
    from mira_ltmemory.services.standing import Standing
    from mira_ltmemory.store.models import ChangeSet


def log(
    context: typer.Context,
    label: Annotated[
        str | None, typer.Argument(help="Only what changed this core memory block.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many change sets to show.")] = 20,
) -> None:
    """List the changes of memory, newest first: when, who, with what, why, and what is undone."""
    target: Target = context.obj
    with target.memory() as memory:
        if label is None:
            wanted = [each.id for each in memory.history.log(limit)]
        else:
            versions = memory.blocks.history(label, limit)
            numbers = {each.change_set_id for each in versions} | {each.ended_by for each in versions} - {None}
            wanted = sorted((number for number in numbers if number is not None), reverse=True)[:limit]
        show_change_sets(memory, wanted, console())


def show_change_sets(memory: MemoryManager, numbers: Iterable[int], screen: Console) -> None:
    """Print change sets as a table, in the order in which their numbers are given."""
    from mira_ltmemory.services.standing import Standing

    with memory.store.read() as unit:
        standing = Standing(unit.history.entries())
        found = [entry for number in numbers if (entry := unit.journal.get(number)) is not None]
    if not found:
        screen.print("There are no changes.", markup=False)
        return
    rows = []
    for entry in found:
        by = f"{entry.actor} {entry.tool or ''}".strip()
        head = (str(entry.id), local(entry.created_at, memory.settings.zone), by, entry.reason or "")
        rows.append((*head, str(entry.parent_id or ""), ", ".join(_remarks(entry, standing))))
    screen.print(fitting(("id", "when", "by", "reason", "parent", "remarks"), rows, ("id", "when")))


def show_effect(screen: Console, rows: Mapping[str, int], blocks: Mapping[str, str]) -> None:
    """Print what would become of memory: rows by table, and the diff of each block."""
    for diff in blocks.values():
        if diff:
            screen.print(diff_text(diff), soft_wrap=True)
    screen.print(f"This changes {rows_in_words(rows)}.", markup=False)


def rows_in_words(rows: Mapping[str, int]) -> str:
    """Tell counts of rows by table in words."""
    told = [f"{count} {_one(name) if count == 1 else name}".replace("_", " ") for name, count in rows.items() if count]
    return ", ".join(told) or "no rows"


def _remarks(entry: ChangeSet, standing: Standing) -> list[str]:
    place = standing.entry(entry.id)
    remarks = []
    if place.erased_by == entry.id:
        remarks.append("erasure")
    elif place.erased_by is not None:
        remarks.append(f"partly erased by {place.erased_by}")
    if entry.undoes is not None:
        remarks.append(f"undoes {entry.undoes}" + (f" with {entry.parent_id}" if place.joined else ""))
    if not standing.is_on(entry.id):
        remarks.append("undone")
    if entry.meta.get("untrusted_source"):
        remarks.append("untrusted: repeats text of a tool or web page")
    return remarks


def _one(name: str) -> str:
    return f"{name[:-3]}y" if name.endswith("ies") else name.removesuffix("s")
