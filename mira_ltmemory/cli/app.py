"""Puts the commands together.

A new command is a function in a module of this room, named in `COMMANDS`; one with sub-commands is a ``group``.
Modules import what is heavy (the database, the model) inside their functions, so that ``--help`` stays fast.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from mira_ltmemory.cli import (
    as_of,
    batch,
    bench,
    blocks,
    cache,
    config,
    consolidate,
    demo,
    doctor,
    forget,
    graph,
    import_files,
    index,
    log,
    model,
    prune,
    review,
    search,
    snapshot,
    status,
    undo,
    work,
)
from mira_ltmemory.cli.common import Target, complain
from mira_ltmemory.errors import LtMemoryError

COMMANDS: dict[str, Callable[..., None] | typer.Typer] = {
    "demo": demo.demo,
    "import": import_files.import_files,
    "search": search.search,
    "blocks": blocks.group_of_blocks,
    "graph": graph.group_of_entities,
    "log": log.log,
    "undo": undo.undo,
    "snapshot": snapshot.group_of_snapshots,
    "as-of": as_of.as_of,
    "forget": forget.forget,
    "prune": prune.prune,
    "review": review.group_of_reviews,
    "model": model.group_of_models,
    "cache": cache.group_of_cache,
    "work": work.work,
    "consolidate": consolidate.consolidate,
    "batch": batch.group_of_batches,
    "status": status.status,
    "doctor": doctor.doctor,
    "index": index.group_of_index,
    "config": config.config,
    "bench": bench.group_of_measurements,
}


class _Group(TyperGroup):
    """Turns an error of ours into one line and exit code 1."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except LtMemoryError as error:
            complain(str(error))
            raise typer.Exit(1) from None


def _target(
    context: typer.Context,
    user: Annotated[str | None, typer.Option(help="Whose memory: a name.", show_default=False)] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where the embedded Postgres keeps its data.", show_default=False)
    ] = None,
    database_url: Annotated[
        str | None, typer.Option(help="A Postgres of your own instead of the embedded one.", show_default=False)
    ] = None,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    """Look into MIRA's long-term memory, change it, undo changes, and import conversations.

    Settings come from these options, LT_MEMORY_* variables and the settings file, in this order.
    """
    if version:
        # By name: the package itself stands above its rooms.
        typer.echo(f"mira-ltmemory {import_module('mira_ltmemory').__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit
    if data_dir is not None and database_url is not None:
        raise typer.BadParameter("give only one of --data-dir and --database-url")
    given = {"user_name": user, "data_dir": data_dir, "database_url": database_url}
    settings: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if data_dir is not None:
        settings["database_url"] = None  # who names a directory means the server there, whatever else is set
    context.obj = Target(settings)


def build_app() -> typer.Typer:
    """Return the command line with every command of the table."""
    built = typer.Typer(
        cls=_Group,
        no_args_is_help=False,
        invoke_without_command=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    built.callback()(_target)
    for name, command in COMMANDS.items():
        if isinstance(command, typer.Typer):
            built.add_typer(command, name=name)
        else:
            built.command(name)(command)
    return built


app = build_app()
