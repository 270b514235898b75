"""Memory as it was: blocks, the prompt, archival and recall search."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

import pytest
from doubles import FixedClock

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.errors import InvalidArgument, UnknownLabel, UnknownSnapshot
from mira_ltmemory.protocols import Actor, Change, Filter, IncomingMessage, Origin, Role
from mira_ltmemory.services.search.searcher import NEWEST

BY_MODEL = Change(Actor.MODEL, "test")
BY_USER = Change(Actor.USER, "test")


def say(memory: MemoryManager, clock: FixedClock, *texts: str) -> None:
    memory.capture(
        [
            IncomingMessage(
                conversation_id="c",
                external_id=text,
                role=Role.USER,
                content=text,
                said_at=clock.now() + timedelta(seconds=number),
                origin=Origin.USER,
            )
            for number, text in enumerate(texts)
        ]
    )


def test_the_prompt_is_rendered_as_it_was(memory: MemoryManager, clock: FixedClock) -> None:
    memory.blocks.append("human", "Likes tea", BY_MODEL)
    core = next(provider for provider in memory.providers() if provider.name == "core_memory")
    then, rendered = clock.now(), core.render()
    clock.advance(days=1)
    memory.blocks.rethink("human", "Likes coffee", BY_MODEL)
    view = memory.as_of(then)
    assert view.render() == rendered
    assert view.block("human").content == "Likes tea"
    assert [block.label for block in view.blocks()] == [block.label for block in memory.blocks.all()]
    assert memory.as_of(clock.now()).render() == core.render() != rendered
    with pytest.raises(UnknownLabel, match="'attic' after change set"):
        view.block("attic")
    assert memory.as_of(view.moment).block("human") == view.block("human")


def test_archival_search_answers_as_it_was(memory: MemoryManager, clock: FixedClock) -> None:
    cat = memory.archival.insert("Byte the cat sleeps on the sofa", ["pets"])
    gone = memory.archival.insert("The kitten Bit lives next door")
    then = clock.now()
    clock.advance(days=1)
    assert gone.change_set_id is not None
    memory.history.undo(gone.change_set_id, BY_USER)
    memory.archival.insert("Byte the cat sleeps on the sofa", ["home"])
    memory.archival.insert("A new kitten moved in")
    view = memory.as_of(then)
    found = view.search("where is the kitten")
    assert {hit.id for hit in found.hits} == {cat.id, gone.id}
    assert found.hits[0].id == gone.id
    assert found.total == 2
    assert all("cosine" in hit.features for hit in found.hits)
    assert [hit.tags for hit in found.hits if hit.id == cat.id] == [("pets",)]
    assert [hit.id for hit in view.search("sofa", Filter(tags=("pets",))).hits] == [cat.id]
    assert view.search("sofa", Filter(tags=("home",))).hits == ()
    assert {hit.id for hit in view.passages()} == {cat.id, gone.id}
    assert view.search("").notes == (NEWEST,)
    assert len(view.passages(limit=1)) == 1
    with pytest.raises(InvalidArgument, match="limit"):
        view.search("sofa", limit=0)


def test_a_search_as_of_now_finds_what_a_search_finds(memory: MemoryManager, clock: FixedClock) -> None:
    for number in range(30):
        memory.archival.insert(f"note {number} about {'boats' if number % 3 else 'trains'} and {number * 7}")
    say(memory, clock, *[f"line {number} of {'tea' if number % 4 else 'coffee'}" for number in range(40)])
    memory.process_pending()
    now = memory.as_of(clock.now())
    for query in ("boats", "what about trains", "21", "nothing of the kind"):
        past, present = now.search(query, limit=50), memory.archival.search(query, limit=50)
        assert {hit.id for hit in past.hits} == {hit.id for hit in present.hits}
        assert past.total == present.total
        for name in ("cosine", "bm25"):
            known = {hit.id: hit.features[name] for hit in present.hits}
            assert {hit.id: hit.features[name] for hit in past.hits} == pytest.approx(known, abs=1e-5)
    assert now.search("note 3 and 21").hits[0].id == memory.archival.search("note 3 and 21").hits[0].id
    for query in ("coffee", "line 7"):
        past, present = now.search_messages(query), memory.recall.search(query)
        # Lines that differ by a number alone may stand in another order: what is usual is not known of the past.
        assert query in past.hits[0].content
        assert query in present.hits[0].content
        assert past.hits[0].conversation_id == "c"


def test_messages_are_found_as_they_were(memory: MemoryManager, clock: FixedClock) -> None:
    say(memory, clock, "we talked about Lisbon")
    then = clock.now()
    clock.advance(days=1)
    say(memory, clock, "Lisbon again")
    assert [hit.content for hit in memory.as_of(then).search_messages("Lisbon").hits] == ["we talked about Lisbon"]
    assert memory.as_of(then).search_messages("", Filter(roles=(Role.ASSISTANT,))).hits == ()


def test_before_anything_there_was_nothing(memory: MemoryManager, clock: FixedClock) -> None:
    view = memory.as_of(clock.now() - timedelta(days=400))
    assert (view.moment, view.blocks(), view.render(), view.search("tea").hits) == (0, [], "", ())


@pytest.mark.parametrize(
    ("moment", "says"),
    [
        (datetime(2025, 5, 6), "no time zone"),
        (10**6, "There is no change set 1000000; the newest is"),
        (-1, "There is no change set -1"),
        (True, "as_of wants"),
        (None, "as_of wants"),
        (1.5, "as_of wants"),
    ],
)
def test_a_moment_that_cannot_be_is_refused(memory: MemoryManager, moment: object, says: str) -> None:
    with pytest.raises(InvalidArgument, match=says):
        memory.as_of(moment)  # type: ignore[arg-type]


def test_the_future_and_unknown_snapshots_are_refused(memory: MemoryManager, clock: FixedClock) -> None:
    with pytest.raises(InvalidArgument, match="future"):
        memory.as_of(clock.now() + timedelta(seconds=1))
    for name in ("nowhere", "a\0b", ""):
        with pytest.raises(UnknownSnapshot, match="There are none"):
            memory.as_of(name)
    memory.snapshots.create("spring")
    with pytest.raises(UnknownSnapshot, match="The snapshots are: 'spring'"):
        memory.as_of("sprung")


def test_the_answer_for_a_moment_waits_for_the_edit_that_is_under_way(memory: MemoryManager, clock: FixedClock) -> None:
    moments: list[int] = []
    with memory.store.write(BY_MODEL) as unit:
        asking = threading.Thread(target=lambda: moments.append(memory.history.moment(clock.now())))
        asking.start()
        asking.join(0.2)
        assert moments == []
        number = unit.change_set_id
    asking.join()
    assert moments == [number]
