"""The whole demo, as `make demo` runs it: twice with the scripted model, and against stand-ins of real ones."""

from __future__ import annotations

import io
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from mira_ltmemory.config import MemoryConfig
from mira_ltmemory.demo.checks import Checks, tables_holding
from mira_ltmemory.demo.model import choose_model
from mira_ltmemory.demo.own import own_turns, pick_topics
from mira_ltmemory.demo.run import SAMPLE, default_demo_dir, did_as_told, run_demo
from mira_ltmemory.demo.script import SAMPLE_INJECTION, SAMPLE_SECRETS, Turn, sample_turns
from mira_ltmemory.demo.session import Exchange, ToolUse
from mira_ltmemory.errors import ImportFileError
from mira_ltmemory.hosts.importers import read_conversations
from mira_ltmemory.hosts.local import Reply, ScriptedModel
from mira_ltmemory.protocols import IncomingMessage
from mira_ltmemory.store.embedded import default_data_dir


@dataclass
class Shown:
    """What a run of the demo showed."""

    passed: bool
    text: str

    @property
    def words(self) -> str:
        return re.sub(r"[\s│]+", " ", self.text)


def show(root: Path, conversations: Path | None = None) -> Shown:
    console = Console(file=io.StringIO(), width=140, force_terminal=False)
    passed = run_demo(console, conversations=conversations, data_dir=root)
    assert isinstance(console.file, io.StringIO)
    return Shown(passed, console.file.getvalue())


@pytest.fixture(scope="module", autouse=True)
def no_model_is_configured() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="ltm-demo-"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module")
def first(root: Path) -> Shown:
    return show(root)


@pytest.fixture(scope="module")
def second(root: Path, first: Shown) -> Shown:
    return show(root)


def test_all_that_the_first_run_claims_holds(first: Shown) -> None:
    assert first.passed, first.text
    assert "NO " not in first.text


def test_the_first_run_shows_everything(first: Shown) -> None:
    for shown in (
        "313 new",
        "313/313",
        '-> conversation_search(query="What is my favourite tea?"',
        "Favourite tea: hōjicha (said so on 2025-03-23), no longer Assam.",
        "-> core_memory_replace(",
        "-> archival_memory_insert(",
        "-> archival_memory_search(",
        "(over by 1,399)",
        "[begin human ",
        "# Memory status",
        "0 */6 * * *",
        "Processed 331 messages in 19 windows",
        "no secret of the sample stands in any table",
        "a page that posed as the system changed nothing (kept as data",
    ):
        assert shown in first.words, shown


def test_the_second_run_starts_from_what_is_there(second: Shown) -> None:
    assert second.passed, second.text
    assert "nothing new, 313 already known, 0 texts embedded." in second.words
    assert "This passage was stored already." in second.words
    assert "due on 27 June 2025" in second.words
    assert "The nearest lines are" in second.words


def test_secrets_of_the_sample_are_really_in_the_sample() -> None:
    text = "".join(path.read_text("utf-8") for path in SAMPLE.glob("conversation_*.json"))
    assert all(secret in text for secret in SAMPLE_SECRETS[:3])
    assert SAMPLE_INJECTION in text


def test_the_look_into_the_tables_finds_what_is_there(memory: Any) -> None:
    memory.archival.insert("The Zeppelin lands at noon.")
    found = tables_holding(memory.store, ["zeppelin LANDS", "no such text"])
    assert found == {"zeppelin LANDS": ["ltmemory.passages"]} or "ltmemory.passages" in found["zeppelin LANDS"]
    assert "no such text" not in found


class TestRealModels:
    """Stand-ins that behave as servers of real models do; what they say is not the demo's script."""

    @staticmethod
    def say(body: dict[str, Any]) -> Reply | str:
        last = body["messages"][-1]
        content = last["content"]
        if last["role"] == "tool" or isinstance(content, list):
            return "Done.<topic_changed=false/>"
        if "Look it up" in content:
            return Reply("", [("conversation_search", {"query": content[:100], "limit": 3})])
        if "Correction" in content:
            return Reply(
                "", [("core_memory_replace", {"label": "human", "old_content": "30 June", "new_content": "x"})]
            )
        return "As you like."

    def test_an_openai_compatible_server(self, root: Path, first: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
        with ScriptedModel(default=self.say) as server:
            monkeypatch.setenv("LT_MEMORY_LLM_BASE_URL", f"{server.url}/v1")
            monkeypatch.setenv("LT_MEMORY_LLM_MODEL", "small-model")
            shown = show(root)
        assert shown.passed, shown.text
        assert "model small-model at" in shown.words
        assert "-> conversation_search(" in shown.words
        assert "the model did it in its own way" in shown.words, shown.text
        assert {request.path for request in server.requests} == {"/v1/chat/completions"}
        assert not server.refusals
        assert "[begin human " in server.requests[0].system
        assert {"conversation_search", "core_memory_append"} <= set(server.requests[0].tools)

    def test_anthropic(self, root: Path, first: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
        with ScriptedModel(default=self.say) as server:
            monkeypatch.setenv("ANTHROPIC_API_KEY", "any")
            monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
            shown = show(root)
        assert shown.passed, shown.text
        assert {request.path for request in server.requests} == {"/v1/messages"}
        assert not server.refusals

    def test_a_server_that_is_not_there_fails_the_demo(
        self, root: Path, first: Shown, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LT_MEMORY_LLM_BASE_URL", "http://127.0.0.1:1/v1")
        monkeypatch.setenv("LT_MEMORY_LLM_MODEL", "none")
        shown = show(root)
        assert not shown.passed
        assert "The model gave no answer" in shown.text


def test_conversations_of_one_s_own(root: Path, tmp_path: Path) -> None:
    contents = [
        "We moored the ketch in Marstrand and scraped barnacles off the rudder all afternoon.",
        "The rudder will thank you. How was the mooring?",
        "Windy. Aunt Ingeborg sent cardamom buns and a chart of the Koster archipelago from 1931.",
        "A chart from 1931 is a treasure, but do not sail by it.",
    ]
    path = tmp_path / "talk.jsonl"
    records = [
        {
            "conversation_id": "sailing",
            "message_id": str(number),
            "role": ("user", "assistant")[number % 2],
            "speaker": ("Nils", "MIRA")[number % 2],
            "timestamp": f"2024-06-01T10:0{number}:00",
            "content": content,
        }
        for number, content in enumerate(contents)
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    for expected in ("4 new", "nothing new, 4 already known, 0 texts embedded"):
        shown = show(root, path)
        assert shown.passed, shown.text
        assert expected in shown.words
    with path.open("a") as file:
        file.write("{broken\n")
    shown = show(root, path)
    assert not shown.passed
    assert f"{path}, line 5: is no JSON" in shown.words


def test_conversations_that_are_not_there(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ImportFileError, match="does not exist"):
        show(root, tmp_path / "gone")
    with pytest.raises(ImportFileError, match="no message"):
        show(root, tmp_path)


def test_which_model_is_chosen() -> None:
    configured = MemoryConfig(llm_base_url="http://localhost:11434/v1", llm_model="qwen3:4b")
    assert choose_model(configured, {"ANTHROPIC_API_KEY": "k"}).protocol == "openai"
    assert choose_model(MemoryConfig(), {"ANTHROPIC_API_KEY": "k"}).address == "https://api.anthropic.com"
    scripted = choose_model(MemoryConfig(), {"ANTHROPIC_API_KEY": ""})
    assert scripted.scripted is not None
    scripted.close()


def test_the_demo_never_uses_the_memory_s_own_directory() -> None:
    assert default_data_dir() not in (default_demo_dir(), *default_demo_dir().parents)
    assert default_demo_dir() not in default_data_dir().parents


def test_a_turn_that_did_not_do_as_told() -> None:
    turn = Turn("x", "u", (), tools=("a",), refused=("b",), expects="Yes")
    good, bad = ToolUse("a", {}, {"success": True}), ToolUse("b", {}, {"success": False})
    assert did_as_told(turn, Exchange("oh yes", (good, bad)))
    assert not did_as_told(turn, Exchange("oh yes", (good,)))
    assert not did_as_told(turn, Exchange("no", (good, bad)))
    assert not did_as_told(turn, Exchange("yes", (good, bad), error="gone"))
    checks = Checks()
    checks.add("soft", False, soft=True)
    assert checks.passed
    checks.add("hard", False)
    assert not checks.passed


def test_scripts_fit_what_core_memory_holds() -> None:
    assert sample_turns({})[0].tools == ("conversation_search", "core_memory_append")
    later = sample_turns({"human": "Herr Adler's OM guitar is due on 27 June 2025."})
    assert "due on 20 June 2025" in later[2].user
    messages = [event for event in read_conversations(SAMPLE) if isinstance(event, IncomingMessage)]
    topics = pick_topics(messages)
    assert len(topics) == 2
    assert len(own_turns(topics, {})) == 4
    assert [turn.refused for turn in own_turns([], {})] == [("core_memory_append",)]
