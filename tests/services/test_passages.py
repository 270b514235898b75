"""Archival memory."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from doubles import FixedClock

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.errors import InvalidArgument, OverLimit, RefusedEdit
from mira_ltmemory.protocols import Filter


def test_a_passage_is_found_by_meaning_at_once(memory: MemoryManager) -> None:
    memory.archival.insert("Ada's cat is called Byte and is afraid of thunder", ["pets"])
    memory.archival.insert("The boiler was serviced in March", ["house"])
    hit = memory.archival.search("what is the kitten's name?").hits[0]
    assert hit.content.startswith("Ada's cat")
    assert hit.tags == ("pets",)


def test_tags_match_any_or_all(memory: MemoryManager) -> None:
    memory.archival.insert("trip to Rome", ["travel", "italy"])
    memory.archival.insert("trip to Oslo", ["travel", "norway"])

    def search(**chosen: object) -> set[str]:
        return {hit.content for hit in memory.archival.search("trip", Filter(**chosen)).hits}  # type: ignore[arg-type]

    assert search(tags=("italy", "norway")) == {"trip to Rome", "trip to Oslo"}
    assert search(tags=("travel", "italy"), tag_match_mode="all") == {"trip to Rome"}
    assert search(tags=("spain",)) == set()


def test_dates_filter(memory: MemoryManager, clock: FixedClock) -> None:
    memory.archival.insert("an early note")
    clock.advance(days=3)
    memory.archival.insert("a late note")
    late = memory.archival.search("note", Filter(start=clock.now() - timedelta(days=1)))
    assert [hit.content for hit in late.hits] == ["a late note"]


def test_the_same_text_is_stored_once_and_its_tags_are_joined(memory: MemoryManager) -> None:
    first = memory.archival.insert("Byte is a cat", ["pets"])
    again = memory.archival.insert("Byte is a cat", ["cats"])
    assert again.known
    assert again.id == first.id
    assert again.tags == ("pets", "cats")
    assert memory.archival.insert("Byte is a cat").change_set_id is None
    assert memory.archival.count() == 1


@pytest.mark.parametrize("content", ["", " \n", "a\x00", "\udfff", 5, None, "x" * 20_001])
def test_bad_content_is_refused_and_nothing_is_stored(memory: MemoryManager, content: str) -> None:
    with pytest.raises(RefusedEdit):
        memory.archival.insert(content)
    assert memory.archival.count() == 0


def test_over_long_content_gives_the_numbers(memory: MemoryManager) -> None:
    with pytest.raises(OverLimit, match=r"20,500 characters; at most 20,000 fit \(over by 500\)"):
        memory.archival.insert("x" * 20_500)


@pytest.mark.parametrize("tags", ["travel", [""], ["x" * 65], [1], ["a\x00"], [str(number) for number in range(33)]])
def test_bad_tags_are_refused_by_name(memory: MemoryManager, tags: list[str]) -> None:
    with pytest.raises((InvalidArgument, OverLimit), match="tags"):
        memory.archival.insert("text", tags)


def test_without_a_model_passages_are_stored_and_found_by_words(make_memory: Callable[..., MemoryManager]) -> None:
    memory = make_memory()
    memory.embeddings.use(None)
    assert not memory.archival.insert("Byte the cat hides under the sofa").embedded
    found = memory.archival.search("sofa")
    assert [hit.content for hit in found.hits] == ["Byte the cat hides under the sofa"]
    assert any("words" in note for note in found.notes)
    assert memory.status.read().pending == 1
