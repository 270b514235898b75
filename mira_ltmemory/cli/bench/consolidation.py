"""``bench consolidation``: how long one run takes over many passages, and how much memory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mira_ltmemory.cli.common import Target, bars, console


def consolidation(
    context: typer.Context,
    rows: Annotated[int, typer.Option(min=1_000, help="Passages of the user.")] = 100_000,
    place: Annotated[
        Path | None, typer.Option(help="Where the temporary store is made.", show_default="temporary files")
    ] = None,
) -> None:
    """Find near-duplicates among generated passages by rule, and put half of them into cold storage."""
    from mira_ltmemory.bench import consolidation as bench
    from mira_ltmemory.bench.measuring import machine
    from mira_ltmemory.bench.places import temporary_memory

    target: Target = context.obj
    screen = console()
    settings = {**target.settings, "max_hot_passages": rows // 2}
    with temporary_memory(settings, place) as memory, bars(screen) as progress:
        found = bench.measure(memory, rows, progress)
    mega = 1 << 20
    screen.print(f"{found.rows:,} passages and {found.messages:,} messages of one user; {machine()}")
    screen.print(f"{found.minutes:.1f} minutes: {found.merged:,} of {found.planted:,} planted near-duplicates merged,")
    screen.print(f"{found.summaries:,} summaries written, {found.frozen:,} passages into cold storage.")
    screen.print("Minutes: " + ", ".join(f"{name} {minutes:.1f}" for name, minutes in found.steps.items()))
    screen.print(f"Memory of this process: {found.before // mega} MB at the start, {found.peak // mega} MB at most.")
    screen.print(f"A search of cold storage took {found.cold_search * 1000:.0f} ms (median);")
    screen.print(f"recall@10 of its part by meaning: {found.cold_recall:.3f}.")
