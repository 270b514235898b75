"""Kills the hourly job at 200 random points of a run over 2,000 messages, starts it again each time, and compares.

What is there in the end has to be what an undisturbed run leaves: the same rows by their ids in every table, vectors
within the tolerance of the int8 model, whose activations depend on the batch, no duplicate, none missing.
``PROOF_KILLS`` and ``PROOF_MESSAGES`` set the numbers, ``PROOF_SEED`` the points.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

from interrupted import Interrupted, answer_to, compare, talk
from owners import make_plain_database

import mira_ltmemory
from mira_ltmemory.embedding.onnx import OnnxEmbedder
from mira_ltmemory.hosts.local.scripted_model import ScriptedModel

KILLS = int(os.environ.get("PROOF_KILLS", "200"))
MESSAGES = int(os.environ.get("PROOF_MESSAGES", "2000"))
SEED = int(os.environ.get("PROOF_SEED", "1"))


def real_embedder() -> OnnxEmbedder:
    folder = Path(mira_ltmemory.__file__).parent / "onnx"
    return OnnxEmbedder(folder / "model.onnx", folder)


def test_a_run_that_is_killed_again_and_again_does_what_it_does_undisturbed(postgres_dir: Path) -> None:
    draw = random.Random(SEED)
    messages = talk(MESSAGES, 6)
    began = time.monotonic()
    with ScriptedModel(default=answer_to) as model:
        disturbed, undisturbed = (
            Interrupted(make_plain_database(postgres_dir), model, real_embedder) for _ in range(2)
        )
        for run in (disturbed, undisturbed):
            run.capture(messages)
        assert undisturbed.process()
        calls = len(model.requests)
        print(f"undisturbed: {undisturbed.points} points, {calls} model calls, {time.monotonic() - began:.0f} s")
        # On average a little less than what is left by the kills: the run goes on until the last of them.
        least = 40
        most = max(2 * least, int(1.6 * undisturbed.points / KILLS) + least)
        finished = 0
        while disturbed.kills < KILLS:
            if disturbed.process(draw.randint(1, most)):
                finished += 1
                break
            if disturbed.kills % 20 == 0:
                print(f"{disturbed.kills} kills, {time.monotonic() - began:.0f} s", flush=True)
        if not finished:
            assert disturbed.process()
        print(f"{disturbed.kills} kills, {len(model.requests) - calls} model calls, {time.monotonic() - began:.0f} s")
        assert model.refusals == []
    print(compare(disturbed, undisturbed))
    assert disturbed.kills == KILLS
