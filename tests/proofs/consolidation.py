"""Kills a consolidation at random points, starts it again each time, and compares with one that nothing disturbed.

What is there in the end has to be the same in every table, no passage lost and none twice, and the undo of all the
runs has to bring back exactly what there was. ``PROOF_KILLS`` and ``PROOF_FACTS`` set the numbers, ``PROOF_SEED`` the
points.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

from doubles import WordEmbedder
from interrupted import compare
from killed_consolidation import KilledConsolidation, settle
from owners import make_plain_database

KILLS = int(os.environ.get("PROOF_KILLS", "100"))
FACTS = int(os.environ.get("PROOF_FACTS", "600"))
SEED = int(os.environ.get("PROOF_SEED", "1"))


def test_a_consolidation_that_is_killed_again_and_again_does_what_it_does_undisturbed(postgres_dir: Path) -> None:
    draw = random.Random(SEED)
    began = time.monotonic()
    disturbed, undisturbed = (
        KilledConsolidation(make_plain_database(postgres_dir), None, WordEmbedder, facts=FACTS) for _ in range(2)
    )
    for run in (disturbed, undisturbed):
        run.fill()
    before = disturbed.present()
    assert undisturbed.process()
    print(f"undisturbed: {undisturbed.points} points, {time.monotonic() - began:.0f} s")
    ended = 0
    while disturbed.kills < KILLS:
        # The points of a run that was killed before are those that are left: short and long reaches in turn.
        ended += disturbed.process(draw.randint(1, max(60, undisturbed.points // draw.choice((1, 4, 16)))))
        if ended > KILLS:
            break
    for run in (disturbed, undisturbed):
        settle(run)
    print(f"{disturbed.kills} kills, {ended} runs that ended before theirs, {time.monotonic() - began:.0f} s")
    print(compare(disturbed, undisturbed))
    assert disturbed.kills >= min(KILLS, 20)
    print(f"{disturbed.undo_all()} runs undone")
    assert disturbed.present() == before
