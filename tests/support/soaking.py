"""What a soak has to have found: see tests/hosts/real/scenario_soak.py."""

from __future__ import annotations

from typing import Any

MEGABYTES, SHARE = 12.0, 0.03
"""What the process and its Python objects may grow by between the second look and the last: caches fill."""


def check(found: dict[str, Any], turns: int) -> None:
    first, last = found["looks"][1], found["looks"][-1]
    # The pool takes its second connection when a turn and a job first meet, and a job may open its own file: in a
    # sample that may come after the second look.
    late = {"files": 2, "connections": 1} if turns < 1_000 else {}
    for name in ("threads", "files", "connections", "children"):
        assert last[name] <= first[name] + late.get(name, 0), (name, found["looks"])
    assert last["objects"] <= first["objects"] * (1 + SHARE), found["looks"]
    assert last["rss_mb"] <= first["rss_mb"] + MEGABYTES, found["looks"]
    # Every message is there once: what the user said differs each time.
    assert found["stored"]["user"] == [turns, turns]
    assert found["stored"]["assistant"][0] == turns
    runs = found["runs"]
    assert all(set(statuses) <= {"completed"} for statuses in runs.values()), runs
    hours = turns * 6 // 60
    assert abs(runs["process_conversations"]["completed"] - hours) <= 2, runs
    assert found["problems"] == {}
