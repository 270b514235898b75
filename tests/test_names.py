"""What rooms offer by name is there."""

from __future__ import annotations

import importlib

import pytest


@pytest.mark.parametrize("room", ["", ".composition", ".config", ".protocols", ".providers", ".tools"])
def test_every_name_that_a_room_lists_can_be_imported(room: str) -> None:
    module = importlib.import_module(f"mira_ltmemory{room}")
    assert module.__all__ and not [name for name in module.__all__ if not hasattr(module, name)]
