"""``bench embed``: how fast texts are embedded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from mira_ltmemory.cli.common import Target, console


def embed(
    context: typer.Context,
    texts: Annotated[int, typer.Option(min=8, help="Short messages; there are a quarter as many long ones.")] = 400,
    rounds: Annotated[int, typer.Option(min=1, help="Times that all is embedded.")] = 5,
    threads: Annotated[int, typer.Option(min=0, help="Threads of each; 0: the machine's processors.")] = 0,
    baseline: Annotated[
        Path | None, typer.Option(help="Folder of a sentence-transformers model, to compare with.", show_default=False)
    ] = None,
) -> None:
    """Embed made-up messages, and print how many a second, beside sentence-transformers where it is installed."""
    from mira_ltmemory.bench import embedding as bench
    from mira_ltmemory.bench.measuring import machine
    from mira_ltmemory.composition.models import open_embedder
    from mira_ltmemory.config import load_config, override

    target: Target = context.obj
    screen = console()
    number = threads or os.cpu_count() or 1
    settings = override(load_config(**target.settings), embedding_threads=number)
    ours = open_embedder(settings)
    theirs = bench.baseline(baseline, number)
    made = bench.make_texts(texts)
    measured = bench.measure(ours.embed, theirs.embed, made, rounds)
    screen.print(f"{ours.model.name}, {number} threads; {machine()}", markup=False)
    screen.print(f"{'Beside it: ' if theirs.embed else 'Nothing to compare with. '}{theirs.said}", markup=False)
    screen.print(bench.table(measured, made))
