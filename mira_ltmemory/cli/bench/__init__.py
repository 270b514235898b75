"""``bench``: measurements on this machine. A new one is a module here with one function, named in `MEASUREMENTS`."""

from __future__ import annotations

from collections.abc import Callable

import typer

from mira_ltmemory.cli.bench import consolidation, embed, ingest, render, retrieval, search
from mira_ltmemory.cli.common import group

MEASUREMENTS: dict[str, Callable[..., None]] = {
    "consolidation": consolidation.consolidation,
    "embed": embed.embed,
    "ingest": ingest.ingest,
    "render": render.render,
    "retrieval": retrieval.retrieval,
    "search": search.search,
}


def bench(context: typer.Context) -> None:
    """Measure on this machine, in a store of its own that is gone afterwards. Alone, it lists the measurements."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


group_of_measurements = group(bench, MEASUREMENTS)
