"""``cache``: the vectors of queries that are kept, and emptying them."""

from __future__ import annotations

from typing import Annotated

import typer

from mira_ltmemory.cli.common import Target, agree, console, group, local


def cache(context: typer.Context) -> None:
    """Vectors of queries that are kept. Alone, it tells how many, how large they are, and how often one was known."""
    if context.invoked_subcommand is not None:
        return
    target: Target = context.obj
    with target.memory() as memory:
        state, settings = memory.embeddings.cache.state(), memory.settings
    screen = console()
    asked = state.hits + state.misses
    if not settings.embedding_cache_size or not settings.embedding_cache_kept:
        screen.print("Nothing is kept beyond a process: embedding_cache_kept or embedding_cache_size is 0.")
    screen.print(f"{state.entries} of at most {settings.embedding_cache_kept} texts, {state.bytes / 1024:.0f} KiB.")
    if state.oldest_use is not None:
        screen.print(f"Used longest ago: {local(state.oldest_use, settings.zone)}.", markup=False)
    if asked and state.since is not None:
        since = local(state.since, settings.zone)
        told = f"{state.hits} of {asked} single texts were known ({state.hits / asked:.0%}) since {since}."
        screen.print(told, markup=False)


def clear(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Empty it, and count anew. Nothing else is touched: queries are embedded again when they come."""
    target: Target = context.obj
    with target.memory() as memory:
        agree("Drop the vectors of all queries that are kept?", yes=yes)
        removed = memory.embeddings.cache.clear()
    console().print(f"Dropped the vectors of {removed} texts.", markup=False)


group_of_cache = group(cache, {"clear": clear})
