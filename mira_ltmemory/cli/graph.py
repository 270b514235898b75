"""``graph``: who and what memory knows, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer
from rich.table import Table

from mira_ltmemory.cli.common import Target, agree, complain, console, fitting, group, local, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from zoneinfo import ZoneInfo

    from mira_ltmemory.composition import MemoryManager
    from mira_ltmemory.services.graph.views import EntityBrief, EntityView, RelationView

Name = Annotated[str, typer.Argument(help="A name, or the id that `graph search` shows.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Reason = Annotated[str, typer.Option(help="Why; the journal keeps it.")]


def graph(context: typer.Context) -> None:
    """People, places and things that memory knows. Alone, it lists who is active lately."""
    if context.invoked_subcommand is not None:
        return
    target: Target = context.obj
    with target.memory() as memory:
        found, zone = memory.graph.active(20), memory.settings.zone
    if not found:
        console().print("Nobody and nothing was spoken of yet.", markup=False)
    else:
        console().print(_table(found, zone))


def show(context: typer.Context, name: Name) -> None:
    """Show all that is known of an entity."""
    target: Target = context.obj
    with target.memory() as memory:
        view, zone = _one(memory, name), memory.settings.zone
    screen = console()
    brief = view.brief
    screen.print(quoted(f"{brief.name} ({brief.type})", "bold"))
    if brief.aliases:
        screen.print(quoted(f"also: {', '.join(brief.aliases)}"))
    if brief.first is not None:
        screen.print(
            f"{brief.mentions} mentions, {local(brief.first, zone)} to {local(brief.last, zone)}", markup=False
        )
    for relation in view.relations:
        screen.print(quoted(_sentence(relation, zone), "dim" if relation.inferred else ""), soft_wrap=True)
    for mention in view.mentions:
        head = f"{local(mention.said_at, zone)}  {mention.speaker or ''}  {mention.kind.value} {mention.id}"
        screen.print(quoted(head, "cyan"), soft_wrap=True)
        screen.print(quoted(f"  {mention.excerpt}"), soft_wrap=True)
    for other in view.possible:
        screen.print(quoted(f"possibly the same: {other.name} ({other.mentions} mentions)  {other.id}", "yellow"))
    for member in view.members:
        screen.print(f"id {member}", markup=False, style="dim")


def search(
    context: typer.Context,
    query: Annotated[str, typer.Argument(help="A name, a part of one, or what it is about.")] = "",
    type: Annotated[str | None, typer.Option(help="Only entities of this type.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many.")] = 20,
) -> None:
    """Search entities by name and meaning."""
    target: Target = context.obj
    with target.memory() as memory:
        found, zone = memory.graph.search(query, type, limit), memory.settings.zone
    if not found:
        console().print("Nothing of that kind is known.", markup=False)
    else:
        console().print(_table(found, zone))


def merge(
    context: typer.Context,
    name: Name,
    into: Annotated[str, typer.Argument(help="The entity that it is the same as; its name is kept.")],
    reason: Reason = "decided by a person",
    yes: Yes = False,
) -> None:
    """Say that two entities are the same. An undo of the change set takes it back."""
    target: Target = context.obj
    with target.memory() as memory:
        one, other = _one(memory, name), _one(memory, into)
        for view in (one, other):
            console().print(quoted(f"{view.brief.name} ({view.brief.type}), {view.brief.mentions} mentions"))
        agree("Are they the same?", yes=yes)
        done = memory.entity_merges.merge(one.brief.id, other.brief.id, reason)
    told = f"{done.entity} is {done.into} from now on. This is change set {done.change_set_id}: undo it to part them."
    console().print(quoted(told), soft_wrap=True)


def split(
    context: typer.Context,
    name: Name,
    alias: Annotated[
        str | None,
        typer.Option(help="The name that is to stand for another one; without it, what was merged is parted."),
    ] = None,
    reason: Reason = "decided by a person",
    yes: Yes = False,
) -> None:
    """Part an entity from those it was merged with, or one of its names from it."""
    target: Target = context.obj
    with target.memory() as memory:
        entity_id = _id(name) or _one(memory, name).brief.id
        agree("Part them?", yes=yes)
        if alias is None:
            number = memory.entity_merges.split(entity_id, reason)
        else:
            number = memory.entity_merges.split_name(entity_id, alias, reason)
    console().print(f"Parted. This is change set {number}: undo it to take it back.", markup=False)


def path(
    context: typer.Context,
    start: Annotated[str, typer.Argument(help="A name.")],
    end: Annotated[str, typer.Argument(help="Another name.")],
) -> None:
    """Show the shortest way from one entity to another, along relations and texts that speak of both."""
    target: Target = context.obj
    with target.memory() as memory:
        found = memory.graph.path(start, end)
    if not found:
        complain(f"Nothing joins {start!r} and {end!r}.")
        raise typer.Exit(1)
    console().print(quoted(" - ".join(each.name for each in found)), soft_wrap=True)


def groups(context: typer.Context) -> None:
    """Show who and what hangs together, and what is important now."""
    target: Target = context.obj
    with target.memory() as memory:
        found, important = memory.graph.communities(), memory.graph.importance(10)
    screen = console()
    screen.print(quoted(f"important: {', '.join(each.name for each in important) or 'nothing yet'}"), soft_wrap=True)
    for number, each in enumerate(found, start=1):
        names = ", ".join(brief.name for brief in each[:20])
        screen.print(quoted(f"{number}. {names}{' and more' if len(each) > 20 else ''}"), soft_wrap=True)


def _one(memory: MemoryManager, name: str) -> EntityView:
    known = _id(name)
    return memory.graph.of_id(known) if known is not None else memory.graph.one(name)


def _id(name: str) -> UUID | None:
    try:
        return UUID(name)
    except ValueError:
        return None


def _sentence(relation: RelationView, zone: ZoneInfo) -> str:
    told = f"  {relation.subject} {relation.predicate.replace('_', ' ')} {relation.object}"
    if relation.until is not None:
        told += f" until {local(relation.until, zone)}"
    return f"{told}  (inferred: {relation.rule})" if relation.inferred else f"{told}  ({relation.confidence:.2f})"


def _table(found: Sequence[EntityBrief], zone: ZoneInfo) -> Table:
    # The id stands below the name: beside it, no terminal of 80 columns would show it in full.
    rows = [
        (f"{each.name}\n{each.id}", each.type, str(each.mentions), local(each.last, zone).split(" ", 1)[0])
        for each in found
    ]
    table = fitting(("name and id", "type", "mentions", "last"), rows, ("mentions", "last"))
    table.columns[0].min_width = len(str(UUID(int=0)))
    return table


group_of_entities = group(
    graph, {"show": show, "search": search, "merge": merge, "split": split, "path": path, "groups": groups}
)
