"""What a soak has to have found: see tests/hosts/real/scenario_soak.py."""

from __future__ import annotations

from typing import Any

MEGABYTES, SHARE = 12.0, 0.03
"""What the process and its Python objects may grow by between the second look and the last: caches fill."""

MIRAS_OWN = 17.0
"""Megabytes by which MIRA itself grows in a thousand turns, without this plugin; its objects do not."""

MIRAS_FILE = "/data/app.db"
"""Opened by MIRA's own pool of SQLite, now and then once more."""

CONNECTIONS = 4
"""What the pool opens by and by: a turn reads and writes, a job reads, and a thread of it stores vectors."""


def check(found: dict[str, Any], turns: int) -> None:
    first, last = found["looks"][1], found["looks"][-1]
    assert last["connections"] <= max(first["connections"], CONNECTIONS), found["looks"]
    more = max(0, last["connections"] - first["connections"])  # each is a file; what a job opens first comes late too
    assert files(last) <= files(first) + more + (2 if turns < 1_000 else 0), found["looks"]
    assert not any(look["abroad"] for look in found["looks"]), found["looks"]
    for name in ("threads", "children"):
        assert last[name] <= first[name], (name, found["looks"])
    megabytes = MEGABYTES + (MIRAS_OWN * turns / 1_000 if found["host"] == "mira" else 0)
    assert last["objects"] <= first["objects"] * (1 + SHARE), found["looks"]
    assert last["rss_mb"] <= first["rss_mb"] + megabytes, found["looks"]
    # Every message is there once: what the user said differs each time.
    assert found["stored"]["user"] == [turns, turns]
    assert found["stored"]["assistant"][0] == turns
    runs = found["runs"]
    assert all(set(statuses) <= {"completed"} for statuses in runs.values()), runs
    hours = turns * 6 // 60
    assert abs(runs["process_conversations"]["completed"] - hours) <= 2, runs
    assert found["problems"] == {}, found["looks"]


def files(look: dict[str, Any]) -> int:
    """How many files are open, but for MIRA's own."""
    return sum(number for name, number in look["files"].items() if not name.endswith(MIRAS_FILE))
