"""``forget``: erase for good, after it was shown what goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import UUID
from zoneinfo import ZoneInfo

import typer
from rich.console import Console

from mira_ltmemory.cli.common import Target, agree, complain, console, fitting, interactive, local, quoted
from mira_ltmemory.cli.search import show_hit
from mira_ltmemory.errors import InvalidArgument, NeedsConfirmation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mira_ltmemory.services.erasure_plan import ErasedRow, ErasurePlan, ErasureReceipt

_LISTED = 50


def forget(
    context: typer.Context,
    subject: Annotated[
        str | None, typer.Argument(help="A name or words: all that holds them goes.", show_default=False)
    ] = None,
    ids: Annotated[
        list[UUID] | None,
        typer.Option("--id", help="A message, passage, conversation or block by its id; may be repeated."),
    ] = None,
    query: Annotated[
        str | None, typer.Option("--query", help="Search for what is meant, and choose.", show_default=False)
    ] = None,
    blocks: Annotated[bool, typer.Option("--blocks", help="Take the text out of core memory too.")] = False,
    with_sources: Annotated[
        bool, typer.Option("--with-sources", help="Erase what the rows came from too, not only what came from them.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    vacuum: Annotated[
        bool, typer.Option("--vacuum", help="Rewrite the tables afterwards; locks each as long as that takes.")
    ] = False,
) -> None:
    """Erase from memory and its history for good. Shows what would go, asks, and prints a receipt."""
    target: Target = context.obj
    screen = console()
    with target.memory() as memory:
        zone = memory.settings.zone
        plan = memory.erasure.preview(
            subject=subject, ids=ids or None, query=query, blocks=blocks, with_sources=with_sources
        )
        if query is not None:
            chosen = _choose(plan, screen, zone, yes=yes)
            plan = memory.erasure.preview(ids=chosen, blocks=blocks, with_sources=with_sources)
        show_plan(plan, screen, zone)
        if plan.empty:
            raise InvalidArgument(f"{plan.summary} Nothing was changed.")
        agree("Erase this for good? This cannot be undone.", yes=yes)
        receipt = memory.erasure.erase(plan, vacuum=vacuum)
    show_receipt(receipt, screen, zone)
    if not receipt.complete:
        complain("the text still stands in places that this version cannot erase; the receipt names them")
        raise typer.Exit(1)


def show_plan(plan: ErasurePlan, screen: Console, zone: ZoneInfo) -> None:
    """Print what would be erased, what stays although it is akin, and what one has to know."""
    _show_rows("To be erased", plan.rows, screen, zone)
    if plan.lines and plan.blocks:
        screen.print(f"Lines to be taken out of core memory: {len(plan.lines)}", markup=False, style="bold")
        for line in plan.lines[:_LISTED]:
            since = "" if line.present else " (an earlier version)"
            screen.print(quoted(f"  {line.label}{since}: {line.text}"))
    for place, count in plan.places.items():
        screen.print(quoted(f"Taken out of {count} values of {place}; the rows stay."))
    _show_rows("Akin, and kept", plan.kept, screen, zone)
    for note in plan.notes:
        screen.print(quoted(note, "dim"))
    if not plan.empty:
        screen.print(quoted(plan.summary, "bold"))


def show_receipt(receipt: ErasureReceipt, screen: Console, zone: ZoneInfo) -> None:
    """Print what was erased, what was not, and what SQL cannot reach."""
    screen.print(f"Erased at {local(receipt.erased_at, zone)} by change set {receipt.change_set_id}.", markup=False)
    for name, count in receipt.counts.items():
        if count:
            screen.print(f"  {name}: {count}", markup=False)
    if receipt.complete:
        screen.print(f"{receipt.columns} columns were searched afterwards: it stands nowhere.", markup=False)
    for place, count in receipt.remaining.items():
        screen.print(quoted(f"It still stands in {count} rows of {place}.", "red"))
    for note in receipt.notes:
        screen.print(quoted(note))
    screen.print("Not reached by this:", markup=False)
    for told in receipt.unreachable:
        screen.print(quoted(f"  - {told}"))
    screen.print(f"Receipt {receipt.id}", markup=False, soft_wrap=True)
    if receipt.proof is not None:
        told = f"Key {receipt.proof}: only with it can be shown later what the receipt was about. It is kept nowhere."
        screen.print(told, markup=False, soft_wrap=True)


def _show_rows(title: str, rows: Sequence[ErasedRow], screen: Console, zone: ZoneInfo) -> None:
    if not rows:
        return
    shown = [
        (row.kind, "" if row.at is None else local(row.at, zone), row.why, str(row.versions), row.excerpt)
        for row in rows[:_LISTED]
    ]
    headers = ("what", "when", "why", "versions", "text")
    screen.print(fitting(headers, shown, ("what", "versions"), f"{title}: {len(rows)}"))
    if len(rows) > _LISTED:
        screen.print(f"and {len(rows) - _LISTED} more", markup=False)


def _choose(plan: ErasurePlan, screen: Console, zone: ZoneInfo, *, yes: bool) -> list[UUID]:
    """Show what a query found and let the person choose. Raises ``NeedsConfirmation`` where nobody can."""
    if not plan.choices:
        raise InvalidArgument("Nothing was found for the query; nothing was changed.")
    for number, hit in enumerate(plan.choices, 1):
        show_hit(screen, number, hit, zone, hit.kind.value, str(hit.id))
    if yes or not interactive():
        raise NeedsConfirmation("A query only finds, so nothing was erased: give what is meant with --id.")
    answer = typer.prompt("Numbers of what is to be erased, such as 1,3 (empty: none)", default="", show_default=False)
    numbers = str(answer).replace(",", " ").split()
    wrong = [each for each in numbers if not each.isdecimal() or not 1 <= int(each) <= len(plan.choices)]
    if wrong:
        raise InvalidArgument(f"{wrong[0][:40]!r} is none of the numbers; nothing was changed.")
    if not numbers:
        typer.echo("Nothing was changed.")
        raise typer.Exit(1)
    return [plan.choices[int(each) - 1].id for each in dict.fromkeys(numbers)]
