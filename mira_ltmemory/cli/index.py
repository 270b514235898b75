"""``index``: the state of the search indexes, and what mends, rebuilds and measures them."""

from __future__ import annotations

from typing import Annotated

import typer

from mira_ltmemory.cli.common import Target, agree, console, fitting, group, local, plain


def index(context: typer.Context) -> None:
    """Look after the search indexes; readers and writers go on meanwhile. Alone, it shows their state."""
    if context.invoked_subcommand is None:
        status(context)


def status(context: typer.Context) -> None:
    """Show every vector index: rows, size, settings, what was measured, and what upkeep would do."""
    target: Target = context.obj
    with target.memory() as memory:
        zone = memory.settings.zone
        states = memory.indexes.states()
    rows = []
    for state in states:
        measured = state.measured
        there = "missing" if not state.there else "ready" if state.valid else "invalid"
        size = f"{state.size / (1 << 20):,.0f}"
        recall = f"{measured.recall:.3f}" if measured else "-"
        head = (f"{state.kind}s, model {state.model_id}", there, f"{state.rows:,}", size)
        rows.append((*head, str(state.effort), recall, state.to_do or "nothing"))
    screen = console()
    headers = ("index of", "state", "rows", "MB", "ef_search", "recall@10", "to do")
    screen.print(fitting(headers, rows, ("index of", "rows", "MB", "ef_search", "recall@10")))
    for state in states:
        built = f"m {state.built.m}, ef_construction {state.built.ef_construction}" if state.built else "not built"
        measured_at = local(state.measured.at, zone) if state.measured else "never"
        screen.print(plain(f"{state.name}: {built}; measured {measured_at}"), markup=False, soft_wrap=True)


def build(context: typer.Context) -> None:
    """Drop what failed builds left, build what is missing, rebuild what outgrew its settings, refresh statistics."""
    _say(context, "build")


def reindex(context: typer.Context) -> None:
    """Build every vector index anew beside the old one."""
    _say(context, "reindex")


def vacuum(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Rewrite every table (Postgres's VACUUM FULL), so that no file of a table holds what was erased.

    Each table is locked as long as it takes, and a vector index is built anew with its table.
    """
    agree("Rewrite every table? MIRA waits for each as long as it takes.", yes=yes)
    target: Target = context.obj
    screen = console()
    with target.memory() as memory:
        memory.indexes.working = lambda told: screen.print(plain(f"... {told}"), markup=False)
        done = memory.indexes.vacuum()
    screen.print(f"Rewrote {len(done)} tables.", markup=False)


def tune(context: typer.Context) -> None:
    """Measure how many of the nearest rows searches find, and set how far they look so that it is 99 %."""
    target: Target = context.obj
    screen = console()
    with target.memory() as memory:
        tuned = memory.indexes.tune()
        for each in tuned:
            told = f"{each.state.name}: recall@10 {each.measured.recall:.3f} with ef_search {each.measured.ef_search}"
            screen.print(plain(f"{told} (was {each.before})"), markup=False)
        if not tuned:
            screen.print("Nothing to measure: the indexes hold few rows, or there is no embedding model.")


def words(context: typer.Context) -> None:
    """Make this user's word index anew from the texts."""
    target: Target = context.obj
    with target.memory() as memory:
        console().print(f"Indexed the words of {memory.indexes.words()} texts.")


def _say(context: typer.Context, what: str) -> None:
    target: Target = context.obj
    screen = console()
    with target.memory() as memory:
        memory.indexes.working = lambda told: screen.print(plain(f"... {told}"), markup=False)
        done = getattr(memory.indexes, what)()
        screen.print(plain("; ".join(done) or "The indexes are as they should be."), markup=False)


group_of_index = group(
    index,
    {"status": status, "build": build, "reindex": reindex, "tune": tune, "words": words, "vacuum": vacuum},
)
