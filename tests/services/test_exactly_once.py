"""A sample of tests/proofs/exactly_once.py: the hourly job killed again and again does what it does undisturbed."""

from __future__ import annotations

import random
from pathlib import Path

from doubles import WordEmbedder
from interrupted import Interrupted, answer_to, compare, talk
from owners import make_plain_database

from mira_ltmemory.hosts.local.scripted_model import ScriptedModel

KILLS = 8


def test_kills_change_nothing_of_what_is_stored(postgres_dir: Path) -> None:
    draw = random.Random(5)
    messages = talk(42, 6)
    with ScriptedModel(default=answer_to) as model:
        runs = [Interrupted(make_plain_database(postgres_dir), model, WordEmbedder) for _ in range(2)]
        for run in runs:
            run.capture(messages)
        disturbed, undisturbed = runs
        assert undisturbed.process()
        most = max(60, 2 * undisturbed.points // KILLS)
        while disturbed.kills < KILLS and not disturbed.process(draw.randint(1, most)):
            pass
        assert disturbed.kills >= KILLS // 2
        assert disturbed.process()
        assert model.refusals == []
    assert compare(disturbed, undisturbed)["rows"] > 150
