"""``bench render``: what an update of the prompt costs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mira_ltmemory.cli.common import Target, bars, console


def render(
    context: typer.Context,
    rows: Annotated[int, typer.Option(min=100, help="Passages of the user.")] = 100_000,
    rounds: Annotated[int, typer.Option(min=1, help="Turns that are measured.")] = 50,
    place: Annotated[
        Path | None, typer.Option(help="Where the temporary store is made.", show_default="temporary files")
    ] = None,
    keep: Annotated[
        Path | None, typer.Option(help="Measure in what `bench search --keep` left there.", show_default=False)
    ] = None,
) -> None:
    """Fill a memory, and print what an update of the whole prompt costs beside a raw vector query."""
    from mira_ltmemory.bench import rendering as bench
    from mira_ltmemory.bench.measuring import machine

    target: Target = context.obj
    screen = console()
    with bars(screen) as progress:
        opened = bench.prepared(dict(target.settings), rows, max(20, rounds), progress, place=place, keep=keep)
        with opened as prepared:
            measured = bench.measure(prepared, rounds)
    screen.print(machine(), markup=False)
    screen.print(bench.table(measured, prepared.rows))
