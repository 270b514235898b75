"""``bench search``: searches among many generated rows, beside the raw index in the same run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mira_ltmemory.cli.common import Target, bars, console


def search(
    context: typer.Context,
    rows: Annotated[int, typer.Option(min=100, max=100_000_000, help="Passages of the greatest user.")] = 20_000,
    users: Annotated[int, typer.Option(min=1, max=100_000, help="Users; the others share a fifth as many.")] = 100,
    seed: Annotated[int, typer.Option(help="The same seed gives the same rows.")] = 0,
    questions: Annotated[int, typer.Option(min=10, max=10_000, help="Questions that are asked.")] = 100,
    keep: Annotated[
        Path | None, typer.Option(help="Keep the store there and use it again.", show_default=False)
    ] = None,
    guide: Annotated[bool, typer.Option(help="Also build and ask the guide's IVFFlat index.")] = True,
) -> None:
    """Generate rows, build the index, and print recall, time, filters, the smallest user, and sizes.

    A million rows take some 10 GB of disk and, on two cores, an hour.
    """
    from mira_ltmemory.bench import search as bench
    from mira_ltmemory.bench.measuring import figures_table, machine, timing_table

    target: Target = context.obj
    screen = console()
    with bars(screen) as progress:
        report = bench.measure(
            dict(target.settings), rows=rows, users=users, seed=seed, questions=questions, keep=keep, guide=guide,
            progress=progress,
        )  # fmt: skip
    screen.print(f"{rows:,} passages of one user among {users:,} users; {machine()}")
    screen.print(f"recall@10 of the vector part: {report.recall:.4f} (ef_search {report.effort})")
    screen.print(f"recall@10 of the raw HNSW query: {report.raw_recall:.4f} (ef_search {report.raw_effort})")
    if report.guide_recall is not None:
        screen.print(f"recall@10 of the guide's query: {report.guide_recall:.4f} (IVFFlat, 100 lists, 1 probe)")
    screen.print(timing_table("A search, its parts and its rivals", report.timings, "raw HNSW"))
    hybrid = report.timings["hybrid search"]
    screen.print(f"The hybrid search's 95th percentile is {hybrid.p95 / hybrid.median:.2f} times its median.")
    found = [
        (each.name, f"{each.total:,}", each.recall, f"{each.timing.median * 1000:.1f}", f"{each.timing.p95 * 1000:.1f}")
        for each in report.filtered
    ]
    screen.print(figures_table("Filtered searches", ("filter", "rows", "recall@10", "median ms", "p95 ms"), found))
    if report.small is not None:
        title = (
            f"The smallest user: {report.small.rows} rows, {report.small.same} of {report.small.asked} answers as alone"
        )
        screen.print(timing_table(title, report.small.timings, "alone"))
    if report.index is not None and report.database is not None:
        screen.print(
            f"The vector index takes {report.index.size >> 20:,} MB, this process {report.process_bytes >> 20:,} MB."
        )
        sizes = [
            (each.name, f"{each.size >> 20:,}", f"{each.indexes >> 20:,}")
            for each in report.database.tables
            if each.size > 1 << 20
        ]
        title = f"Database: {report.database.size >> 20:,} MB; {report.database.buffers >> 20} MB of shared buffers"
        screen.print(figures_table(title, ("table", "MB", "of it indexes"), sizes))
