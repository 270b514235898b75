"""A sample of tests/proofs/consolidation.py: a consolidation killed again and again does what it does undisturbed."""

from __future__ import annotations

import random
from pathlib import Path

from doubles import WordEmbedder
from interrupted import compare
from killed_consolidation import KilledConsolidation, settle
from owners import make_plain_database


def test_kills_change_nothing_of_what_is_consolidated(postgres_dir: Path) -> None:
    draw = random.Random(7)
    disturbed, undisturbed = (
        KilledConsolidation(make_plain_database(postgres_dir), None, WordEmbedder, facts=24) for _ in range(2)
    )
    for run in (disturbed, undisturbed):
        run.fill()
    before = disturbed.present()
    assert undisturbed.process()
    for _ in range(3):
        assert not disturbed.process(draw.randint(20, undisturbed.points // 2))
    for run in (disturbed, undisturbed):
        settle(run)
    assert compare(disturbed, undisturbed)["rows"] > 150
    assert disturbed.present() != before
    assert disturbed.undo_all() >= 1
    assert disturbed.present() == before
