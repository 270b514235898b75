"""``demo``: the whole memory at work, in a place of its own."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from mira_ltmemory.cli.common import console


def demo(
    context: typer.Context,
    conversations: Annotated[
        Path | None,
        typer.Option(help="Conversations of your own: a file or a directory.", show_default="a sample"),
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where the demo keeps its data. Nothing is ever deleted there.")
    ] = None,
) -> None:
    """Import conversations, hold one, let jobs run, restart, and show that all is remembered.

    With ANTHROPIC_API_KEY, or LT_MEMORY_LLM_BASE_URL and LT_MEMORY_LLM_MODEL, a real model takes part;
    otherwise a scripted one does, behind a real HTTP endpoint on this machine.
    """
    # By name: the demo stands above the command line and uses it.
    run_demo = import_module("mira_ltmemory.demo.run").run_demo
    chosen = data_dir or (context.obj.settings.get("data_dir") if context.obj else None)
    if not run_demo(console(), conversations=conversations, data_dir=chosen):
        raise typer.Exit(1)
