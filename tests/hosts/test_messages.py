from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mira_ltmemory.hosts.messages import convert
from mira_ltmemory.protocols import IncomingMessage, Origin, Role

SAID = datetime(2025, 5, 5, 9, 30, tzinfo=UTC)


@dataclass
class Live:
    """A message as MIRA holds it."""

    role: str
    content: Any
    id: str = "m1"
    created_at: Any = SAID
    metadata: dict[str, Any] = field(default_factory=dict)


def one(content: Any, role: str = "assistant", **more: Any) -> IncomingMessage:
    return convert([Live(role, content, **more)], "c1")[0]


def call(name: str, **arguments: Any) -> SimpleNamespace:
    return SimpleNamespace(type="tool_use", id="t1", name=name, input=arguments)


def answer(text: Any, tool_use_id: str = "t1") -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": tool_use_id, "content": text, "is_error": False}


def test_plain_text() -> None:
    found = one("My cat is called Ada.", "user")
    assert found == IncomingMessage(
        conversation_id="c1",
        external_id="m1",
        role=Role.USER,
        content="My cat is called Ada.",
        said_at=SAID,
        origin=Origin.USER,
    )


def test_saved_messages_are_the_same_as_live_ones() -> None:
    saved = {"role": "user", "content": "Hi", "id": "m1", "created_at": SAID.isoformat(), "metadata": {"a": 1}}
    assert convert([saved], "c1") == convert([Live("user", "Hi", metadata={"a": 1})], "c1")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("<thought_process>\nHe likes <tea>.\n</thought_process>\nHello <topic_changed=true/>", "Hello"),
        ("Hello<topic_changed=false />", "Hello"),
        ("<need_tool />", "[nothing but internal tags]"),
        ("a < b and b > c", "a < b and b > c"),
    ],
)
def test_internal_tags_are_taken_out_of_what_the_model_says(text: str, kept: str) -> None:
    assert one(text).content == kept


def test_what_the_user_says_is_not_touched() -> None:
    text = "  What does <thought_process>x</thought_process> mean?\t\n"
    assert one(text, "user").content == text


BLOCKS = [
    [SimpleNamespace(type="text", text="I look."), call("weather_tool", city="Bonn")],
    [
        {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "t1", "name": "weather_tool", "input": {"city": "Bonn"}},
    ],
    [
        "TextBlock(citations=None, text='I look.', type='text')",
        "ToolUseBlock(id='t1', input={'city': 'Bonn'}, name='weather_tool', type='tool_use', caller=Direct(type='d'))",
    ],
    "[TextBlock(citations=None, text='I look.', type='text'),"
    " ToolUseBlock(id='t1', input={'city': 'Bonn'}, name='weather_tool', type='tool_use')]",
]


@pytest.mark.parametrize("blocks", BLOCKS, ids=["objects", "dicts", "repr", "repr of a list"])
def test_calls_of_tools_are_readable_in_every_shape(blocks: Any) -> None:
    said, result = convert([Live("assistant", blocks), Live("user", [answer("{'temp': 20}")], id="m2")], "c1")
    assert said.content == 'I look.\n[calls weather_tool with {"city": "Bonn"}]'
    assert said.metadata == {"tool_calls": [{"name": "weather_tool", "input": {"city": "Bonn"}}]}
    assert (result.role, result.origin, result.content) == (Role.TOOL, Origin.TOOL, "{'temp': 20}")
    assert result.metadata == {"tool_results": ["weather_tool"]}


def test_memory_shown_again_is_not_taken_down() -> None:
    blocks = [call("conversation_search", query="cat")]
    said, result = convert([Live("assistant", blocks), Live("user", [answer("Ada the cat")], id="m2")], "c1")
    assert said.content == "[calls conversation_search]"
    assert (result.origin, result.content) == (Origin.RECALLED, "[conversation_search answered]")
    assert "Ada" not in repr(result)


def test_a_mixed_answer_keeps_only_the_part_that_is_not_memory() -> None:
    calls = [call("archival_memory_search"), SimpleNamespace(type="tool_use", id="t2", name="weather_tool", input={})]
    results = [answer("secret"), answer("sunny", "t2")]
    _, result = convert([Live("assistant", calls), Live("user", results, id="m2")], "c1")
    assert (result.origin, result.content) == (Origin.TOOL, "[archival_memory_search answered]\nsunny")


def test_a_notification_is_not_the_models_word() -> None:
    found = one("You have 1 reminder", metadata={"is_notification": True, "priority": "high"})
    assert (found.role, found.origin) == (Role.ASSISTANT, Origin.TOOL)


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        (None, "[empty message]"),
        ("", "[empty message]"),
        (42, "42"),
        ([42], "42"),
        ([{"type": "video", "url": "x"}], '{"type": "video", "url": "x"}'),
        ([{"type": "image", "source": {"data": "AAAA"}}], "[image]"),
        (["TextBlock(text='cut of"], "TextBlock(text='cut of"),
        (["TextBlock(text=open('/x'), type='text')"], "TextBlock(text=open('/x'), type='text')"),
        ([answer([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}])], "a\nb"),
    ],
)
def test_strange_shapes_are_kept(content: Any, kept: str) -> None:
    assert one(content, "user").content == kept


def test_a_message_without_an_id_has_the_same_id_every_time() -> None:
    nameless = {"role": "user", "content": "Hi"}
    first, second = convert([nameless], "c1")[0], convert([dict(nameless)], "c1")[0]
    assert first.external_id == second.external_id


def test_a_message_that_does_not_tell_its_time_was_said_with_the_one_before() -> None:
    later = datetime(2025, 5, 6, tzinfo=UTC)
    times = [None, SAID.isoformat(), "nonsense", later.replace(tzinfo=None), None]
    found = convert([Live("user", "x", id=str(number), created_at=time) for number, time in enumerate(times)], "c1")
    assert [one.said_at for one in found] == [SAID, SAID, SAID, later, later]


class Hostile:
    """An object whose every part raises."""

    @property
    def content(self) -> str:
        raise RuntimeError("no")

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__

    def __bool__(self) -> bool:
        raise RuntimeError("no")


anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.builds(Hostile) | st.datetimes(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(["type", "text", "content", "id", "input", "tool_use_id"]) | st.text(), inner)
    ),
)
kinds = st.sampled_from(["text", "tool_use", "tool_result", "thinking", "image", "x"])
block = st.builds(lambda kind, rest: {**rest, "type": kind}, kinds, st.dictionaries(st.text(), anything))
message = st.fixed_dictionaries(
    {},
    optional={
        "role": anything | st.just("assistant"),
        "content": anything | st.lists(block),
        "id": anything,
        "created_at": anything,
        "metadata": anything,
    },
)


@settings(max_examples=50)
@given(messages=st.lists(message | anything, max_size=5))
def test_nothing_is_dropped_and_nothing_raises(messages: list[Any]) -> None:
    found = convert(messages, "c1")
    assert len(found) == len(messages)
    assert all(one.content and one.said_at.tzinfo for one in found)


@given(text=st.text(), arguments=st.dictionaries(st.text(min_size=1), st.text() | st.integers() | st.booleans()))
def test_repr_strings_say_what_the_blocks_said(text: str, arguments: dict[str, Any]) -> None:
    shown = [
        f"TextBlock(text={text!r}, type='text')",
        f"ToolUseBlock(id='1', input={arguments!r}, name='x_tool', type='tool_use')",
    ]
    live = [
        SimpleNamespace(type="text", text=text),
        SimpleNamespace(type="tool_use", id="1", name="x_tool", input=arguments),
    ]
    assert one(shown) == one(live)


def test_a_moment_that_nobody_lived_in_is_none() -> None:
    dates = ["2025-05-01T09:00:00Z", "0001-01-01T00:00:00", "9999-12-31T23:59:59", datetime.min, 1e17]
    found = convert([{"role": "user", "content": "x", "created_at": each} for each in dates], "c")
    assert {one.said_at for one in found} == {datetime(2025, 5, 1, 9, tzinfo=UTC)}
