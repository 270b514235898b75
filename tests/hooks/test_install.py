"""`install` on the small host: every plugin joins, and whatever fails, MIRA starts."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pluggy
import pytest

import mira_ltmemory
from mira_ltmemory.hooks import PROJECT, hookimpl, hookspecs
from mira_ltmemory.hooks.installer import Installation
from mira_ltmemory.hosts.local import HostConfig, Reply, ScriptedModel, initialize_system, run_turn, shutdown
from mira_ltmemory.protocols import Job, JobReport, Json


class Foreign:
    """A plugin of somebody else: a tool, a prompt part, a job, and an ear for messages."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.heard: list[str] = []
        self.jobs_run: list[str] = []

    @hookimpl
    def configure(self, host: Any) -> None:
        self.calls.append("configure")
        host.services["foreign"] = self

    @hookimpl
    def register_tools(self, register: Any) -> None:
        self.calls.append("register_tools")
        register(Dice())

    @hookimpl
    def register_content_providers(self, register: Any) -> None:
        self.calls.append("register_content_providers")
        register(Dice())

    @hookimpl
    def register_automations(self, register: Any) -> None:
        self.calls.append("register_automations")
        register(Job(name="roll", cron="0 5 * * *", timezone="UTC", description="Rolls.", run=self.roll))

    @hookimpl
    def message_captured(self, message: Any) -> None:
        self.heard.append(message.content)

    @hookimpl
    def startup(self) -> None:
        self.calls.append("startup")

    @hookimpl
    def shutdown(self) -> None:
        self.calls.append("shutdown")

    def roll(self, run: Any) -> JobReport:
        self.jobs_run.append(run.name)
        return JobReport(summary="rolled")


class Dice:
    name = "dice"
    description = "Rolls a die."
    schema: ClassVar[Json] = {"type": "object", "properties": {}, "required": []}

    def run(self) -> Json:
        return {"success": True, "rolled": 4}

    def render(self) -> str:
        return "# Dice\nA die lies on the table."


class Entry(importlib.metadata.EntryPoint):
    """An entry point that loads an object of the test."""

    loaded: ClassVar[dict[str, Any]] = {}

    def load(self) -> Any:
        found = self.loaded[self.name]
        if isinstance(found, Exception):
            raise found
        return found


class Distribution(importlib.metadata.Distribution):
    """An installed package with entry points of the test."""

    def __init__(self, names: list[str]) -> None:
        self._entries = importlib.metadata.EntryPoints(Entry(name, f"x.{name}", PROJECT) for name in names)

    @property
    def entry_points(self) -> importlib.metadata.EntryPoints:
        return self._entries

    @property
    def metadata(self) -> Any:
        return {"Name": "others", "Version": "1"}

    def read_text(self, filename: str) -> str | None:
        return None

    def locate_file(self, path: Any) -> Path:
        return Path(path)


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes plugins look installed beside those that are."""

    def add(**found: Any) -> None:
        there = list(importlib.metadata.distributions())
        others = Distribution(list(found))
        monkeypatch.setattr(Entry, "loaded", found)
        monkeypatch.setattr(importlib.metadata, "distributions", lambda: [*there, others])
        both = importlib.metadata.EntryPoints([*importlib.metadata.entry_points(group=PROJECT), *others.entry_points])
        monkeypatch.setattr("mira_ltmemory.hooks.registry.entry_points", lambda group: both)

    return add


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel(default="fine") as running:
        yield running


@pytest.fixture
def system(model: ScriptedModel, tmp_path: Path) -> Iterator[dict[str, Any]]:
    config = HostConfig.for_folder(tmp_path, base_url=model.url, api_key="none")
    config.automation.scheduler = False
    running = initialize_system(config)
    yield running
    shutdown(running)


@pytest.fixture
def install(system: dict[str, Any], postgres_dir: Path) -> Iterator[Callable[..., Installation]]:
    made: list[Installation] = []

    def do(**settings: Any) -> Installation:
        where = {} if "database_url" in settings else {"data_dir": postgres_dir}
        made.append(mira_ltmemory.install(system, **{"user_name": f"user-{uuid.uuid4()}", **where, **settings}))
        return made[-1]

    yield do
    for installation in made:
        installation.close()


def prompt(system: dict[str, Any]) -> str:
    text: str = system["working_memory"].get_prompt_content()
    return text


def test_a_conversation_that_is_remembered(install: Any, system: dict[str, Any], model: ScriptedModel) -> None:
    installation = install()
    edit = ("core_memory_append", {"label": "human", "content": "Has a cat called Ada."})
    model.add(Reply(tool_calls=[edit]), "Noted.")
    run_turn(system, "My cat is called Ada.")
    assert "Has a cat called Ada." not in model.requests[0].system
    assert "Has a cat called Ada." in model.requests[1].system
    assert "core_memory_append" in model.requests[0].tools
    run_turn(system, "Thanks")
    with installation.memory.store.read() as unit:
        assert unit.messages.count() == 4  # the last reply is there at the next look; recalled text is not stored


def test_a_second_plugin_joins(install: Any, system: dict[str, Any], model: ScriptedModel, plugins: Any) -> None:
    foreign = Foreign()
    plugins(foreign=foreign)
    installation = install()
    registered = ["register_tools", "register_content_providers", "register_automations"]
    assert foreign.calls == ["configure", *registered, "startup"]
    assert "A die lies on the table." in prompt(system)
    model.add(Reply(tool_calls=[("dice", {})]), "Four.")
    run_turn(system, "Roll!")
    assert "{'success': True, 'rolled': 4}" in str(system["conversation"].messages)
    names = {row["operation"] for row in system["automation_engine"].get_automations()["automations"]}
    assert names == {job.name for job in installation.memory.jobs()} | {"roll"}
    assert {"process_conversations", "health_check", "consolidate_memory", "weekly_review"} < names
    assert installation.memory.runner.run("roll")["success"] and foreign.jobs_run == ["roll"]
    installation.close()
    assert foreign.heard[0] == "Roll!" and foreign.heard[-1] == "Four." and foreign.calls[-1] == "shutdown"


def failing(hook: str) -> object:
    """A plugin whose hook raises."""

    class Failing:
        pass

    def raises(self: Any) -> None:
        raise RuntimeError(f"{hook} is broken")

    raises.__name__ = hook
    setattr(Failing, hook, hookimpl(raises))
    return Failing()


HOOKS = sorted(name for name in vars(hookspecs) if hasattr(getattr(hookspecs, name), "mira_spec"))


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_that_raises_stops_nobody(
    install: Any, system: dict[str, Any], plugins: Any, hook: str, caplog: pytest.LogCaptureFixture
) -> None:
    foreign = Foreign()
    plugins(aaa=failing(hook), foreign=foreign)
    installation = install()
    run_turn(system, "Hello")
    run_turn(system, "Hello again")
    assert "core_memory_append" in system["tool_repo"].tools and "dice" in system["tool_repo"].tools
    assert foreign.heard == ["Hello", "fine", "Hello again"]
    if hook != "shutdown":
        assert f"{hook} is broken" in prompt(system)
    installation.close()
    assert foreign.calls[-1] == "shutdown"
    told = [one for one in caplog.records if f"{hook} is broken" in one.getMessage()]
    assert len([one for one in told if one.name == "mira_ltmemory.hooks.registry"]) == 1


def test_a_plugin_that_cannot_be_imported_stops_nobody(install: Any, system: dict[str, Any], plugins: Any) -> None:
    foreign = Foreign()
    plugins(aaa=ImportError("no module named aaa"), foreign=foreign)
    install()
    assert "no module named aaa" in prompt(system)
    assert "startup" in foreign.calls


def test_a_plugin_with_an_unknown_hook_is_named(install: Any, system: dict[str, Any], plugins: Any) -> None:
    class Mistaken:
        @hookimpl
        def register_tool(self) -> None: ...

        @hookimpl
        def startup(self, nonsense: int) -> None: ...

    plugins(mistaken=Mistaken())
    install()
    assert "plugin mistaken" in prompt(system)


def test_things_of_any_shape_are_refused_one_by_one(install: Any, system: dict[str, Any], plugins: Any) -> None:
    class Odd:
        @hookimpl
        def register_tools(self, register: Any) -> None:
            register(object())
            register(Dice())

        @hookimpl
        def register_automations(self, register: Any) -> None:
            job = Job(name="x", cron="nonsense", timezone="UTC", description="", run=lambda run: JobReport(summary=""))
            register(job)

    plugins(odd=Odd())
    installation = install()
    assert "dice" in system["tool_repo"].tools
    assert "core_memory_append" in system["tool_repo"].tools
    subjects = installation.memory.problems.all()
    assert "tools: object" in subjects and "automations: x" in subjects


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"database_url": "postgresql://nobody@127.0.0.1:9/none"}, "off"),
        ({"database_url": "mysql://x"}, "database_url"),
        ({"max_search_results": -1}, "max_search_results"),
        ({"no_such_setting": 1}, "no_such_setting"),
    ],
)
def test_mira_starts_without_its_memory_and_says_why(
    install: Any, system: dict[str, Any], settings: dict[str, Any], said: str
) -> None:
    installation = install(**settings)
    assert said in prompt(system)
    assert "core_memory_append" not in system["tool_repo"].tools
    assert run_turn(system, "Hello") == "fine"
    installation.close()


@pytest.mark.parametrize(
    "part", ["automation_engine", "tool_repo", "tool_relevance_engine", "conversation", "working_memory"]
)
def test_mira_starts_whatever_part_is_missing(install: Any, system: dict[str, Any], part: str) -> None:
    there = system.pop(part)
    try:
        installation = install()
        if part == "automation_engine":
            assert "MIRA has no automation engine" in prompt(system)
        installation.close()
    finally:
        system[part] = there


def test_without_metadata_our_own_plugin_is_there(
    install: Any, system: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mira_ltmemory.hooks.registry.entry_points", lambda group: [])
    assert "core_memory_append" in install().host._tools.names


def test_installing_twice_is_installing_once(install: Any, system: dict[str, Any]) -> None:
    first = install()
    assert mira_ltmemory.install(system) is first
    first.close()
    first.close()
    second = install()
    assert second is not first and "core_memory_append" in system["tool_repo"].tools


def test_the_settings_are_published(install: Any, system: dict[str, Any]) -> None:
    install(max_search_results=7)
    config = system["tool_repo"].config
    assert config.get("ltmemory.max_search_results") == 7
    assert config.ltmemory.timezone == config.system.timezone


def test_switched_off_tools_and_providers_are_absent(install: Any, system: dict[str, Any]) -> None:
    installation = install(
        tools={"memory_rethink": False}, providers={"memory_status": False}, automations={"health_check": False}
    )
    assert "memory_rethink" not in system["tool_repo"].tools
    assert system["working_memory"].get_items_by_category("ltmemory_memory_status") == []
    names = {row["operation"] for row in system["automation_engine"].get_automations()["automations"]}
    assert names == {job.name for job in installation.memory.jobs()} and "process_conversations" in names
    assert "health_check" not in names


_PROGRAM = """
import sys
from pathlib import Path
import mira_ltmemory
from mira_ltmemory.hosts.local import HostConfig, ScriptedModel, initialize_system, run_turn
model = ScriptedModel(default="The last word.").start()
config = HostConfig.for_folder(sys.argv[1], base_url=model.url, api_key="none")
config.automation.scheduler = False
system = initialize_system(config)
mira_ltmemory.install(system, user_name=sys.argv[2], data_dir=Path(sys.argv[3]))
run_turn(system, "Goodbye")
"""


def test_the_last_reply_is_captured_when_the_program_ends(tmp_path: Path, postgres_dir: Path, make_memory: Any) -> None:
    memory = make_memory()
    arguments = [str(tmp_path), memory.settings.user_name, str(postgres_dir)]
    done = subprocess.run([sys.executable, "-c", _PROGRAM, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    with memory.store.read() as unit:
        assert unit.messages.count() == 2


def test_every_hook_is_one_sentence() -> None:
    assert len(HOOKS) == 7
    for name in HOOKS:
        sentence = getattr(hookspecs, name).__doc__
        assert sentence.endswith(".") and sentence.count(". ") == 0


def test_the_entry_point_is_cheap_to_import() -> None:
    heavy = [
        "onnxruntime",
        "transformers",
        "networkx",
        "scipy",
        "alembic",
        "numpy",
        "sqlalchemy",
        "psycopg2",
        "jinja2",
        "httpx",
    ]
    code = f"import sys, mira_ltmemory.hooks.plugin; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_our_own_plugin_implements_only_known_hooks() -> None:
    from mira_ltmemory.hooks import plugin

    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(plugin)
    manager.check_pending()
