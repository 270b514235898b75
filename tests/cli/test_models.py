"""``model``: the models of a memory, and changing to another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from second_model import write_second_model

from mira_ltmemory.composition import open_memory
from mira_ltmemory.config import MemoryConfig

Run = Callable[..., str]


def test_a_model_is_changed_listed_and_dropped(run: Run, config: MemoryConfig, tmp_path: Path) -> None:
    assert "No text has been embedded yet." in run("model")
    memory = open_memory(config)
    for number in range(12):
        memory.archival.insert(f"{['grey cats', 'red bicycles', 'old violins'][number % 3]} number {number}")
    memory.close()
    write_second_model(tmp_path / "other")
    assert "goes on with it" in run("model", "change", str(tmp_path / "other"), "--later")
    shown = run("model", "status")
    assert "filling" in shown
    assert "active" in shown
    shown = run("model", "change", "--force")
    assert "Embedded 12 texts; searches use the new model." in shown
    assert "Overlap" in shown
    assert "retired" in run("model")
    assert "red bicycles" in run("search", "--archival", "bicycles")
    assert "Removed 12 vectors." in run("model", "drop", "--yes", _number(run("model"), "retired"))
    assert "retired" not in run("model")
    assert "not dropped" in run("model", "drop", "--yes", _number(run("model"), "active"), code=1)


def test_what_cannot_be_changed_to_is_told(run: Run, config: MemoryConfig, tmp_path: Path) -> None:
    memory = open_memory(config)
    memory.archival.insert("grey cats")
    memory.close()
    assert "is missing" in run("model", "change", str(tmp_path / "none.onnx"), code=1)
    path = write_second_model(tmp_path / "other")
    (tmp_path / "other" / "config.json").unlink()
    assert "vectors of 48 dimensions, but" in run("model", "change", str(path), "--dimension", "24", code=1)
    assert "in use already" in run("model", "change", code=1)
    assert "filling" not in run("model")


def _number(shown: str, state: str) -> str:
    line = next(line for line in shown.splitlines() if state in line)
    return line.strip("│ ").split()[0]
