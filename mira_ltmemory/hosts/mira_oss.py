"""mira-OSS as a `Host`: trinkets, tool classes with ``anthropic_schema``, APScheduler, and the turn-completed event.

Nothing of it is imported: an event's own module gives the class of the event that answers it. ``system`` is a dict of
its objects: ``event_bus``, ``working_memory``, ``tool_repo`` (all three from its orchestrator), ``scheduler_service``,
``llm_provider`` and ``config``; the last three may be missing. What was run of it: docs/hooks.md.

It composes the prompt once a turn, so an edit is in the prompt from the next turn on; in its own turn the model
has it in the tool's result.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from mira_ltmemory.automations.runner import JobRunner
from mira_ltmemory.config import is_timezone
from mira_ltmemory.errors import HostError, LtMemoryError, one_line
from mira_ltmemory.hosts.mira import SETTINGS_NAME, Problems, ignore_message, leave_messages, log_problems
from mira_ltmemory.hosts.mira_conversation import LiveConversation, Store
from mira_ltmemory.hosts.mira_oss_jobs import make_trigger
from mira_ltmemory.hosts.mira_oss_llm import OssLLM
from mira_ltmemory.hosts.mira_tools import MiraTool
from mira_ltmemory.protocols import LLM, IncomingMessage, Job, Json, Provider, Tool

logger = logging.getLogger(__name__)

COMPONENT = "ltmemory"
TURN_COMPLETED = "TurnCompletedEvent"


class _Talk(NamedTuple):
    """A continuum in the shape of a conversation."""

    conversation_id: str
    messages: list[Any]


class MiraOssHost:
    """One running mira-OSS, which has one user."""

    name = "mira-oss"

    def __init__(self, system: Mapping[str, Any]) -> None:
        self._system = system
        self.services: dict[str, Any] = {}
        self._problems: Problems = log_problems()
        self._store: Store = leave_messages
        self._announce: Callable[[IncomingMessage], None] = ignore_message
        self._continuum: Any = None
        self._conversation = LiveConversation(self._talk)
        self._tools: dict[str, MiraTool] = {}
        self._classes: dict[str, type] = {}
        self._trinkets: list[Any] = []
        self._runner: JobRunner | None = None
        self._jobs: dict[str, str] = {}
        self._closed = False
        self._lock = threading.RLock()
        for part in ("event_bus", "working_memory", "tool_repo"):
            self._need(part)

    @property
    def config(self) -> Any:
        """Its config object, or None."""
        return self._system.get("config")

    @property
    def timezone(self) -> str:
        """The user's time zone; UTC where its config names none."""
        named = str(getattr(getattr(self.config, "system", None), "timezone", ""))
        return named if is_timezone(named) else "UTC"

    @property
    def llm(self) -> LLM | None:
        """Its language model."""
        provider = self._system.get("llm_provider")
        return None if provider is None else OssLLM(provider)

    @property
    def tools(self) -> tuple[MiraTool, ...]:
        """The tools that the model is offered."""
        return tuple(self._tools.values())

    @property
    def automations(self) -> dict[str, str]:
        """The jobs that its scheduler runs: the id of each one, by its name."""
        return dict(self._jobs)

    def memory_settings(self) -> Json:
        """Return the settings that its config names: the time zone. Its own lt_memory section means its own memory."""
        return {"timezone": self.timezone}

    def publish(self, settings: Any) -> None:
        """Leave the settings in the dict that it was given: its config object takes no others."""
        if isinstance(self._system, dict):
            self._system[SETTINGS_NAME] = settings

    def replace_own_memory(self) -> bool:
        """Leave its own lt_memory as it is: it is no part of the objects that are handed over."""
        return False

    def messages(self) -> Sequence[IncomingMessage]:
        """Return the messages of the continuum that completed a turn last, oldest first."""
        return self._conversation.messages()

    def refresh(self) -> None:
        """Capture what was said. Its prompt is composed anew for each turn anyway."""
        with self._lock:
            self._step("capture of the conversation", self._capture)

    def report_to(self, problems: Problems) -> None:
        """Say from now on in ``problems`` what is off."""
        self._problems = problems

    def register_tool(self, tool: Tool) -> None:
        """Offer a tool to the model. Raises ``HostError`` where it is not taken."""
        adapted = MiraTool(tool, after=self.refresh, operation=lambda name, parameters: None)
        kind = _tool_class(adapted, tool.schema)
        try:
            self._need("tool_repo").register_tool_class(kind, tool.name)
        except Exception as error:
            raise HostError(f"mira-OSS does not take the tool {tool.name!r}: {error}") from error
        self._classes[tool.name], self._tools[tool.name] = kind, adapted

    def register_provider(self, provider: Provider) -> None:
        """Show what a provider renders in the system prompt, in a section of its own."""
        trinket = _trinket(provider, self._need("event_bus"))
        self._need("working_memory").register_trinket(trinket)
        self._trinkets.append(trinket)

    def read_together(self, reading: object) -> None:
        """Nothing: mira-OSS asks for each part of the prompt by itself."""

    def start(self, store: Store, announce: Callable[[IncomingMessage], None] | None = None) -> None:
        """Begin: after each turn new messages go to ``store``, and those stored to ``announce``."""
        self._store = store
        self._announce = announce or ignore_message
        self._keep_tools()
        self._need("event_bus").subscribe(TURN_COMPLETED, self._turn_completed)

    def start_jobs(self, runner: JobRunner, jobs: Sequence[Job], user_id: Any) -> None:
        """Hand jobs to its scheduler, before or after that has started. Raises ``HostError`` and ``StoreError``."""
        for job in jobs:
            runner.add(job)
        runner.before = self._capture
        scheduler = self._system.get("scheduler_service")
        if scheduler is None:
            raise HostError("mira-OSS has no scheduler service.")
        self._runner = runner
        schedules, _ = runner.declare()
        for schedule in schedules:
            job = schedule.job
            job_id = f"{COMPONENT}_{job.name}"
            first = schedule.next_run_at if schedule.catching_up else None
            try:
                scheduler.register_job(
                    job_id=job_id,
                    func=partial(self._run_job, job.name),
                    trigger=make_trigger(job.cron, job.timezone, first),
                    component=COMPONENT,
                    description=job.description,
                )
            except Exception as error:
                raise HostError(f"The scheduler of mira-OSS does not take {job.name!r}: {error}") from error
            self._jobs[job.name] = job_id

    def close(self) -> None:
        """Capture what was said last, and take everything out again."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._step("capture of the conversation", self._capture)
            self._store = leave_messages
        self._need("event_bus").unsubscribe(TURN_COMPLETED, self._turn_completed)
        registered = getattr(self._need("working_memory"), "_trinkets", {})
        for trinket in self._trinkets:
            if registered.get(type(trinket).__name__) is trinket:
                del registered[type(trinket).__name__]
        repo = self._need("tool_repo")
        for name, kind in self._classes.items():
            if repo.tool_classes.get(name) is kind:
                repo.disable_tool(name)
                del repo.tool_classes[name]
        for job_id in self._jobs.values():
            self._step("the scheduler of mira-OSS", partial(self._system["scheduler_service"].unregister_job, job_id))

    def _run_job(self, name: str) -> Json:
        """Run a job for the scheduler. Raises ``HostError`` where it failed, which the scheduler logs."""
        assert self._runner is not None
        try:
            result = self._runner.run(name)
        finally:
            self._step("the scheduler of mira-OSS", partial(self._rearm, name))
        if not result["success"]:
            raise HostError(str(result.get("error")))
        return result

    def _rearm(self, name: str) -> None:
        """A job that failed or was put off runs again before its cron says so, as everywhere."""
        assert self._runner is not None
        job = self._system["scheduler_service"].scheduler.get_job(self._jobs[name])
        if job is not None:
            job.modify(next_run_time=self._runner.next_run_at(name))

    def _turn_completed(self, event: Any) -> None:
        self._continuum = event.continuum
        self.refresh()
        self._step("tools in mira-OSS", self._keep_tools)

    def _keep_tools(self) -> None:
        """Enable what something has disabled since: its tool loader unloads what was not used for some turns."""
        repo = self._need("tool_repo")
        for name in self._classes:
            if name not in repo.enabled_tools:
                repo.enable_tool(name)

    def _talk(self) -> _Talk | None:
        """Return the continuum without the marks of its segments, which nobody said."""
        if self._continuum is None:
            return None
        said = [one for one in self._continuum.messages if not (one.metadata or {}).get("is_segment_boundary")]
        return _Talk(str(self._continuum.id), said)

    def _capture(self) -> None:
        for message in self._conversation.take(self._store):
            self._announce(message)

    def _step(self, subject: str, step: Callable[[], object]) -> None:
        try:
            step()
        except Exception as error:  # its objects may fail in any way, and a turn must not fail with them
            known = isinstance(error, LtMemoryError)
            logger.error("%s failed: %s", subject, error, exc_info=None if known else error)
            self._problems.set(subject, str(error) if known else repr(error))
        else:
            self._problems.clear(subject)

    def _need(self, part: str) -> Any:
        found = self._system.get(part)
        if found is None:
            raise HostError(f"mira-OSS has no {part.replace('_', ' ')}.")
        return found


def _tool_class(tool: MiraTool, schema: Mapping[str, Any]) -> type:
    """Return a class as the repository wants one: it makes an instance for every call."""
    definition = {"name": tool.name, "description": tool.description, "input_schema": dict(schema)}
    members = {
        "name": tool.name,
        "description": tool.description,
        "simple_description": tool.description.split(". ")[0],
        "anthropic_schema": definition,
        "usage_examples": [],
        "get_dependencies": lambda self: [],
        "get_metadata": lambda self: {**tool.get_metadata(), "usage_examples": []},
        "run": lambda self, /, **arguments: tool.run(**arguments),
    }
    return type(f"{_camel(tool.name)}Tool", (), members)


class _Trinket:
    """A part of the prompt. Working memory knows trinkets by the names of their classes."""

    def __init__(self, provider: Provider, event_bus: Any) -> None:
        self._provider = provider
        self._event_bus = event_bus
        self._failed = False

    def handle_update_request(self, event: Any) -> None:
        """Answer with the section. Never raises: what would be missing from the prompt is said in it."""
        text = self._render()
        if not text.strip():
            return
        answer = sys.modules[type(event).__module__].TrinketContentEvent.create(
            continuum_id=event.continuum_id,
            variable_name=f"{COMPONENT}_{self._provider.name}",
            content=text,
            trinket_name=type(self).__name__,
            cache_policy=False,
        )
        self._event_bus.publish(answer)

    def cleanup(self) -> None:
        """Nothing is held."""

    def _render(self) -> str:
        try:
            text = self._provider.render()
        except Exception as error:  # a provider may be anybody's; the rest of the prompt goes on
            if not self._failed:
                logger.exception("the prompt part %s failed", self._provider.name)
            self._failed = True
            name = self._provider.name
            return f"[{name} cannot be shown at the moment: {type(error).__name__}: {one_line(error)}]"
        self._failed = False
        return text


def _trinket(provider: Provider, event_bus: Any) -> _Trinket:
    made: _Trinket = type(f"LtMemory{_camel(provider.name)}Trinket", (_Trinket,), {})(provider, event_bus)
    return made


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def is_oss(system: Mapping[str, Any]) -> bool:
    """Whether a dict of live objects is that of a mira-OSS."""
    return system.get("event_bus") is not None
