"""A sample of tests/proofs/soak.py: 50 turns, five hours of the moved clock."""

from __future__ import annotations

from typing import Any

from soaking import check


def test_nothing_grows(host: Any) -> None:
    check(host("soak", "scenario_soak", environment={"SOAK_TURNS": "50"}), 50)
