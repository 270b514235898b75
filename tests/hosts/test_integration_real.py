"""MIRA's own way to have a memory, and our taking its place, inside the real MIRA. Twin: test_integration.py."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

import mira_ltmemory

IMPORT = "from lt_memory.integration import"


def change_one_import(mira: Path) -> None:
    main = mira / "main.py"
    text = main.read_text()
    assert text.count(IMPORT) in (0, 1)
    main.write_text(text.replace(IMPORT, "from mira_ltmemory.integration import"))
    (mira / "lt_memory_is_theirs.py").write_text(f"ABSENT = {IMPORT not in text}\n")


def give_it_a_model(mira: Path) -> None:
    shutil.copy(Path(mira_ltmemory.__file__).parent / "onnx" / "model.onnx", mira / "onnx" / "model.onnx")


def test_changing_one_import_is_enough(play: Any) -> None:
    found = play("one_import", "scenario_integration", prepare=change_one_import)
    assert found["keys"] == ["automations", "bridge", "manager", "tool"]
    assert found["types"] == ["MemoryManager", "MemoryBridge", "MiraTool"]
    assert "health_check" in found["automations"] and found["rows"] == found["row_ids"]
    assert found["edit"] == [False, True]
    assert all(found["complete"]) and len(found["complete"]) > 4
    assert found["same"]
    said = [content for _, content in found["stored"]]
    assert [said.count(text) for text in ("My cat is called Ada.", "Thanks", "About the weather.")] == [1, 1, 1]


@pytest.mark.skipif(
    "MIRA_ROOT" in os.environ and not Path(os.environ["MIRA_ROOT"], "lt_memory").is_dir(),
    reason="this commit of MIRA has no lt_memory of its own",
)
def test_ours_takes_the_place_of_miras_own_memory_and_leaves_its_tables(play: Any) -> None:
    found = play("own_memory", "scenario_integration", prepare=give_it_a_model)
    assert found["before"] == [True, True]
    assert {"memory_blocks", "memory_passages"} <= set(found["tables"])
    assert found["during"] == [False, False, True]
    assert found["unchanged"] and found["their_rows"] == []
    assert found["stored"][0][1] == "Hi"
    assert found["after"] == [True, True]
