"""``consolidate``: put memory in order now, or show what that would do."""

from __future__ import annotations

from typing import Annotated

import typer

from mira_ltmemory.cli.common import Target, bars, console, plain

_NAMES = {
    "compared": "passages compared",
    "merged": "near-duplicates to merge",
    "conflicts": "contradictions to mark",
    "summaries": "summaries to write",
    "to cold storage": "passages to cold storage",
    "messages to cold storage": "messages to cold storage",
    "brought back": "memories to bring back",
    "hot passages": "passages in the indexes then",
}


def consolidate(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and change nothing.")] = False,
) -> None:
    """Merge near-duplicates, mark contradictions, sum up, and move what is old and unimportant to cold storage.

    Without a language model by rules alone. One undo takes all of it back.
    """
    target: Target = context.obj
    screen = console()
    with target.memory() as memory, bars(screen) as progress:
        done = memory.consolidation.consolidate(dry=dry_run, progress=progress)
    if not dry_run:
        screen.print(plain(done.summary), markup=False)
        return
    for name, what in _NAMES.items():
        if name in done.counts:
            screen.print(plain(f"{done.counts[name]:>8,}  {what}"), markup=False)
    for note in done.notes:
        screen.print(plain(note), markup=False)
    screen.print("Nothing was changed.", markup=False)
