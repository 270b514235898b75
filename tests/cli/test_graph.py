"""``mira-ltmemory graph``: who and what memory knows, merged and parted by a person."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from graphing import talk, view

from mira_ltmemory.composition import MemoryManager

Run = Callable[..., str]


@pytest.fixture
def known(memory: MemoryManager) -> MemoryManager:
    talk(memory, "Robert Hale works at Siemens in Oslo.", "We asked Robert Hale.", talk="one")
    talk(memory, "We met Bob.", "\x1b[31m Bob likes [red]Rome[/red].", talk="two")
    return memory


def test_what_is_known_is_shown(run: Run, known: MemoryManager) -> None:
    assert "Robert Hale" in run("graph")
    told = run("graph", "show", "robert hale")
    assert "Robert Hale (person)" in told
    assert "2 mentions" in told
    assert "Robert Hale works at Siemens  (0.85)" in told
    assert "We asked Robert Hale." in told
    assert "\\x1b[31m Bob likes [red]Rome[/red]." in run("graph", "show", str(view(known, "Bob").brief.id))
    assert "Siemens" in run("graph", "search", "siemens", "--type", "organization")
    assert "No entity is called 'Nobody'" in run("graph", "show", "Nobody", code=1)
    assert "type must be one of" in run("graph", "search", "x", "--type", "animal", code=1)


def test_merge_and_split_ask_and_can_be_undone(run: Run, known: MemoryManager) -> None:
    assert "no terminal to ask at" in run("graph", "merge", "Bob", "Robert Hale", code=1)
    told = run("graph", "merge", "Bob", "Robert Hale", "--yes", "--reason", "a nickname")
    number = re.search(r"change set (\d+)", told)
    assert number is not None
    assert "also: Bob" in run("graph", "show", "Bob")
    assert "a nickname" in run("log", "--limit", "1")
    run("undo", number.group(1), "--yes")
    assert "also:" not in run("graph", "show", "Robert Hale")
    run("graph", "merge", "Bob", "Robert Hale", "--yes")
    bob = next(each for each in view(known, "Bob").members if each != view(known, "Bob").brief.id)
    assert "Parted" in run("graph", "split", str(bob), "--yes")
    assert view(known, "Bob").brief.name == "Bob"
    assert "merged with no other" in run("graph", "split", "Siemens", "--yes", code=1)


def test_ways_and_groups(run: Run, known: MemoryManager) -> None:
    assert "Robert Hale - Siemens" in run("graph", "path", "Robert Hale", "Siemens")
    assert "Nothing joins" in run("graph", "path", "Robert Hale", "Rome", code=1)
    told = run("graph", "groups")
    assert "important: " in told
    assert re.search(r"\d\. .*Siemens", told)


def test_nothing_is_known_yet(run: Run, memory: MemoryManager) -> None:
    assert "Nobody and nothing" in run("graph")
    assert "Nothing of that kind" in run("graph", "search", "x")
