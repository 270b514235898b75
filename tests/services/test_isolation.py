"""Isolation of everything that a memory offers: each public method and tool is called by a thief, found by looking.

A method is called with values of the victim's by the names of its parameters; one with a parameter that is unknown
here fails until it is listed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from isolation import TwoUsers, shared_message
from places import admin_fixture, place_fixture, plain_url_fixture, two_fixture  # noqa: F401

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.errors import InvalidArgument, LtMemoryError
from mira_ltmemory.protocols import Actor, Change, Filter, IncomingMessage, JobRun, Origin, Role
from mira_ltmemory.services import edits
from mira_ltmemory.services.erasure_plan import ErasurePlan
from mira_ltmemory.store.models import Passage

BY_USER = Change(Actor.USER, "test")

NOT_MEMORY = {
    "settings": "the caller's own",
    "database": "below users: only the composition uses it",
    "store": "the transactions themselves, walked in tests/store",
    "clock": "no user's",
    "embedder": "texts in, vectors out; shared",
    "reranker": "texts in, numbers out; shared",
    "llm": "no user's",
    "live": "the host's live messages",
    "problems": "sentences in memory, one object for each user",
    "runner": "runs functions that the caller gives; its rows are walked in tests/store",
}
NOT_CALLED = {
    "memory.as_user": "whoever holds a memory of the host may open that of any user",
    "memory.users": "ids alone, for workers, from the exempt table",
    "memory.close": "closes the database",
    "memory.attend": "told by the host where its live messages are",
    "history.restore": "wants a transaction; walked by snapshots.restore",
    "history.require_kept": "wants a transaction; walked by as_of",
    "consolidation.is_due_in": "wants a transaction; walked by consolidation.is_due",
    "memory.record_problem": "a sentence in memory",
    "memory.clear_problem": "a sentence in memory",
    "memory.jobs": "lists functions",
}


def victims_values(two: TwoUsers) -> dict[str, list[Any]]:
    """What the thief gives, by the names of parameters: all that is the victim's, and what both have."""
    last = two.victim.history.log(1)[0].id
    ids = [row["id"] for table in ("messages", "passages", "blocks", "conversations") for row in two.victims(table)]
    name = next(snapshot.name for snapshot in two.victim.snapshots.list() if two.token in snapshot.name)
    now = two.victim.clock.now()
    plan: ErasurePlan = two.victim.erasure.preview(subject=two.token)
    return {
        "change": [BY_USER],
        "change_set_id": [last, 2],
        "at": [now, last, name, "shared name"],
        "before": [now],
        "history.moment.at": [now],
        "moment": [last, 2],
        "table": [Passage],
        "limit": [50],
        "max_chars": [1000],
        "label": ["human", two.token],
        "new_label": ["mine"],
        "labels": [["human"]],
        "description": [""],
        "char_limit": [100],
        "content": [f"{two.token} written by the thief"],
        "old_content": [f"{two.token} {two.secret}", "line"],
        "new_content": ["x"],
        "new_str": ["x"],
        "insert_line": [0],
        "new_memory": ["x"],
        "patch": [[edits.Append(new="x")]],
        "version": [1, 2, 3],
        "versions": [[1, 2, 3]],
        "a": [1],
        "b": [2],
        "held_id": [1],
        "holds": [lambda text: two.token in text],
        "dry": [True],
        "progress": [lambda *_: None],
        "may_go_on": [lambda: True],
        "query": [two.token, two.secret, f"{two.token} {two.secret}", ""],
        "filter": [Filter(), Filter(start=now - timedelta(days=1))],
        "tags": [[two.token]],
        "hits": [two.victim.archival.search(two.token).hits],
        "name": [name, "shared name"],
        "old": [name, "shared name"],
        "new": ["shared name"],
        "text": [two.token],
        "texts": [[two.token]],
        "ids": [ids, ids[:1]],
        "subject": [two.token, two.secret],
        "plan": [plan, ErasurePlan(user_id=two.thief.store.user_id, subject=two.token, rows=plan.rows)],
        "messages": [[shared_message(two.thief, "mine now")]],
        "source": ["a file"],
        "entity_id": [row["id"] for row in two.victims("entities")],
        "into_id": [row["id"] for row in two.victims("entities")],
        "alias": [f"{two.token} {two.secret}"],
        "reason": ["theirs"],
        "start": [f"{two.token} {two.secret}"],
        "end": ["Berg"],
        "graph.neighbours.name": [f"{two.token} {two.secret}"],
        "graph.lookup.name": [f"{two.token} {two.secret}", two.token],
        "graph.one.name": [f"{two.token} {two.secret}", two.token],
        "entity.name": [f"{two.token} {two.secret}", two.token],
        "sample": [3],
        "seed": [1],
        "lower": [True],
        "number": [1, 2],
        "embedder": [two.victim.embedder],
        "model": [two.victim.embeddings.embedder.model],
        "run": [JobRun(name="job", scheduled_for=now, change=BY_USER)],
    }


ONE_OF = {"erasure.preview": ("subject", "ids", "query")}
"""Methods that want one of several arguments, none of which is required alone."""


def services(memory: MemoryManager) -> dict[str, Any]:
    found = {"memory": memory}
    for name, value in vars(memory).items():
        if not name.startswith("_") and name not in NOT_MEMORY:
            found[name] = value
    return found


def methods(memory: MemoryManager) -> dict[str, Callable[..., Any]]:
    return {
        f"{name}.{attribute}": getattr(service, attribute)
        for name, service in services(memory).items()
        for attribute, value in inspect.getmembers(type(service), inspect.isfunction)
        if not attribute.startswith("_") and f"{name}.{attribute}" not in NOT_CALLED
    }


def calls(name: str, method: Callable[..., Any], values: dict[str, list[Any]]) -> Iterator[dict[str, Any]]:
    """Ways to call a method: its required arguments, each of their values in turn, and each optional one beside."""
    parameters = inspect.signature(method).parameters
    given = {each: found for each in parameters if (found := values.get(f"{name}.{each}", values.get(each)))}
    required = [each for each, parameter in parameters.items() if parameter.default is parameter.empty]
    unknown = [each for each in required if each not in given]
    assert not unknown, f"{name}: say in victims_values what a thief gives for {', '.join(unknown)}"
    if name in ONE_OF:
        yield from ({one: value} for one in ONE_OF[name] for value in values[one])
        return
    base = {each: given[each][0] for each in required}
    yield base
    for each, found in given.items():
        for value in found:
            yield {**base, each: value}


def test_no_method_shows_or_changes_the_victims_memory(two: TwoUsers) -> None:
    before = two.victims_rows()
    values = victims_values(two)
    walked = 0
    for name, method in methods(two.thief).items():
        for arguments in calls(name, method, values):
            told = _call(method, arguments)
            assert two.secret not in _without(told, arguments, two.secret), (name, arguments)
            walked += 1
        assert two.victims_rows() == before, name
    assert walked > 100


def test_no_past_moment_shows_the_victims_memory(two: TwoUsers) -> None:
    values = victims_values(two)
    then = two.thief.as_of(two.thief.history.log(1)[0].id)
    for attribute, _ in inspect.getmembers(type(then), inspect.isfunction):
        if not attribute.startswith("_"):
            for arguments in calls(attribute, getattr(then, attribute), values):
                told = _call(getattr(then, attribute), arguments)
                assert two.secret not in _without(told, arguments, two.secret), (attribute, arguments)


def test_no_tool_and_no_prompt_shows_or_changes_the_victims_memory(two: TwoUsers) -> None:
    before = two.victims_rows()
    values: dict[str, list[Any]] = {
        **victims_values(two), "expected_version": [1], "top_k": [50], "command": ["view"],
        "tag_match_mode": ["any", "all"], "roles": [["user"]], "start_date": ["2000-01-01"], "end_date": ["2030-01-01"],
        "start_datetime": ["2000-01-01"], "end_datetime": ["2030-01-01"],
        "include_old": [True],
        "type": ["person", "place"],
        "categories": [["note"], ["fact", "window"]],
        "include_ended": [True],
        "path": ["/memories", "/memories/human"],
    }  # fmt: skip
    for tool in two.thief.tools():
        schema = tool.schema
        for name in schema["properties"]:
            assert name in values, f"{tool.name}: say here what a thief gives for {name}"
        base = {name: values[name][0] for name in schema["required"]}
        for name in schema["properties"]:
            for value in values[name]:
                told = str(tool.run(**{**base, name: value}))
                assert two.secret not in _without(told, {**base, name: value}, two.secret), tool.name
        assert two.victims_rows() == before, tool.name
    for provider in two.thief.providers():
        assert two.secret not in provider.render()
        assert two.token not in provider.render() or "written by the thief" in provider.render()


def _call(method: Callable[..., Any], arguments: dict[str, Any]) -> str:
    try:
        result = method(**arguments)
    except LtMemoryError as refusal:
        return str(refusal)
    return repr(list(result) if isinstance(result, Iterator) else result)


def _without(told: str, arguments: dict[str, Any], secret: str) -> str:
    """What was told, less what the thief said: to hear one's own words again tells nothing."""
    for value in arguments.values():
        if isinstance(value, str) and secret in value:
            told = told.replace(repr(value), "").replace(value, "")
    return told


def test_numbers_names_and_ids_of_the_victim_are_unknown_to_the_thief(two: TwoUsers) -> None:
    last = two.victim.history.log(1)[0].id
    assert last > two.thief.history.log(1)[0].id
    with pytest.raises(InvalidArgument, match="no change set"):
        two.thief.history.undo(last, BY_USER)
    with pytest.raises(InvalidArgument, match="no change set"):
        two.thief.as_of(last)
    with pytest.raises(InvalidArgument, match="no row of memory"):
        two.thief.erasure.preview(ids=[two.victims("messages")[0]["id"]])
    assert two.thief.erasure.preview(subject=two.secret).empty
    assert two.thief.recall.search(two.secret).hits == () or all(
        two.secret not in hit.content for hit in two.thief.recall.search(two.secret).hits
    )


def test_an_erasure_by_the_thief_takes_only_the_thiefs_own(two: TwoUsers) -> None:
    before = two.victims_rows()
    two.thief.archival.insert(f"the thief wrote {two.token}")
    receipt = two.thief.erasure.erase(two.thief.erasure.preview(subject=two.token, blocks=True), vacuum=True)
    assert receipt.complete
    assert two.victims_rows() == before


def test_searches_of_the_smallest_user_are_what_they_were_alone(two: TwoUsers) -> None:
    """Neither frequencies nor lengths nor vectors of a large user move a small one's results."""
    large, small = (two.victim.as_user(f"{two.token}-{size}") for size in ("large", "small"))
    texts = [
        "the cat sleeps on the sofa",
        "a dog barks at the moon",
        "tea is ready in the kitchen",
        "rain all day long",
    ]
    _fill(small, texts)
    queries = ("cat", "who barks", "something to drink", "sofa in the kitchen", "weather")
    alone = [_found(small, query) for query in queries]
    assert any(alone)
    _fill(large, [f"cat dog tea rain sofa moon kitchen {number} {'cat ' * (number % 7)}" for number in range(400)])
    assert [_found(small, query) for query in queries] == alone
    two.victim.erasure.preview(subject=two.token)
    assert [_found(small, query) for query in queries] == alone


def _fill(memory: MemoryManager, texts: list[str]) -> None:
    memory.capture(
        [
            IncomingMessage(
                conversation_id="same", external_id=str(number), role=Role.USER, content=content,
                said_at=memory.clock.now() + timedelta(minutes=number), origin=Origin.USER,
            )
            for number, content in enumerate(texts)
        ]
    )  # fmt: skip
    for content in texts[:8]:
        memory.archival.insert(content, ["same"])
    memory.process_pending()


def _found(memory: MemoryManager, query: str) -> list[tuple[str, float, int]]:
    results = [memory.recall.search(query, limit=10), memory.archival.search(query, limit=10)]
    return [(hit.content, round(hit.score, 6), result.total) for result in results for hit in result.hits]
