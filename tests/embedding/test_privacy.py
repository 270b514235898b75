"""Embedding tells nobody: no file of onnxruntime's telemetry, no connection, also outside of continuous integration."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import mira_ltmemory

PACKAGE = Path(mira_ltmemory.__file__).parent

EMBED = """
import json, os, sys
from pathlib import Path
import psutil
if sys.argv[1] == "imported before":
    import onnxruntime
from mira_ltmemory.composition.models import open_embedder
from mira_ltmemory.config import MemoryConfig
embedder = open_embedder(MemoryConfig())
assert embedder.embed(["a private sentence"]).shape == (1, 384)
own = psutil.Process()
print(json.dumps({
    "written": [str(path) for path in Path.home().rglob("*") if path.is_file()],
    "open": [file.path for file in own.open_files()],
    "connections": len(own.net_connections("inet")),
}))
"""


def embedded(home: Path, *arguments: str) -> dict[str, list[str]]:
    """What a process that embeds leaves behind. It sees no variable that says that tests are running."""
    plain = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", EMBED, *arguments], env=plain, cwd=home, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_embedding_writes_no_device_id_and_opens_no_connection(tmp_path: Path) -> None:
    found = embedded(tmp_path, "alone")
    assert found["written"] == []
    assert not [path for path in found["open"] if "Microsoft" in path]
    assert found["connections"] == 0


def test_where_the_host_imported_onnxruntime_first_its_telemetry_is_still_switched_off(tmp_path: Path) -> None:
    """Its files are there by then, or not, as the host has it; embedding goes on as ever."""
    assert embedded(tmp_path, "imported before")["connections"] == 0


def test_onnxruntime_is_imported_in_one_place() -> None:
    importing = [
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if path.name != "build_model.py"  # a script of its own, which switches telemetry off too
        and re.search(r"^\s*(import|from) onnxruntime\b", path.read_text("utf-8"), re.MULTILINE)
    ]
    assert importing == ["embedding/runtime.py"]
