"""``model``: which embedding model searches use, and changing it in place."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from mira_ltmemory.cli.common import Target, agree, bars, console, group, local, plain, quoted


def model(context: typer.Context) -> None:
    """Embedding models of the memory. Alone, it lists them."""
    if context.invoked_subcommand is None:
        status(context)


def status(context: typer.Context) -> None:
    """List the models: in use, being filled, retired; how many vectors each has and how many texts wait for one."""
    target: Target = context.obj
    screen = console()
    with target.memory() as memory:
        found = memory.models.known()
        problems = memory.problems.all()
        zone = memory.settings.zone
    table = Table("number", "model", "dimensions", "state", "since", "vectors", "missing", "overlap", "file")
    for each in found:
        known = each.known
        overlap = "-" if known.overlap is None else f"{known.overlap:.2f}"
        since = local(known.changed_at, zone)
        cells = (
            str(known.number), known.model.name, str(known.model.dimension), known.state.value, since,
            str(each.vectors), str(each.missing), overlap, known.path or "-",
        )  # fmt: skip
        table.add_row(*map(quoted, cells))
    screen.print(table if found else "No text has been embedded yet.")
    for subject, text in problems.items():
        screen.print(plain(f"{subject}: {text}"), markup=False)


def change(
    context: typer.Context,
    path: Annotated[
        Path | None, typer.Argument(help="ONNX file or folder of the new model; none: the configured one.")
    ] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(help="Folder of its tokenizer.json, where it is another.", show_default=False)
    ] = None,
    dimension: Annotated[
        int | None, typer.Option(min=1, max=4000, help="Its dimension, where its folder does not tell.")
    ] = None,
    later: Annotated[bool, typer.Option("--later", help="Begin only; the hourly job embeds.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Change even where it finds other texts than before.")] = False,
) -> None:
    """Change to another model: embed every text anew beside the present vectors, then search with the new ones.

    Searches use the present model until then. It may be stopped (Ctrl-C) and goes on when run again.
    """
    from mira_ltmemory.composition.models import open_path

    target: Target = context.obj
    screen = console()
    with target.memory() as memory:
        filling = any(each.known.state == "filling" for each in memory.models.known())
        if path is not None or not filling:
            opened = None if path is None else open_path(memory.settings, path, tokenizer, dimension)
            memory.models.change(opened)
        if later:
            screen.print("Begun; the hourly job goes on with it.", markup=False)
            return
        with bars(screen) as progress:
            done = memory.models.fill(progress)
        outcome = memory.models.cut_over(force=force)
        overlap = "" if outcome.overlap is None else f" Overlap {outcome.overlap:.2f} over {outcome.sampled} texts."
        if not outcome.done:
            screen.print(plain(f"Embedded {done} texts; not changed. {outcome.reason}"), markup=False)
            raise typer.Exit(1)
        days = memory.settings.old_vectors_days
        screen.print(f"Embedded {done} texts; searches use the new model.{overlap}", markup=False)
        screen.print(f"The former vectors are kept for {days} days; `model drop` removes them now.", markup=False)


def drop(
    context: typer.Context,
    number: Annotated[int, typer.Argument(help="Number of a model that is not in use.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove the vectors of a model: one that retired, or one that is being filled, which ends the change."""
    target: Target = context.obj
    with target.memory() as memory:
        agree(f"Remove all vectors of model {number}?", yes=yes)
        removed = memory.models.drop(number)
    console().print(f"Removed {removed} vectors.", markup=False)


group_of_models = group(model, {"status": status, "change": change, "drop": drop})
