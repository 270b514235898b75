"""``bench retrieval``: how much of the evidence of questions is found, on conversations of one's own."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from mira_ltmemory.cli.common import Target, bars, console


def retrieval(
    context: typer.Context,
    data: Annotated[Path, typer.Option(help="Directory of *.conversations.jsonl and *.questions.jsonl, or .gz.")],
    place: Annotated[
        Path | None, typer.Option(help="Where the temporary store is made.", show_default="temporary files")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Also write the figures of each question there, as JSON.", show_default=False)
    ] = None,
) -> None:
    """Store conversations, ask the questions about them, and print how much of the evidence is found.

    The fields of the files are told in docs/retrieval.md. Each conversation is the memory of a user of its own.
    """
    from mira_ltmemory.bench import retrieval as bench
    from mira_ltmemory.bench.measuring import machine
    from mira_ltmemory.bench.places import temporary_memory
    from mira_ltmemory.bench.retrieval_data import read_cases
    from mira_ltmemory.config import load_config

    target: Target = context.obj
    screen = console()
    cases = read_cases(data, load_config(**target.settings).zone)
    with temporary_memory(target.settings, place) as memory, bars(screen) as progress:
        outcomes, strange, timing = bench.measure(memory, cases, progress)
    if out is not None:
        out.write_text(json.dumps([asdict(each) for each in outcomes], indent=1), "utf-8")
    screen.print(f"{sum(len(case.messages) for case in cases)} messages of {len(cases)} conversations; {machine()}")
    screen.print(bench.outcome_table(outcomes))
    if strange:
        screen.print(bench.abstention_table(outcomes, strange))
    if timing.seconds:
        screen.print(f"A search took {timing.median * 1000:.1f} ms (median), {timing.p95 * 1000:.1f} ms (95th).")
