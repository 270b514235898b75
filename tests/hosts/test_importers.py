"""Importing conversations: every layout, every kind of damage, nothing dropped and nothing twice."""

from __future__ import annotations

import gzip
import json
import os
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.hosts.importers import ImportProblem, import_conversations, read_conversations
from mira_ltmemory.hosts.local import (
    HostConfig,
    Reply,
    ScriptedModel,
    initialize_system,
    run_turn,
    save_conversation,
    shutdown,
)
from mira_ltmemory.hosts.messages import convert
from mira_ltmemory.protocols import IncomingMessage, Origin, Role

SAMPLE = Path(__file__).parents[2] / "mira_ltmemory" / "demo" / "sample"
BERLIN = ZoneInfo("Europe/Berlin")


def read(path: Path, zone: ZoneInfo | None = None) -> tuple[list[IncomingMessage], list[ImportProblem]]:
    events = list(read_conversations(path, zone))
    messages = [event for event in events if isinstance(event, IncomingMessage)]
    return messages, [event for event in events if isinstance(event, ImportProblem)]


def lines(*records: Any) -> str:
    return "".join(f"{record if isinstance(record, str) else json.dumps(record)}\n" for record in records)


def said(number: int, content: Any = "hello", **more: Any) -> dict[str, Any]:
    return {
        "conversation_id": "c1",
        "id": f"m{number}",
        "role": "user",
        "content": content,
        "timestamp": f"2024-03-15T09:00:{number:02}+00:00",
        **more,
    }


def mira_file(folder: Path, messages: list[Any], name: str = "conversation_c9.json", **more: Any) -> Path:
    path = folder / name
    document = {"conversation_id": "c9", "system_prompt": "p", "messages": messages, **more}
    path.write_text(json.dumps(document, indent=1), "utf-8")
    return path


def saved(number: int, content: Any = "hi", role: str = "user", **more: Any) -> dict[str, Any]:
    moment = f"2025-03-03T07:12:{number:02}.5+00:00"
    return {"role": role, "content": content, "id": f"m{number}", "created_at": moment, "metadata": {}, **more}


def told(message: IncomingMessage) -> tuple[object, ...]:
    identity = (message.conversation_id, message.external_id)
    return (*identity, message.content, message.role, message.origin, message.said_at)


class TestMiraFiles:
    def test_every_message_of_the_sample_is_read_in_order(self) -> None:
        messages, problems = read(SAMPLE)
        assert len(messages) == 313
        assert len({message.conversation_id for message in messages}) == 18
        assert [str(problem).endswith("left out.") and problem.remark for problem in problems] == [True]
        by_conversation: dict[str, list[IncomingMessage]] = {}
        for message in messages:
            by_conversation.setdefault(message.conversation_id, []).append(message)
        for group in by_conversation.values():
            assert [message.position for message in group] == list(range(len(group)))

    def test_a_message_is_what_the_live_host_makes_of_it(self) -> None:
        for path in sorted(SAMPLE.glob("conversation_*.json"))[:4]:
            document = json.loads(path.read_text("utf-8"))
            live = convert(document["messages"], document["conversation_id"])
            imported, _ = read(path)
            assert [told(message) for message in live] == [told(message) for message in imported]

    def test_tool_results_have_the_tool_s_role_and_origin(self) -> None:
        messages, _ = read(SAMPLE)
        results = [message for message in messages if message.role is Role.TOOL]
        assert len(results) == 21
        assert {message.origin for message in results} == {Origin.TOOL}

    def test_naive_moments_are_utc_as_everywhere_in_mira(self, tmp_path: Path) -> None:
        path = mira_file(tmp_path, [saved(1, created_at="2025-07-01T12:00:00")])
        assert read(path, BERLIN)[0][0].said_at == datetime(2025, 7, 1, 12, tzinfo=UTC)

    def test_a_missing_id_is_made_of_position_and_content_and_stays(self, tmp_path: Path) -> None:
        path = mira_file(tmp_path, [saved(1, id=None), saved(2, id=None), saved(3)])
        first, _ = read(path)
        again, _ = read(path)
        assert [message.external_id for message in first] == [message.external_id for message in again]
        assert len({message.external_id for message in first}) == 3

    def test_the_name_gives_the_conversation_where_the_file_does_not(self, tmp_path: Path) -> None:
        path = tmp_path / "conversation_abc.json"
        path.write_text(json.dumps({"messages": [saved(1)]}))
        assert read(path)[0][0].conversation_id == "abc"

    def test_other_json_is_a_remark(self, tmp_path: Path) -> None:
        (tmp_path / "settings.json").write_text('{"theme": "dark"}')
        (tmp_path / "list.json").write_text("[1, 2, 3]")
        messages, problems = read(tmp_path)
        assert not messages
        assert [problem.remark for problem in problems] == [True, True]

    def test_directories_are_read_to_the_bottom(self, tmp_path: Path) -> None:
        (tmp_path / "a" / "b").mkdir(parents=True)
        mira_file(tmp_path / "a" / "b", [saved(1)])
        (tmp_path / "a" / "x.jsonl").write_text(lines(said(1)))
        assert len(read(tmp_path)[0]) == 2


class TestJsonLines:
    def test_a_message_a_line(self, tmp_path: Path) -> None:
        path = tmp_path / "x.jsonl"
        path.write_text(
            lines(
                said(1, speaker="Anna", session_id="s1"),
                {**said(2, role="assistant"), "id": None, "message_id": 7},
                said(3, role="tool"),
            )
        )
        messages, problems = read(path)
        assert not problems
        assert [message.external_id for message in messages] == ["m1", "7", "m3"]
        assert [message.origin for message in messages] == [Origin.USER, Origin.ASSISTANT, Origin.TOOL]
        assert messages[0].speaker == "Anna"
        assert messages[0].metadata == {"session_id": "s1"}
        assert [message.position for message in messages] == [0, 1, 2]

    @pytest.mark.parametrize("packed", [False, True])
    def test_a_conversation_a_line(self, tmp_path: Path, packed: bool) -> None:
        record = {"conversation_id": "set/1", "participants": ["A", "B"], "messages": [said(1), said(2)]}
        path = tmp_path / ("x.jsonl.gz" if packed else "x.jsonl")
        text = lines(record).encode()
        path.write_bytes(gzip.compress(text) if packed else text)
        messages, problems = read(path)
        assert not problems
        assert [told(message)[:2] for message in messages] == [("set/1", "m1"), ("set/1", "m2")]

    def test_content_is_kept_byte_for_byte(self, tmp_path: Path) -> None:
        text = "\tif x:\n<topic_changed=true/> & \u00fc\u68ee \x1b[0m  "
        path = tmp_path / "x.jsonl"
        path.write_text(lines(said(1, text)))
        assert read(path)[0][0].content == text

    def test_naive_moments_are_the_user_s_time(self, tmp_path: Path) -> None:
        path = tmp_path / "x.jsonl"
        path.write_text(lines(said(1, timestamp="2024-07-01T12:00:00")))
        assert read(path, BERLIN)[0][0].said_at == datetime(2024, 7, 1, 10, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (1_720_000_000, datetime(2024, 7, 3, 9, 46, 40, tzinfo=UTC)),
            (1_720_000_000_000, datetime(2024, 7, 3, 9, 46, 40, tzinfo=UTC)),
            ("1720000000", datetime(2024, 7, 3, 9, 46, 40, tzinfo=UTC)),
            ("2024-07-03T09:46:40Z", datetime(2024, 7, 3, 9, 46, 40, tzinfo=UTC)),
            ("Wed, 03 Jul 2024 11:46:40 +0200", datetime(2024, 7, 3, 9, 46, 40, tzinfo=UTC)),
        ],
    )
    def test_moments_in_other_spellings(self, tmp_path: Path, value: object, expected: datetime) -> None:
        path = tmp_path / "x.jsonl"
        path.write_text(lines(said(1, timestamp=value)))
        assert read(path)[0][0].said_at == expected

    def test_a_moment_that_is_missing_or_none_is_the_one_before_and_is_noted(self, tmp_path: Path) -> None:
        path = tmp_path / "x.jsonl"
        path.write_text(lines(said(1), said(2, timestamp=None), said(3, timestamp="soon"), said(4, timestamp=[1])))
        messages, _ = read(path)
        assert {message.said_at for message in messages} == {messages[0].said_at}
        notes = [message.metadata.get("import", {}).get("timestamp") for message in messages]
        assert notes == [None, "missing", "unreadable: soon", "unreadable: [1]"]

    def test_what_nobody_can_have_said_then_is_no_moment(self, tmp_path: Path) -> None:
        path = tmp_path / "x.jsonl"
        dates = ("0001-01-01T00:00:00", "9999-12-31T23:59:59", "0001-01-01T00:00:00Z", -2_300_000_000)
        path.write_text(lines(said(1), *(said(2 + at, timestamp=each) for at, each in enumerate(dates)), said(9)))
        messages, problems = read(path, BERLIN)
        assert {message.said_at for message in messages[:5]} == {messages[0].said_at}
        assert messages[1].metadata["import"] == {"timestamp": "unreadable: 0001-01-01T00:00:00"}
        assert "filed under the time of the one before it, 2024-03-15 10:00 CET" in str(problems[0])

    def test_the_note_tells_which_date_the_first_message_got(self, tmp_path: Path) -> None:
        path = tmp_path / "x.jsonl"
        path.write_text(lines({"content": "hi", "role": "user"}))
        os.utime(path, (1_700_000_000, 1_700_000_000))
        assert "filed under the file's own date, 2023-11-14 23:13 CET" in str(read(path, BERLIN)[1][-1])
        entry = {"conversation_id": "c", "created_at": "2024-03-15T09:00:00Z"}
        path.write_text(lines({**entry, "messages": [{"role": "user", "content": "hi"}]}))
        told = str(read(path, BERLIN)[1][-1])
        assert "filed under its conversation's beginning, 2024-03-15 10:00 CET" in told

    def test_without_any_moment_it_is_the_file_s(self, tmp_path: Path) -> None:
        path = tmp_path / "x.jsonl"
        path.write_text(lines({"content": "hi", "role": "user"}))
        os.utime(path, (1_700_000_000, 1_700_000_000))
        messages, problems = read(path)
        assert messages[0].said_at == datetime.fromtimestamp(1_700_000_000, UTC)
        assert messages[0].conversation_id == "x"
        assert problems[0].remark

    @pytest.mark.parametrize("role", ["narrator", "", None, 5, ["user"]])
    def test_an_unknown_role_loses_nothing(self, tmp_path: Path, role: object) -> None:
        path = tmp_path / "x.jsonl"
        path.write_text(lines(said(1, role=role)))
        message = read(path)[0][0]
        assert (message.role, message.origin, message.content) == (Role.USER, Origin.IMPORT, "hello")
        assert "role" in message.metadata["import"]

    def test_content_that_is_no_text_is_kept_as_json(self, tmp_path: Path) -> None:
        path = tmp_path / "x.jsonl"
        path.write_text(lines(said(1, {"a": 1}), said(2, 7), said(3, None), said(4, [{"type": "text", "text": "T"}])))
        assert [message.content for message in read(path)[0]] == ['{"a": 1}', "7", "", "T"]

    def test_two_texts_under_one_id_are_both_kept(self, tmp_path: Path) -> None:
        path = tmp_path / "x.jsonl"
        path.write_text(lines(said(1), said(1, "other"), said(1), said(1, "other")))
        messages, problems = read(path)
        assert [message.content for message in messages] == ["hello", "other"]
        assert messages[1].external_id.startswith("m1#")
        assert all(problem.remark for problem in problems)


class TestDamage:
    def test_a_bad_line_is_told_by_name_and_line_and_the_rest_is_read(self, tmp_path: Path) -> None:
        path = tmp_path / "x.jsonl"
        path.write_text(lines(said(1), '{"conversation_id": "c1", "content": "tru', "", said(2), "[]", "nonsense"))
        messages, problems = read(path)
        assert [message.external_id for message in messages] == ["m1", "m2"]
        assert [problem.line for problem in problems] == [2, 5, 6]
        assert all(problem.source == str(path) and not problem.remark for problem in problems)
        assert str(problems[0].error).startswith(f"{path}, line 2: ")

    def test_a_damaged_conversation_gives_the_messages_before_the_damage(self, tmp_path: Path) -> None:
        path = mira_file(tmp_path, [saved(1), saved(2), saved(3)])
        text = path.read_text()
        path.write_text(text[: text.index('"m3"')])
        messages, problems = read(path)
        assert [message.external_id for message in messages] == ["m1", "m2"]
        assert messages[0].conversation_id == "c9"
        assert len(problems) == 1
        assert problems[0].line is not None
        assert not problems[0].remark

    def test_lines_in_a_file_that_is_named_json(self, tmp_path: Path) -> None:
        path = tmp_path / "export.json"
        path.write_text(lines(said(1), said(2)))
        assert len(read(path)[0]) == 2

    def test_a_truncated_gzip_gives_what_it_holds(self, tmp_path: Path) -> None:
        path = tmp_path / "x.jsonl.gz"
        body = lines(*(said(number % 60, os.urandom(200).hex(), id=f"n{number}") for number in range(2000))).encode()
        packed = gzip.compress(body)
        path.write_bytes(packed[: len(packed) // 2])
        messages, problems = read(path)
        assert 0 < len(messages) < 2000
        assert "cut off" in str(problems[-1])

    @pytest.mark.parametrize("content", [b"", b"\x1f\x8b", b"\x1f\x8bnonsense", b"\x00\xff\xfe", b"\xff\xfe\x00"])
    @pytest.mark.parametrize("name", ["x.json", "x.jsonl", "x.jsonl.gz"])
    def test_files_that_are_nothing(self, tmp_path: Path, name: str, content: bytes) -> None:
        path = tmp_path / name
        path.write_bytes(content)
        assert read(path)[0] == []

    def test_bytes_that_are_no_utf8_are_kept_as_escapes(self, tmp_path: Path, memory: MemoryManager) -> None:
        path = tmp_path / "x.jsonl"
        path.write_bytes(lines(said(1, "Gr@@e")).encode().replace(b"@@", b"\xfc\xdf"))
        messages, problems = read(path)
        assert problems[0].remark
        assert problems[0].line == 1
        memory.import_messages(messages, "x")
        hit = memory.recall.search("Gr", None, 1)
        assert hit.total == 1

    def test_byte_order_marks(self, tmp_path: Path) -> None:
        for encoding in ("utf-8-sig", "utf-16"):
            path = tmp_path / f"{encoding}.jsonl"
            path.write_bytes(lines(said(1, "\u00fc")).encode(encoding))
            assert [message.content for message in read(path)[0]] == ["\u00fc"]

    def test_nul_and_lone_surrogates_are_stored_as_visible_escapes(self, tmp_path: Path, memory: MemoryManager) -> None:
        path = tmp_path / "x.jsonl"
        nested = {"session\ud800": "a\x00b", "n": float("nan")}
        path.write_text(
            lines(said(1, "zebra \x00 and \ud800 end", id="i\x00\ud800", speaker="\ud800", metadata=nested))
        )
        summary = import_conversations([path], memory.import_messages)
        assert (summary.read, summary.new, summary.errors) == (1, 1, [])
        assert memory.recall.search("zebra", None, 1).hits[0].content == "zebra \\u0000 and \\ud800 end"
        assert import_conversations([path], memory.import_messages).new == 0

    def test_a_huge_line(self, tmp_path: Path, memory: MemoryManager) -> None:
        path = tmp_path / "x.jsonl"
        path.write_text(lines(said(1, "word " * 1_000_000), said(2)))
        assert import_conversations([path], memory.import_messages).new == 2

    @pytest.mark.parametrize("text", ["[" * 200_000, "1" * 10_000, '{"messages": ' + "[" * 100_000])
    def test_json_that_breaks_parsers(self, tmp_path: Path, text: str) -> None:
        for name in ("x.json", "x.jsonl"):
            path = tmp_path / name
            path.write_text(text)
            assert read(path)[0] == []

    def test_what_is_not_there_or_may_not_be_read(self, tmp_path: Path) -> None:
        assert "does not exist" in str(read(tmp_path / "gone")[1][0])
        os.mkfifo(tmp_path / "x.json")
        assert read(tmp_path)[0] == []

    def test_items_that_are_no_messages_are_told(self, tmp_path: Path) -> None:
        messages, problems = read(mira_file(tmp_path, [saved(1), "text", 5, None, saved(2)]))
        assert len(messages) == 2
        assert len(problems) == 3


class TestImport:
    def test_the_sample_is_imported_once(self, memory: MemoryManager) -> None:
        first = import_conversations([SAMPLE], memory.import_messages, zone=BERLIN)
        assert (first.files, first.conversations, first.read, first.new, first.known) == (18, 18, 313, 313, 0)
        assert not first.errors
        again = import_conversations([SAMPLE], memory.import_messages, zone=BERLIN)
        assert (again.new, again.known) == (0, 313)
        assert memory.recall.count() == 313

    def test_progress_ends_at_the_total(self, memory: MemoryManager, tmp_path: Path) -> None:
        (tmp_path / "x.jsonl").write_text(lines(said(1)))
        seen: list[tuple[str, int, int]] = []
        import_conversations([tmp_path], memory.import_messages, progress=lambda *step: seen.append(step))
        assert seen[-1][1] == seen[-1][2] > 0

    def test_problems_are_told_as_they_come(self, memory: MemoryManager, tmp_path: Path) -> None:
        (tmp_path / "x.jsonl").write_text(lines(said(1), "broken"))
        told: list[ImportProblem] = []
        summary = import_conversations([tmp_path], memory.import_messages, tell=told.append)
        assert told == summary.problems
        assert (summary.read, len(summary.errors)) == (1, 1)

    def test_importing_a_conversation_that_was_captured_live_adds_nothing(
        self, make_memory: Callable[..., MemoryManager], tmp_path: Path
    ) -> None:
        memory = make_memory()
        steps = [Reply("I look.", [("weather_tool", {"operation": "now"})]), "Sunny.<topic_changed=false/>"]
        with ScriptedModel(steps) as model:
            config = HostConfig.for_folder(tmp_path, base_url=model.url, api_key="any")
            config.automation.scheduler = False
            system = initialize_system(config)
            run_turn(system, "How is the weather?")
            conversation = system["conversation"]
            live = convert(conversation.messages, conversation.conversation_id)
            path = save_conversation(system)
            shutdown(system)
        assert len(memory.capture(live)) == 4
        summary = import_conversations([path], memory.import_messages)
        assert (summary.read, summary.new, summary.known) == (4, 0, 4)
        assert [message.content for message in read(path)[0]] == [message.content for message in live]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
messages_of_any_shape = st.fixed_dictionaries(
    {"content": json_values},
    optional=dict.fromkeys(("id", "message_id", "role", "speaker", "timestamp", "created_at", "metadata"), json_values),
)


def in_a_file(name: str, content: bytes) -> tuple[list[IncomingMessage], list[ImportProblem]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(content)
        return read(path, BERLIN)


@given(st.lists(messages_of_any_shape, max_size=6))
def test_no_message_of_any_shape_is_dropped(records: list[dict[str, Any]]) -> None:
    # Ids that repeat, with the same text, are one message; these are all different.
    records = [{**record, "id": f"id{number}"} for number, record in enumerate(records)]
    document = json.dumps({"conversation_id": "c", "messages": records})
    for name, text in (("conversation_c.json", document), ("x.jsonl", f"{document}\n"), ("y.jsonl", lines(*records))):
        messages, problems = in_a_file(name, text.encode())
        assert len(messages) == len(records)
        assert not [problem for problem in problems if not problem.remark]
        assert all(message.said_at.tzinfo is not None for message in messages)
        assert len({message.external_id for message in messages}) == len(records)


@given(st.binary(max_size=300), st.sampled_from(["x.json", "x.jsonl", "x.jsonl.gz", "x.txt"]))
def test_no_bytes_raise(content: bytes, name: str) -> None:
    in_a_file(name, content)
    in_a_file(name, gzip.compress(content)[: len(content)])


@given(st.integers(min_value=0), st.binary(min_size=1, max_size=3))
def test_a_damaged_file_never_raises(place: int, damage: bytes) -> None:
    body = json.dumps({"conversation_id": "c", "messages": [saved(number) for number in range(5)]}).encode()
    at = place % len(body)
    messages, problems = in_a_file("conversation_c.json", body[:at] + damage + body[at + len(damage) :])
    assert messages or problems
