"""Importing the data exports of ChatGPT and Claude: branches, tools, attachments, damage, size, and twice."""

from __future__ import annotations

import io
import json
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.hosts.importers import ImportProblem, import_conversations, read_conversations
from mira_ltmemory.hosts.importers.arrays import array_items
from mira_ltmemory.protocols import IncomingMessage, Origin, Role

NOON = 1_714_564_800.0  # 2024-05-01 12:00 UTC


def read(path: Path, **options: Any) -> tuple[list[IncomingMessage], list[ImportProblem]]:
    events = list(read_conversations(path, **options))
    messages = [event for event in events if isinstance(event, IncomingMessage)]
    return messages, [event for event in events if isinstance(event, ImportProblem)]


def node(own: str, parent: str | None, role: str, text: Any, second: float | None = 0, **more: Any) -> dict[str, Any]:
    content = text if isinstance(text, dict) else {"content_type": "text", "parts": [text]}
    author = {"role": role, "name": more.pop("name", None), "metadata": {}}
    message = {
        "id": own,
        "author": author,
        "create_time": None if second is None else NOON + second,
        "content": content,
        "recipient": more.pop("recipient", "all"),
        "metadata": more.pop("metadata", {}),
        "weight": 1.0,
        **more,
    }
    return {"id": own, "message": message, "parent": parent, "children": []}


def chatgpt(*nodes: dict[str, Any], end: str | None = None, **more: Any) -> dict[str, Any]:
    root = {"id": "root", "message": None, "parent": None, "children": []}
    return {
        "title": "Bread",
        "create_time": NOON - 1,
        "mapping": {each["id"]: each for each in (root, *nodes)},
        "current_node": end,
        "conversation_id": "gpt-1",
        **more,
    }


BREAD = chatgpt(
    node("s", "root", "system", "", None, metadata={"is_visually_hidden_from_conversation": True}),
    node("ctx", "s", "user", {"content_type": "user_editable_context", "user_profile": "Ada"}, None),
    node("u1", "ctx", "user", "How do I bake bread?", 1),
    node("a1", "u1", "assistant", "Buy it.", 2),
    node("a2", "u1", "assistant", "With flour.\ue200cite\ue202turn0\ue201", 3, metadata={"model_slug": "gpt-x"}),
    node("think", "a2", "assistant", {"content_type": "thoughts", "thoughts": [{"summary": "Hm", "content": "Hm"}]}, 4),
    node("call", "think", "assistant", {"content_type": "code", "language": "python", "text": "1+1"}, 5,
         recipient="python"),
    node("ran", "call", "tool", {"content_type": "execution_output", "text": "2"}, 6, name="python"),
    node("u2", "ran", "user",
         {"content_type": "multimodal_text", "parts": [{"content_type": "image_asset_pointer"}, "Like this?"]}, 7,
         metadata={"attachments": [{"name": "loaf.png", "id": "f"}]}),
    node("a3", "u2", "assistant", "Yes.", None),
    end="a3",
)  # fmt: skip


def claude(*messages: Any, **more: Any) -> dict[str, Any]:
    return {
        "uuid": "claude-1",
        "name": "Garden",
        "created_at": "2024-05-01T12:00:00Z",
        "chat_messages": list(messages),
        **more,
    }


def said(name: str, sender: str, text: str = "", second: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "uuid": name,
        "sender": sender,
        "text": text,
        "content": [{"type": "text", "text": text}] if text else [],
        "created_at": f"2024-05-01T12:00:{second:02}.000Z",
        "attachments": [],
        "files": [],
        **more,
    }


GARDEN = claude(
    said("h1", "human", "What grows in shade?", 1),
    said("a1", "assistant", "See below.", 2, content=[
        {"type": "thinking", "thinking": "secret thoughts"},
        {"type": "text", "text": "I look it up."},
        {"type": "tool_use", "name": "web_search", "input": {"query": "shade plants"}},
        {"type": "tool_result", "name": "web_search", "content": [{"type": "text", "text": "Ferns, says a page."}]},
        {"type": "text", "text": "Ferns."},
    ]),
    said("h2", "human", "Thanks", 3,
         attachments=[{"file_name": "plan.txt", "file_size": 9, "extracted_content": "North bed: hostas"}],
         files=[{"file_name": "photo.jpg"}]),
    said("a2", "assistant", "", 4, content=[
        {"type": "tool_use", "name": "conversation_search", "input": {"query": "hostas"}},
        {"type": "tool_result", "name": "conversation_search", "content": [{"type": "text", "text": "old words"}]},
    ]),
)  # fmt: skip


def write(path: Path, *conversations: Any) -> Path:
    path.write_text(json.dumps(conversations), "utf-8")
    return path


def pack(path: Path, *conversations: Any) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("conversations.json", json.dumps(conversations))
        archive.writestr("user.json", '{"email": "ada@example.org"}')
        archive.writestr("chat.html", "<html>")
        archive.writestr("__MACOSX/._conversations.json", b"\x00\x05\x16")
    return path


class TestChatGPT:
    def test_the_branch_that_it_ended_on_is_what_was_said(self, tmp_path: Path) -> None:
        messages, problems = read(write(tmp_path / "conversations.json", BREAD))
        assert [(message.external_id, message.content) for message in messages] == [
            ("u1", "How do I bake bread?"),
            ("a2", "With flour."),
            ("call", "[calls python with 1+1]"),
            ("ran", "2"),
            ("u2", "[image]\nLike this?\n[attachment: loaf.png]"),
            ("a3", "Yes."),
        ]
        assert [message.role for message in messages] == [
            Role.USER, Role.ASSISTANT, Role.ASSISTANT, Role.TOOL, Role.USER, Role.ASSISTANT,
        ]  # fmt: skip
        assert (messages[3].origin, messages[3].speaker) == (Origin.TOOL, "python")
        assert {message.conversation_id for message in messages} == {"gpt-1"}
        assert [message.position for message in messages] == list(range(6))
        assert messages[0].said_at.timestamp() == NOON + 1
        assert messages[0].metadata["title"] == "Bread" and messages[1].metadata["model"] == "gpt-x"
        told = [str(problem) for problem in problems]
        assert all(problem.remark for problem in problems)
        assert any("1 messages of branches that were given up" in text for text in told)
        assert any("2 hidden messages" in text for text in told)

    def test_a_missing_time_is_that_of_the_message_before(self, tmp_path: Path) -> None:
        messages, problems = read(write(tmp_path / "conversations.json", BREAD))
        assert messages[-1].said_at == messages[-2].said_at
        assert messages[-1].metadata["import"] == {"timestamp": "missing"}
        assert any("no readable timestamp" in str(problem) for problem in problems)

    def test_without_any_time_it_is_that_of_the_conversation(self, tmp_path: Path) -> None:
        talk = chatgpt(node("u", "root", "user", "Hi", None), end="u")
        assert read(write(tmp_path / "x.json", talk))[0][0].said_at.timestamp() == NOON - 1

    def test_all_branches_where_they_are_asked_for(self, tmp_path: Path) -> None:
        messages, _ = read(write(tmp_path / "conversations.json", BREAD), all_branches=True)
        given_up = [message.content for message in messages if message.metadata.get("branch") == "given up"]
        assert given_up == ["Buy it."] and len(messages) == 7

    @pytest.mark.parametrize("end", [None, "gone", 7])
    def test_without_an_end_it_is_the_branch_spoken_on_last(self, tmp_path: Path, end: Any) -> None:
        talk = chatgpt(
            node("u", "root", "user", "Hi", 1),
            node("old", "u", "assistant", "Old", 2),
            node("new", "u", "assistant", "New", 3),
            end=end,
        )
        assert [message.content for message in read(write(tmp_path / "x.json", talk))[0]] == ["Hi", "New"]

    def test_nodes_of_any_shape_harm_no_others(self, tmp_path: Path) -> None:
        talk = chatgpt(node("u", "root", "user", "Hi", 1), node("a", "u", "assistant", "Hello", 2), end="a")
        talk["mapping"] |= {
            "x": None, "y": {"message": 5}, "z": {"message": {"content": "text"}, "parent": "z"},
            "p": node("p", "a", "assistant", {"content_type": "text", "parts": [None, {"content_type": "video"}, 3]}),
            "q": node("q", "q", "assistant", {"content_type": "new_thing", "odd": {"deep": [1]}}),
        }  # fmt: skip
        messages, problems = read(write(tmp_path / "x.json", talk), all_branches=True)
        texts = [message.content for message in messages]
        assert texts[:3] == ["Hi", "Hello", "[video]\n3"] and '{"odd": {"deep": [1]}}' in texts
        assert any("3 entries that are no messages" in str(problem) for problem in problems)


class TestClaude:
    def test_a_conversation(self, tmp_path: Path) -> None:
        messages, problems = read(write(tmp_path / "conversations.json", GARDEN))
        assert problems == []
        assert [(message.external_id, message.role.value, message.content) for message in messages] == [
            ("h1", "user", "What grows in shade?"),
            ("a1", "assistant", 'I look it up.\n[calls web_search with {"query": "shade plants"}]'),
            ("a1/1", "tool", "Ferns, says a page."),
            ("a1/2", "assistant", "Ferns."),
            ("h2", "user", "Thanks\n[attachment: plan.txt]\n[attachment: photo.jpg]"),
            ("h2/1", "tool", "North bed: hostas"),
            ("a2", "assistant", "[calls conversation_search]"),
            ("a2/1", "tool", "[conversation_search answered]"),
        ]
        assert (messages[2].origin, messages[2].speaker) == (Origin.TOOL, "web_search")
        assert messages[0].said_at.isoformat() == "2024-05-01T12:00:01+00:00"
        assert messages[0].metadata["title"] == "Garden"

    def test_branches(self, tmp_path: Path) -> None:
        root = "00000000-0000-4000-8000-000000000000"
        talk = claude(
            said("h1", "human", "Hi", 1, parent_message_uuid=root),
            said("a1", "assistant", "First", 2, parent_message_uuid="h1"),
            said("a2", "assistant", "Second", 3, parent_message_uuid="h1"),
        )
        path = write(tmp_path / "x.json", talk)
        messages, problems = read(path)
        assert [message.content for message in messages] == ["Hi", "Second"]
        assert "1 messages of branches that were given up were left out." in str(problems[0])
        assert [message.content for message in read(path, all_branches=True)[0]] == ["Hi", "First", "Second"]
        talk["current_leaf_message_uuid"] = "a1"
        assert [message.content for message in read(write(path, talk))[0]] == ["Hi", "First"]

    def test_the_oldest_layout_has_only_text(self, tmp_path: Path) -> None:
        talk = claude({"sender": "human", "text": "Hi"}, {"sender": "assistant", "text": "Hello"}, 5)
        messages, problems = read(write(tmp_path / "x.json", talk))
        assert [(message.role, message.content) for message in messages] == [
            (Role.USER, "Hi"),
            (Role.ASSISTANT, "Hello"),
        ]
        assert all(message.said_at.isoformat() == "2024-05-01T12:00:00+00:00" for message in messages)
        assert any("1 entries that are no messages" in str(problem) for problem in problems)


class TestArchives:
    def test_a_zip_is_read_and_what_is_beside_is_not(self, tmp_path: Path) -> None:
        messages, problems = read(pack(tmp_path / "export.zip", BREAD, GARDEN))
        assert {message.conversation_id for message in messages} == {"gpt-1", "claude-1"}
        assert all(problem.source == f"{tmp_path}/export.zip/conversations.json" for problem in problems)

    @pytest.mark.parametrize("damage", ["no zip", "cut", "empty", "encrypted"])
    def test_a_damaged_zip_is_told(self, tmp_path: Path, damage: str) -> None:
        path = pack(tmp_path / "export.zip", BREAD)
        content = path.read_bytes()
        if damage == "empty":
            with zipfile.ZipFile(path, "w"):
                pass
        elif damage == "encrypted":  # the flag of the first entry, in its own header and in the directory
            marked = bytearray(content)
            marked[6] |= 1
            marked[content.index(b"PK\x01\x02") + 8] |= 1
            path.write_bytes(bytes(marked))
        else:
            path.write_bytes(b"nothing" if damage == "no zip" else content[: len(content) // 2])
        messages, problems = read(path)
        assert messages == [] and len(problems) == 1
        assert str(path) in str(problems[0]) and problems[0].remark is (damage == "empty")

    def test_a_file_of_one_conversation_alone(self, tmp_path: Path) -> None:
        (tmp_path / "one.json").write_text(json.dumps(GARDEN))
        (tmp_path / "all.json").write_text(json.dumps({"account": {}, "conversations": [BREAD]}))
        assert {message.conversation_id for message in read(tmp_path)[0]} == {"claude-1", "gpt-1"}


class TestDamage:
    def test_a_bad_entry_is_told_and_the_others_are_read(self, tmp_path: Path) -> None:
        bad = '{"uuid": "x", "chat_messages": [{"text": tru}]}'
        text = f"[\n{json.dumps(GARDEN)},\n{bad},\nnull,\n{json.dumps(BREAD)}\n]"
        (tmp_path / "conversations.json").write_text(text)
        messages, problems = read(tmp_path)
        assert {message.conversation_id for message in messages} == {"claude-1", "gpt-1"}
        lost = [problem for problem in problems if not problem.remark]
        assert [problem.line for problem in lost] == [3, 4]
        assert "an entry, number 2, that is damaged" in str(lost[0])
        assert "neither a conversation nor a message" in str(lost[1])

    def test_a_file_that_is_cut_off_gives_what_is_whole(self, tmp_path: Path) -> None:
        text = json.dumps([GARDEN, BREAD])
        (tmp_path / "conversations.json").write_text(text[:-300])
        messages, problems = read(tmp_path)
        assert {message.conversation_id for message in messages} == {"claude-1"}
        assert [problem.remark for problem in problems] == [False] and "number 2" in str(problems[0])

    @given(
        text=st.text(max_size=60).map(lambda text: json.dumps([BREAD, GARDEN])[:200] + text),
        cut=st.integers(0, 3000),
        damage=st.text(alphabet='[]{}",:\\ \ntfn0', max_size=4),
    )
    def test_no_damage_raises(self, tmp_path: Path, text: str, cut: int, damage: str) -> None:
        whole = json.dumps([BREAD, GARDEN])
        place = cut % len(whole)
        path = tmp_path / "x.json"
        for content in (text, whole[:place] + damage + whole[place:], whole[:place] + damage):
            path.write_text(content, "utf-8")
            list(read_conversations(path))


class Dribble(io.StringIO):
    """A text that comes in small pieces."""

    size = 1

    def read(self, size: int | None = -1, /) -> str:
        return super().read(self.size)


values = st.recursive(
    st.none() | st.integers() | st.text(alphabet='a"\\[]{},:\n\u00e9', max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(items=st.lists(st.dictionaries(st.text(max_size=3), values) | st.lists(values)), size=st.integers(1, 40))
def test_an_array_falls_into_its_items(items: list[Any], size: int) -> None:
    text = Dribble(json.dumps(items, ensure_ascii=False, indent=1 if size % 2 else None))
    text.size = size
    assert [json.loads(item.text) for item in array_items(text.read(), text)] == items


def test_a_large_export_takes_the_memory_of_its_largest_conversation(tmp_path: Path) -> None:
    path = tmp_path / "conversations.json"
    long = "word " * 20_000
    with path.open("w") as file:
        file.write("[")
        for number in range(200):
            talk = claude(said("h", "human", f"{number} {long}", 1), uuid=f"c{number}")
            file.write(("," if number else "") + json.dumps(talk))
        file.write("]")
    assert path.stat().st_size > 40_000_000
    tracemalloc.start()
    shares: list[int] = []
    summary = import_conversations(
        [path],
        lambda messages, source: messages,
        progress=lambda step, done, total: shares.append(done) if step == "importing" else None,
    )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert summary.new == 200
    # A batch of messages before it is stored is the largest thing that is held.
    assert peak < 32_000_000
    assert shares == sorted(shares) and len(set(shares)) > 20 and shares[-1] == path.stat().st_size


def test_importing_twice_adds_nothing_and_a_grown_export_only_what_is_new(
    memory: MemoryManager, tmp_path: Path
) -> None:
    path = pack(tmp_path / "export.zip", BREAD, GARDEN)
    first = import_conversations([path], memory.import_messages)
    assert (first.new, first.conversations, first.errors) == (14, 2, [])
    again = import_conversations([path], memory.import_messages)
    assert (again.new, again.known) == (0, 14)
    grown = {**GARDEN, "chat_messages": [*GARDEN["chat_messages"], said("h3", "human", "And hostas in sun?", 9)]}
    assert import_conversations([pack(path, BREAD, grown)], memory.import_messages).new == 1
    memory.process_pending()
    assert "hostas" in memory.recall.search("hostas in the sun", limit=3).hits[0].content
