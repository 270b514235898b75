"""``bench ingest``: what taking messages in costs beside the embedding model alone."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mira_ltmemory.cli.common import Target, bars, console


class Length(StrEnum):
    """The messages that are taken in."""

    SHORT = "short"
    LONG = "long"
    BOTH = "both"


def ingest(
    context: typer.Context,
    rows: Annotated[int, typer.Option(min=100, max=10_000_000, help="Messages stored before.")] = 100_000,
    messages: Annotated[int, typer.Option(min=1, max=100_000, help="Messages of each length taken in.")] = 640,
    kind: Annotated[Length, typer.Option(help="How long the messages are.")] = Length.BOTH,
    place: Annotated[
        Path | None, typer.Option(help="Where the temporary store is made.", show_default="temporary files")
    ] = None,
    keep: Annotated[
        Path | None, typer.Option(help="Where the filled store stays, to be used again.", show_default=False)
    ] = None,
) -> None:
    """Fill a memory, take messages in by batches of 64, and print the rate beside that of the model alone.

    Also how long a message takes until it is found: by words once it is stored, by meaning once it has its vector.
    """
    from mira_ltmemory.bench import ingest as bench
    from mira_ltmemory.bench.measuring import machine
    from mira_ltmemory.bench.places import kept_memory, temporary_memory

    target: Target = context.obj
    screen = console()
    kinds = ("short", "long") if kind is Length.BOTH else (kind.value,)
    opened = temporary_memory(target.settings, place) if keep is None else kept_memory(target.settings, keep)
    with opened as memory:
        with bars(screen) as progress:
            bench.fill(memory, rows, progress)
            measured = bench.measure(memory, messages, kinds, progress=progress)
        between = bench.measure_between(memory)
    screen.print(machine(), markup=False)
    screen.print(bench.rate_table(measured, rows))
    for line in bench.between_lines(between):
        screen.print(line, markup=False)
