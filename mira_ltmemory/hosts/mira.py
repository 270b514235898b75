"""MIRA as a `Host`: what plugins register is adapted and kept working inside the live objects of MIRA.

With its neighbours ``mira_*.py`` this is the only place that knows what a MIRA object looks like; nothing
of MIRA is imported. How those objects behave is held by tests/hosts/test_mira_real.py and by its twin.

Threads: MIRA's turn runs on one thread, the engine's jobs on others. Working memory and the set of enabled
tools are iterated by the turn and are not safe, so only the turn's thread changes them; a job captures
messages, and what it changed is in the prompt at the next update.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from pydantic import BaseModel

from mira_ltmemory.automations.runner import JobRunner
from mira_ltmemory.config import is_timezone
from mira_ltmemory.errors import HostError, LtMemoryError
from mira_ltmemory.hosts.mira_conversation import LiveConversation, Store
from mira_ltmemory.hosts.mira_jobs import EngineRows
from mira_ltmemory.hosts.mira_llm import MiraLLM
from mira_ltmemory.hosts.mira_predecessor import Predecessor
from mira_ltmemory.hosts.mira_prompt import PromptItems
from mira_ltmemory.hosts.mira_tools import JobTool, MiraTool, ToolKeeper
from mira_ltmemory.protocols import LLM, IncomingMessage, Job, Json, Provider, Tool

logger = logging.getLogger(__name__)

SETTINGS_NAME = "ltmemory"
"""Under this name the settings stand in MIRA's config: ``config.ltmemory``."""

_ABBREVIATIONS = {
    "EST": "America/New_York",
    "EDT": "America/New_York",
    "CST": "America/Chicago",
    "CDT": "America/Chicago",
    "MST": "America/Denver",
    "MDT": "America/Denver",
    "PST": "America/Los_Angeles",
    "PDT": "America/Los_Angeles",
    "GMT": "Etc/GMT",
}


class Problems(Protocol):
    """Where the user is told what is off."""

    def set(self, subject: str, text: str) -> None:
        """Say that something is off."""
        ...

    def clear(self, subject: str) -> None:
        """Say that it works again."""
        ...


class MemoryBridge:
    """What MIRA's working memory calls before each response: captures, keeps the tools, refreshes the prompt."""

    def __init__(self, steps: Sequence[tuple[str, Callable[[], None]]], problems: Callable[[], Problems]) -> None:
        self._steps = steps
        self._problems = problems
        self._failed: set[str] = set()
        self.closed = False

    def update_working_memory(self) -> None:
        """Do every step, also after one that failed. Never raises: MIRA would keep what is stale."""
        if self.closed:
            return
        for name, step in self._steps:
            try:
                step()
            except Exception as error:  # noqa: BLE001 MIRA's objects may fail in any way; the other steps go on
                self._note(name, error)
            else:
                self._mended(name)

    def _note(self, name: str, error: Exception) -> None:
        if name not in self._failed:
            logger.error("%s failed: %s", name, error, exc_info=None if isinstance(error, LtMemoryError) else error)
        self._failed.add(name)
        self._problems().set(name, f"{error if isinstance(error, LtMemoryError) else repr(error)}")

    def _mended(self, name: str) -> None:
        if name in self._failed:
            self._failed.discard(name)
            self._problems().clear(name)


class MiraHost:
    """One running MIRA. ``system`` is the dict that its ``initialize_system`` returns; parts may be missing."""

    name = "mira"

    def __init__(self, system: Mapping[str, Any]) -> None:
        self._system = system
        self.services: dict[str, Any] = {}
        self._problems: Problems = _Log()
        self._store: Store = leave_messages
        self._announce: Callable[[IncomingMessage], None] = ignore_message
        self._conversation = LiveConversation(lambda: self._system.get("conversation"))
        self._tools = ToolKeeper(system)
        self._predecessor = Predecessor(system)
        self._rows: EngineRows | None = None
        self._turn = threading.RLock()
        self._llm = MiraLLM(lambda: self._system.get("llm_bridge"), openai_tools=self._provider_name() == "ollama")
        self._prompt = PromptItems(self._need("working_memory"))
        self.bridge = MemoryBridge(
            [
                ("capture of the conversation", self._capture),
                ("tools in MIRA", self._keep_tools),
                ("parts of the prompt", self._prompt.refresh),
            ],
            lambda: self._problems,
        )

    @property
    def config(self) -> Any:
        """MIRA's config object, or None: it is not in the dict, but some of its parts hold it."""
        for part, name in (("tool_repo", "config"), ("user_info_manager", "config")):
            found = self._system.get("config") or getattr(self._system.get(part), name, None)
            if found is not None:
                return found
        return getattr(sys.modules.get("config"), "config", None)

    @property
    def tools(self) -> tuple[MiraTool, ...]:
        """The tools that the model is offered, as MIRA has them."""
        return self._tools.offered

    @property
    def automations(self) -> dict[str, str]:
        """The jobs that MIRA's engine runs: the id of each one's row, by its name."""
        return {} if self._rows is None else self._rows.ids()

    @property
    def timezone(self) -> str:
        """The user's time zone as an IANA name; UTC where MIRA's is none."""
        named = getattr(getattr(self.config, "system", None), "timezone", None)
        zone = _ABBREVIATIONS.get(str(named), str(named))
        return zone if is_timezone(zone) else "UTC"

    @property
    def llm(self) -> LLM | None:
        """MIRA's language model."""
        return self._llm if self._system.get("llm_bridge") is not None else None

    def memory_settings(self) -> Json:
        """Return the settings that MIRA's own config names: the time zone, and what is set in its memory section.

        Defaults of that section are not settings.
        """
        section = getattr(self.config, "memory", None)
        explicit = section.model_dump(include=set(section.model_fields_set)) if isinstance(section, BaseModel) else {}
        return {"timezone": self.timezone, **explicit}

    def publish(self, settings: Any) -> None:
        """Make the settings readable as ``config.ltmemory`` and ``config.get("ltmemory.x")``."""
        configs = getattr(self.config, "tool_configs", None)
        if isinstance(configs, dict):
            configs[SETTINGS_NAME] = settings

    def messages(self) -> Sequence[IncomingMessage]:
        """Return the messages of the live conversation that MIRA still holds, oldest first."""
        return self._conversation.messages()

    def refresh(self) -> None:
        """Capture, and render every provider again now. To be called on the turn's thread, as tools are."""
        with self._turn:
            self.bridge.update_working_memory()

    def report_to(self, problems: Problems) -> None:
        """Say from now on in ``problems`` what is off."""
        self._problems = problems

    def replace_own_memory(self) -> bool:
        """Take the place of MIRA's own first memory; tell whether it was there. ``close`` puts it back."""
        return self._predecessor.retire()

    def register_tool(self, tool: Tool) -> None:
        """Offer a tool to the model, always. Raises ``HostError`` where MIRA does not take it."""
        self._tools.register(MiraTool(tool, after=self.refresh, operation=self._operation))

    def register_provider(self, provider: Provider) -> None:
        """Show what a provider renders in the system prompt."""
        self._prompt.add(provider)

    def read_together(self, reading: Callable[[], AbstractContextManager[object]]) -> None:
        """Let all parts of the prompt be read within ``reading``: in one transaction."""
        self._prompt.reading = reading

    def start(self, store: Store, announce: Callable[[IncomingMessage], None] | None = None) -> None:
        """Begin: MIRA calls us before each response, new messages go to ``store``, and those stored to ``announce``."""
        self._store = store
        self._announce = announce or ignore_message
        self._need("working_memory").register_manager(self.bridge)
        self.refresh()

    def start_jobs(self, runner: JobRunner, jobs: Sequence[Job], user_id: Any) -> None:
        """Hand jobs to MIRA's engine. Raises ``HostError`` and ``StoreError``: automations are then off."""
        for job in jobs:
            runner.add(job)
        runner.before = self._capture
        engine = self._system.get("automation_engine")
        if engine is None:
            raise HostError("MIRA has no automation engine.")
        self._rows = EngineRows(engine, runner, user_id)
        self._rows.arm(self._carrier(self._rows) if jobs else "")

    def close(self) -> None:
        """Capture what was said last, and take everything out of MIRA again."""
        with self._turn:
            self.bridge.update_working_memory()
            self.bridge.closed = True
            self._store = leave_messages
            self._prompt.release()
            self._tools.release()
            self._predecessor.restore()

    def _carrier(self, rows: EngineRows) -> str:
        """Return the tool through which the engine runs the jobs."""
        if self._tools.names:
            return self._tools.names[0]
        self._tools.register(JobTool(self._operation, about_to_run=rows.about_to_run, hide=self._tools.hide))
        return JobTool.name

    def _operation(self, name: str, parameters: Json) -> Json | None:
        if self._rows is None or not self._rows.knows(name):
            return None
        return self._rows.run(name, force=bool(parameters.get("force")))

    def _capture(self) -> None:
        for message in self._conversation.take(self._store):
            self._announce(message)

    def _keep_tools(self) -> None:
        self._tools.hide_job_tool()
        self._tools.keep()

    def _provider_name(self) -> str:
        return str(getattr(getattr(self.config, "api", None), "provider", "")).lower()

    def _need(self, part: str) -> Any:
        found = self._system.get(part)
        if found is None:
            raise HostError(f"MIRA has no {part.replace('_', ' ')}.")
        return found


def log_problems() -> Problems:
    """Say problems in the log only, until there is a prompt to say them in."""
    return _Log()


class _Log:
    """Says problems in the log only, until there is a prompt to say them in."""

    def set(self, subject: str, text: str) -> None:
        logger.warning("%s: %s", subject, text)

    def clear(self, subject: str) -> None:
        logger.info("%s works again", subject)


def leave_messages(messages: Sequence[IncomingMessage]) -> list[IncomingMessage]:
    """Leave messages where they are."""
    return []


def ignore_message(message: IncomingMessage) -> None:
    """Take no notice of a message."""
