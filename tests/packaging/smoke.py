"""Runs against the installed wheel, outside the tree: remember, restart, find, and the entry point."""

from __future__ import annotations

import importlib.metadata
import shutil
import tempfile
from pathlib import Path

import mira_ltmemory
from mira_ltmemory.config import MemoryConfig
from mira_ltmemory.protocols import Actor, Change


def main() -> None:
    """Hold a memory over a restart, by words and by meaning."""
    entry = next(iter(importlib.metadata.entry_points(group="mira", name="ltmemory")))
    assert entry.load().__name__ == "mira_ltmemory.hooks.plugin"
    directory = Path(tempfile.mkdtemp(prefix="ltm-"))
    settings = MemoryConfig(data_dir=directory / "pg", user_name="smoke")
    try:
        memory = mira_ltmemory.open_memory(settings)
        memory.blocks.append("human", "Name: Ada", Change(Actor.MODEL, "smoke"))
        memory.archival.insert("Ada's cat is called Byte")
        memory.close()
        memory = mira_ltmemory.open_memory(settings)
        assert memory.blocks.get("human").content == "Name: Ada"
        assert memory.archival.search("the name of her kitten").hits[0].content == "Ada's cat is called Byte"
        assert memory.problems.all() == {}
        memory.close()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    print(f"mira-ltmemory {mira_ltmemory.__version__}: the installed wheel remembers")


if __name__ == "__main__":
    main()
