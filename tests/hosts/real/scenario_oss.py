"""The plugin in mira-OSS: in the pieces of its snapshot that run without its servers, or in a double of them.

``OSS_HOST=double`` takes the double. Else the snapshot is on the path: its event bus, events, working memory, composer,
tool repository, continuum and scheduler service are its own; its config, which needs a vault, and the per-user files of
its tools, which need a vault too, are answered for from outside.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
import types
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

DOUBLE = os.environ.get("OSS_HOST") == "double"
FOUND: dict[str, Any] = {}


class Double:
    """The double's parts."""

    def __init__(self) -> None:
        import oss_double

        oss_double.stand_in_for_apscheduler()
        self.event_bus = oss_double.EventBus()
        self.working_memory: Any = oss_double.WorkingMemory(self.event_bus)
        self.tool_repo: Any = oss_double.ToolRepository()
        self.scheduler: Any = oss_double.SchedulerService()
        self.continuum: Any = oss_double.Continuum()
        self._events = oss_double

    def prompt(self) -> str:
        return str(self.working_memory.compose(str(self.continuum.id)))

    def complete_turn(self) -> None:
        self.event_bus.publish(self._events.TurnCompletedEvent.create(str(self.continuum.id), continuum=self.continuum))

    def run_job(self, job_id: str) -> None:
        """Run it as the scheduler would, at the time that its trigger names."""
        job = self.scheduler._registered_jobs[job_id]
        now = datetime.now(UTC)
        FOUND["fires_in"] = (job.trigger.get_next_fire_time(None, now) - now).total_seconds()
        job.func()


class Snapshot:
    """The snapshot's own parts."""

    def __init__(self) -> None:
        config = SimpleNamespace(
            system=SimpleNamespace(timezone="Europe/Berlin"),
            paths=SimpleNamespace(data_dir=str(Path("data").resolve())),
        )
        package, manager = types.ModuleType("config"), types.ModuleType("config.config_manager")
        package.config = manager.config = config  # type: ignore[attr-defined]
        package.__path__ = []
        files = types.ModuleType("utils.userdata_manager")
        files.get_user_data_manager = lambda user_id: None  # type: ignore[attr-defined]
        sys.modules |= {"config": package, "config.config_manager": manager, "utils.userdata_manager": files}
        Path("data/tools").mkdir(parents=True, exist_ok=True)
        from cns.core import events  # type: ignore[import-not-found]
        from cns.core.continuum import Continuum  # type: ignore[import-not-found]
        from cns.integration.event_bus import EventBus  # type: ignore[import-not-found]
        from tools.repo import ToolRepository  # type: ignore[import-not-found]  # noqa: TID251
        from utils.scheduler_service import SchedulerService  # type: ignore[import-not-found]
        from utils.user_context import set_current_user_id  # type: ignore[import-not-found]
        from working_memory.core import WorkingMemory  # type: ignore[import-not-found]  # noqa: TID251

        set_current_user_id("11111111-1111-1111-1111-111111111111")
        self.event_bus = EventBus()
        self.working_memory = WorkingMemory(self.event_bus)
        self.tool_repo = ToolRepository(working_memory=self.working_memory)
        self.scheduler = SchedulerService()
        self.continuum = Continuum.create_new("11111111-1111-1111-1111-111111111111")
        self._events = events
        self._composed: list[Any] = []
        self.event_bus.subscribe("SystemPromptComposedEvent", self._composed.append)

    def prompt(self) -> str:
        create = self._events.ComposeSystemPromptEvent.create
        self.event_bus.publish(create(continuum_id=str(self.continuum.id), base_prompt="You are MIRA."))
        composed = self._composed[-1]
        return f"{composed.cached_content}\n{composed.non_cached_content}"

    def complete_turn(self) -> None:
        event = self._events.TurnCompletedEvent.create(str(self.continuum.id), 1, self.continuum)
        self.event_bus.publish(event)

    def run_job(self, job_id: str) -> None:
        """Let its scheduler run for a moment: what is to be caught up fires at once."""

        async def run() -> None:
            self.scheduler.start()
            FOUND["fires_in"] = 0.0
            deadline = time.monotonic() + 20
            while not FOUND.get("ran") and time.monotonic() < deadline:
                await asyncio.sleep(0.05)
            FOUND["active"] = self.scheduler.get_job_info(job_id)["active"]
            self.scheduler.stop()

        asyncio.run(run())


def stored(memory: Any) -> list[str]:
    from sqlalchemy import text

    query = text("SELECT content FROM ltmemory.messages WHERE user_id = :user ORDER BY said_at, position")
    with memory.store.read() as unit:
        return list(unit.session.connection().scalars(query, {"user": memory.store.user_id}))


def main() -> None:
    import mira_ltmemory
    from mira_ltmemory.config import AutomationSettings

    host: Any = Double() if DOUBLE else Snapshot()
    off = {name: False for name in AutomationSettings.model_fields if name != "process_conversations"}
    settings = {"user_name": sys.argv[3], "data_dir": sys.argv[2]}
    system = {
        "event_bus": host.event_bus,
        "working_memory": host.working_memory,
        "tool_repo": host.tool_repo,
        "scheduler_service": host.scheduler,
        "config": SimpleNamespace(system=SimpleNamespace(timezone="Europe/Berlin")),
    }
    # A run that was due while nothing ran.
    first = mira_ltmemory.open_memory(**settings)
    long_ago = datetime.now(UTC) - timedelta(days=2)
    with first.store.upkeep() as unit:
        unit.jobs.declare("process_conversations", "0 * * * *", "Europe/Berlin", long_ago)
    first.close()
    installation = mira_ltmemory.install(system, automations=off, **settings)
    FOUND["host"], FOUND["zone"] = installation.host.name, installation.memory.settings.timezone
    offered = {tool.name for tool in installation.host.tools}
    FOUND["schemas"] = [one for one in host.tool_repo.get_all_tool_definitions() if one["name"] in offered]
    FOUND["offered"] = sorted(offered)
    before = host.prompt()
    arguments = {"label": "human", "content": "Has a cat called Ada."}
    FOUND["edit"] = host.tool_repo.invoke_tool("core_memory_append", arguments)["success"]
    FOUND["mistake"] = host.tool_repo.invoke_tool("core_memory_append", {"lable": "human"})
    after = host.prompt()
    FOUND["prompt"] = ["Ada" in before, "Ada" in after, "# Core memory" in after, "# Memory status" in after]
    host.continuum.add_user_message("My cat is called Ada.")
    host.continuum.add_assistant_message("Noted.")
    host.continuum.add_assistant_message("A summary of all that", {"is_segment_boundary": True})
    host.complete_turn()
    for number in range(3):
        host.continuum.add_user_message(f"Turn {number}")
        host.continuum.add_assistant_message(f"Answer {number}")
        host.complete_turn()
        host.continuum.apply_cache(host.continuum.messages[-2:])
    host.tool_repo.disable_tool("conversation_search")  # its tool loader does so
    host.complete_turn()
    FOUND["enabled_again"] = "conversation_search" in host.tool_repo.enabled_tools
    FOUND["stored"] = stored(installation.memory)
    runner, run = installation.memory.runner, installation.memory.runner.run

    def note(name: str, **options: Any) -> Any:
        FOUND["ran"] = result = run(name, **options)
        return result

    runner.run = note
    FOUND["jobs"] = installation.host.automations
    host.run_job(FOUND["jobs"]["process_conversations"])
    host.continuum.add_assistant_message("The very last word.")
    installation.close()
    FOUND["left"] = [
        sorted(offered & set(host.tool_repo.tool_classes)),
        [name for name in host.working_memory._trinkets if name.startswith("LtMemory")],
        sorted(host.scheduler._registered_jobs),
        "Ada" in host.prompt(),
    ]
    again = mira_ltmemory.open_memory(**settings)
    FOUND["last"] = stored(again)[-1]
    again.close()


if __name__ == "__main__":
    import json

    main()
    print("FOUND " + json.dumps(FOUND, default=str))
