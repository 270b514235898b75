"""Core memory as files: the commands of Anthropic's memory tool."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.errors import RefusedEdit
from mira_ltmemory.protocols import Tool


@pytest.fixture
def memory(make_memory: Callable[..., MemoryManager]) -> MemoryManager:
    return make_memory(tools={"memory": True}, core_memory_blocks={"human": 2048})


@pytest.fixture
def tool(memory: MemoryManager) -> Tool:
    return next(tool for tool in memory.tools() if tool.name == "memory")


def done(tool: Tool, command: str, **arguments: Any) -> str:
    answer = tool.run(command=command, **arguments)
    assert list(answer) == ["success", "message"], answer
    assert answer["success"] is True
    message: str = answer["message"]
    return message


def refused(tool: Tool, command: str, **arguments: Any) -> str:
    answer = tool.run(command=command, **arguments)
    assert list(answer) == ["success", "error"], answer
    assert answer["success"] is False
    error: str = answer["error"]
    return error


def test_it_is_off_by_default(make_memory: Callable[..., MemoryManager]) -> None:
    assert "memory" not in [tool.name for tool in make_memory().tools()]


def test_a_session_of_the_tool_is_answered_as_it_is_documented(memory: MemoryManager, tool: Tool) -> None:
    path = "/memories/notes.md"
    assert done(tool, "view", path="/memories") == (
        "Here're the files and directories up to 2 levels deep in /memories, excluding hidden items and node_modules:\n"
        "0B\t/memories\n0B\t/memories/human.md"
    )
    assert done(tool, "create", path=path, file_text="one\ntwo\nthree") == f"File created successfully at: {path}"
    assert refused(tool, "create", path=path, file_text="x") == f"Error: File {path} already exists"
    assert done(tool, "view", path=path) == (
        f"Here's the content of {path} with line numbers:\n     1\tone\n     2\ttwo\n     3\tthree"
    )
    assert done(tool, "view", path=path, view_range=[2, -1]).endswith(":\n     2\ttwo\n     3\tthree")
    assert done(tool, "view", path=path, view_range=[2, 2]).endswith(":\n     2\ttwo")
    edited = done(tool, "str_replace", path=path, old_str="two", new_str="TWO")
    assert edited.startswith("The memory file has been edited.")
    assert "     2\tTWO\n" in edited
    inserted = done(tool, "insert", path=path, insert_line=0, insert_text="zero\n")
    assert inserted == f"The file {path} has been edited."
    assert memory.blocks.get("notes").content == "zero\none\nTWO\nthree"
    assert done(tool, "rename", old_path=path, new_path="/memories/log.txt") == (
        f"Successfully renamed {path} to /memories/log.txt"
    )
    assert refused(tool, "view", path=path) == f"The path {path} does not exist. Please provide a valid path."
    assert "18B\t/memories/log.md" in done(tool, "view", path="/memories/")
    assert done(tool, "delete", path="/memories/log.md") == "Successfully deleted /memories/log.md"
    assert memory.blocks.history("log")[0].version == 4


def test_each_command_is_one_change_set_that_names_it(memory: MemoryManager, tool: Tool) -> None:
    done(tool, "create", path="/memories/notes.md", file_text="a")
    entry = memory.history.log(1)[0]
    assert (entry.actor, entry.tool, entry.reason) == ("model", "memory", "create")


def test_the_same_blocks_are_behind_both_facades(memory: MemoryManager, tool: Tool) -> None:
    done(tool, "insert", path="/memories/human.md", insert_line=0, insert_text="Name: Ada")
    assert memory.blocks.get("human").content == "Name: Ada"
    for path in ("/memories/human", "/memories/human.txt", "/memories/human.xml"):
        assert "Name: Ada" in done(tool, "view", path=path)
    assert refused(tool, "create", path="/memories/human.txt", file_text="x").endswith("already exists")


def test_mistakes_are_told_as_documented_and_change_nothing(memory: MemoryManager, tool: Tool) -> None:
    path = "/memories/notes.md"
    done(tool, "create", path=path, file_text="tea\nmilk\ntea")
    with memory.store.read() as unit:
        before = unit.journal.last_id()
    missing = "The path /memories/none.md does not exist. Please provide a valid path."
    for command, more in (
        ("view", {}),
        ("str_replace", {"old_str": "a", "new_str": "b"}),
        ("insert", {"insert_line": 0, "insert_text": "a"}),
        ("delete", {}),
    ):
        assert refused(tool, command, path="/memories/none.md", **more) == missing
    assert refused(tool, "rename", old_path="/memories/none.md", new_path="/memories/x.md") == missing
    assert refused(tool, "str_replace", path=path, old_str="wine", new_str="x").startswith(
        f"No replacement was performed, old_str `wine` did not appear verbatim in {path}. The nearest lines"
    )
    assert refused(tool, "str_replace", path=path, old_str="tea", new_str="x") == (
        "No replacement was performed. Multiple occurrences of old_str `tea` in lines: 1, 3. Please ensure it is unique"
    )
    for line in (-1, 4, 10**30):
        assert "It should be within the range of lines of the file: [0, 3]" in refused(
            tool, "insert", path=path, insert_line=line, insert_text="x"
        )
    for given_range in ([0, 2], [2, 1], [1, 9], [1], [1, 2, 3], ["1", "2"], [1, -2], [True, True]):
        assert "Invalid `view_range` parameter" in refused(tool, "view", path=path, view_range=given_range)
    assert "already exists" in refused(tool, "rename", old_path=path, new_path="/memories/human.md")
    assert "in the setting core_memory_blocks" in refused(tool, "delete", path="/memories/human.md")
    assert "in the setting core_memory_blocks" in refused(
        tool, "rename", old_path="/memories/human.md", new_path="/memories/x.md"
    )
    assert "over by" in refused(tool, "insert", path=path, insert_line=0, insert_text="x" * 5000)
    assert refused(tool, "create", path="/memories/x.md") == "create needs file_text."
    assert "view takes path, view_range, not 'old_str'" in refused(tool, "view", path=path, old_str="x")
    assert "command must be one of" in refused(tool, "drop", path=path)
    assert "itself cannot be deleted" in refused(tool, "delete", path="/memories")
    assert "itself cannot be renamed" in refused(tool, "rename", old_path="/memories/", new_path="/memories/x.md")
    assert "is a directory" in refused(tool, "create", path="/memories", file_text="x")
    assert "view_range is not allowed" in refused(tool, "view", path="/memories", view_range=[1, 2])
    with memory.store.read() as unit:
        assert unit.journal.last_id() == before


BAD_PATHS = [
    "",
    "/",
    "notes.md",
    "memories/notes.md",
    "/memoriesx/notes.md",
    "/memories.md",
    "/etc/passwd",
    "/memories/../etc/passwd",
    "/memories/..",
    "/memories/.",
    "/memories/./human.md",
    "/memories//human.md",
    "/memories/human.md/",
    "/memories/human/../human.md",
    "/memories/sub/human.md",
    "/memories/%2e%2e/human.md",
    "/memories/%2e%2e%2fetc",
    "/memories/human%00.md",
    "/memories/human.md\x00.png",
    "/memories/human.md\n",
    "/memories\\human.md",
    "/memories/..\\..\\windows",
    "\\memories\\human.md",
    "C:\\memories\\human.md",
    "//memories/human.md",
    "/memories/~root",
    "~/memories/human.md",
    "file:///memories/human.md",
    "/memories/.hidden",
    "/memories/human.",
    "/memories/human.md.md",
    "/memories/human.averylongextension",
    "/memories/Human.md",
    "/memories/HUMAN.MD",
    "/memories/ humαn.md",
    "/memories/humаn.md",  # a Cyrillic letter
    "/memories/ｈｕｍａｎ.md",
    "/memories/hu\u200bman.md",
    "/memories/\u202ehuman.md",
    "/memories/human\u2024md",
    "/memories\u2215human.md",
    "/memories/human.md ",
    " /memories/human.md",
    "/memories/" + "a" * 65,
    "/memories/" + "a" * 100_000,
    "/memories/\ud800",
    "/Memories/human.md",
]


@pytest.mark.parametrize("path", BAD_PATHS, ids=lambda path: ascii(path)[:40])
def test_no_path_leads_out_or_past_a_label(memory: MemoryManager, tool: Tool, path: str) -> None:
    with memory.store.read() as unit:
        before = unit.journal.last_id()
    for command, arguments in (
        ("view", {"path": path}),
        ("create", {"path": path, "file_text": "x"}),
        ("str_replace", {"path": path, "old_str": "a", "new_str": "b"}),
        ("insert", {"path": path, "insert_line": 0, "insert_text": "x"}),
        ("delete", {"path": path}),
        ("rename", {"old_path": path, "new_path": "/memories/x.md"}),
        ("rename", {"old_path": "/memories/human.md", "new_path": path}),
    ):
        error = refused(tool, command, **arguments)
        assert "path" in error.lower()
        assert error.isascii()
        assert len(error) < 500
    with memory.store.read() as unit:
        assert unit.journal.last_id() == before


@pytest.mark.parametrize(
    ("path", "advice"),
    [
        ("/memories/projects/Alpha-1.md", "/memories/projects_alpha_1.md"),
        ("/memories/Customer Notes.txt", "/memories/customer_notes.md"),
        ("/memories/2024-plans.md", "/memories/plans.md"),
    ],
)
def test_a_path_that_could_be_meant_gets_advice(tool: Tool, path: str, advice: str) -> None:
    assert refused(tool, "create", path=path, file_text="x").endswith(f"For example: {advice}")


def test_text_is_kept_byte_for_byte(memory: MemoryManager, tool: Tool) -> None:
    for number, text in enumerate(["a\tb\r\nc\n", "<b>&amp;'\"</b>", "日本語 🎸\n\n", ""]):
        done(tool, "create", path=f"/memories/file{number}.md", file_text=text)
        assert memory.blocks.get(f"file{number}").content == text


@settings(max_examples=80)
@given(
    path=st.text(max_size=30) | st.from_regex(r"/memories/[\w./%\\-]{0,20}", fullmatch=True),
    command=st.sampled_from(["view", "create", "delete", "insert"]),
)
def test_whatever_the_path_an_answer_comes(tool: Tool, path: str, command: str) -> None:
    more = {"create": {"file_text": "x"}, "insert": {"insert_line": 0, "insert_text": "x"}}.get(command, {})
    try:
        answer = tool.run(command=command, path=path, **more)
    except RefusedEdit as error:  # pragma: no cover
        pytest.fail(f"a tool raised {error!r}")
    assert answer["success"] in (True, False)
