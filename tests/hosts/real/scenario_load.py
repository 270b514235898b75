"""What it costs MIRA to have the plugin: time to attach beside the bare start of the server, and memory."""

from __future__ import annotations

import gc
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import psutil
from scenario_boot import say, start
from stage import FOUND, perform

ROUNDS = 5


def load(model: Any) -> None:
    """The database is there already, and its server is down: argument 2 is a data directory of this scenario alone."""
    system = start(model)
    process = psutil.Process()
    gc.collect()
    before = process.memory_info().rss
    began = time.perf_counter()
    import mira_ltmemory
    from mira_ltmemory.store.embedded import EmbeddedServer

    settings: dict[str, Any] = {"user_name": sys.argv[3], "data_dir": sys.argv[2]}
    installation = mira_ltmemory.install(system, **settings)
    FOUND["first"] = time.perf_counter() - began
    for number in range(20):
        model.add(f"Answer number {number} about bread and gardens.")
        say(system, f"Question number {number} about bread and gardens")
    installation.memory.process_pending()
    installation.memory.recall.search("how is bread baked?", limit=5)
    gc.collect()
    FOUND["onnxruntime"] = "onnxruntime" in sys.modules
    FOUND["mira_mb"] = before / 1e6
    FOUND["added_mb"] = (process.memory_info().rss - before) / 1e6
    installation.close()
    system["conversation"].clear_history()  # a MIRA that starts has said nothing yet
    bare, attached = [], []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        server = EmbeddedServer.start(Path(sys.argv[2]))
        bare.append(time.perf_counter() - began)
        server.stop()
        began = time.perf_counter()
        installation = mira_ltmemory.install(system, **settings)
        attached.append(time.perf_counter() - began)
        assert installation.memory.store is not None
        installation.close()
    FOUND["bare"], FOUND["attached"] = statistics.median(bare), statistics.median(attached)


if __name__ == "__main__":
    perform(globals())
