"""7,200 turns with the jobs running on a moved clock: a month in which nothing grows and nothing is left open.

In the small host, and in the real MIRA where ``MIRA_ROOT`` names a checkout. A sample is in tests/hosts/test_soak.py.
``PROOF_TURNS`` sets the number of turns; docs/proofs.md says what the last run found.
"""

from __future__ import annotations

import os
from typing import Any

from hosting import host, local, play  # noqa: F401
from soaking import check

TURNS = int(os.environ.get("PROOF_TURNS", "7200"))


def test_nothing_grows(host: Any) -> None:  # noqa: F811
    found = host("soak", "scenario_soak", environment={"SOAK_TURNS": str(TURNS)}, timeout=4 * 3600)
    for look in found["looks"]:
        print(look)
    print(found["runs"])
    check(found, TURNS)
