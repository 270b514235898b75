"""`install(system)`: attaches every plugin to a running MIRA, and never keeps MIRA from starting."""

from __future__ import annotations

import atexit
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from mira_ltmemory.errors import HostError, LtMemoryError, one_line
from mira_ltmemory.hooks.plugin import SERVICE
from mira_ltmemory.hooks.registry import PluginRegistry
from mira_ltmemory.hosts.mira_parts import MiraParts
from mira_ltmemory.protocols import IncomingMessage, Job

logger = logging.getLogger(__name__)

INSTALLED = "mira_ltmemory"
"""Key of the installation in MIRA's dict."""

Thing = TypeVar("Thing")


class Installation:
    """A MIRA with its plugins. ``memory`` is the opened memory, what is left of it, or None; ``host`` likewise."""

    def __init__(self, system: dict[str, Any]) -> None:
        self.host: Any = None
        self.closed = False
        self._system = system
        self._notices = _Notices()
        self.plugins = PluginRegistry(self._tell)
        self._jobs: list[Job] = []

    @property
    def memory(self) -> Any:
        """The memory, as our plugin left it."""
        return self.host.services.get(SERVICE) if self.host is not None else None

    def open(self, settings: dict[str, Any]) -> None:
        """Do every step of the installation. Raises nothing that a plugin or a database may cause."""
        from mira_ltmemory.hosts.mira import MiraHost
        from mira_ltmemory.hosts.mira_oss import MiraOssHost, is_oss

        self.host = MiraOssHost(self._system) if is_oss(self._system) else MiraHost(self._system)
        self.plugins.load()
        self.plugins.call("configure", host=self.host, settings=settings)
        self.host.report_to(self._notices if self.memory is None else self.memory.problems)
        self._notices.move_to(self.memory)
        if getattr(self.memory, "store", None) is not None:
            self.host.replace_own_memory()
            self.host.read_together(self.memory.updating)
        self._register("register_tools", self.host.register_tool)
        self._register("register_content_providers", self.host.register_provider)
        self._register("register_automations", self._accept_job)
        if self.memory is None:
            self.host.register_provider(self._notices)
        self._start_jobs()
        self.host.start(self._store, self._announce)
        self.plugins.call("startup", host=self.host)

    def adopt(self, system: Mapping[str, Any]) -> None:
        """Go on with MIRA's own dict, where the installation began with parts of it."""
        if isinstance(self._system, MiraParts):
            self._system.complete(system)

    def close(self) -> None:
        """Capture what was said last, and close every plugin. May be called twice."""
        if self.closed:
            return
        self.closed = True
        atexit.unregister(self.close)
        if self._system.get(INSTALLED) is self:
            del self._system[INSTALLED]
        if self.host is None:
            return
        try:
            self.host.close()
        except Exception:  # what MIRA's objects do at the end must not keep the database open
            logger.exception("MIRA could not be left in order")
        self.plugins.call("shutdown", host=self.host)

    def _register(self, hook: str, register: Callable[[Thing], None]) -> None:
        """Let every plugin register; one thing that cannot be registered keeps nothing else out."""

        def register_one(thing: Thing) -> None:
            name = getattr(thing, "name", type(thing).__name__)
            try:
                register(thing)
            except Exception as error:  # what a plugin hands over may be of any shape
                logger.exception("%s was not registered", name)
                self._tell(f"{hook.removeprefix('register_').replace('_', ' ')}: {name}", f"off: {error}")

        self.plugins.call(hook, host=self.host, register=register_one)

    def _accept_job(self, job: Job) -> None:
        """Take a job for the engine. Raises ``ValueError`` and ``HostError`` for one that cannot be scheduled."""
        from mira_ltmemory.automations.schedule import next_run
        from mira_ltmemory.protocols import SystemClock

        next_run(job.cron, job.timezone, SystemClock().now())
        if any(known.name == job.name for known in self._jobs):
            raise HostError(f"There is a job {job.name!r} already.")
        self._jobs.append(job)

    def _start_jobs(self) -> None:
        runner = getattr(self.memory, "runner", None)
        if runner is None:
            if self._jobs:
                self._tell("automations", "off: they need the memory's database to keep their times in.")
            return
        try:
            self.host.start_jobs(runner, self._jobs, self.memory.store.user_id)
        except LtMemoryError as error:
            self._tell("automations", f"off: {error}")
        except Exception as error:  # MIRA starts without its automations
            logger.exception("automations are off")
            self._tell("automations", f"off: {type(error).__name__}: {error}")

    def _store(self, messages: Sequence[IncomingMessage]) -> list[IncomingMessage]:
        """Store messages. Raises ``StoreError``; the host then keeps them for the next time."""
        stored: list[IncomingMessage] = [] if self.memory is None else self.memory.capture(messages)
        return stored

    def _announce(self, message: IncomingMessage) -> None:
        self.plugins.call("message_captured", host=self.host, message=message)

    def _tell(self, subject: str, text: str) -> None:
        memory = self.memory
        (self._notices if memory is None else memory.problems).set(subject, text)


class _Notices:
    """Problems, and the prompt part that shows them, where our own plugin is not there to do it."""

    name = "memory_status"

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def set(self, subject: str, text: str) -> None:
        """Say that something is off."""
        self._texts[subject] = one_line(text)

    def clear(self, subject: str) -> None:
        """Say that it works again."""
        self._texts.pop(subject, None)

    def move_to(self, memory: Any) -> None:
        """Say in the memory's status what was noted before there was one."""
        if memory is not None:
            for subject, text in self._texts.items():
                memory.problems.set(subject, text)
            self._texts.clear()

    def render(self) -> str:
        """Return what is off, a line each."""
        lines = [f"- {subject} {text}" for subject, text in sorted(self._texts.items())]
        return "\n".join(["# Memory status", "The long-term memory is off.", *lines])


def install(system: dict[str, Any], **settings: Any) -> Installation:
    """Attach every plugin of the entry-point group ``mira`` to a running MIRA; see `mira_ltmemory.install`.

    Installing twice in one MIRA returns the first installation until that is closed.
    """
    # The second is where `mira_ltmemory.integration` was called while MIRA started.
    present = system.get(INSTALLED) or getattr(system.get("lt_memory"), "installation", None)
    if isinstance(present, Installation) and not present.closed:
        present.adopt(system)
        if settings:
            logger.warning("the plugins are installed already; these settings are ignored: %s", ", ".join(settings))
        return present
    installation = Installation(system)
    system[INSTALLED] = installation
    try:
        installation.open(settings)
    except Exception:  # whatever it is, MIRA has to start
        logger.exception("the plugins could not be attached to MIRA")
    # After what was opened has registered its own end: ours comes first then, and captures the last message.
    atexit.register(installation.close)
    return installation
