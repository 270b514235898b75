"""The plugin in mira-OSS: in the pieces of its snapshot that run without its servers, or in a double of them.

``OSS_HOST=double`` takes the double. Else the snapshot is on the path: its orchestrator, LLM provider (against a
scripted model on loopback), event bus, events, working memory, composer, tool repository, continuum and scheduler
service are its own. Answered for from outside: its config and keys, which need a vault, the per-user files of its
tools, its embeddings (Valkey), the surfacing of its own memories (Postgres), and the model call that describes a
conversation before each turn.
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

import numpy as np

from mira_ltmemory.errors import LLMError
from mira_ltmemory.hosts.local.scripted_model import Fault, Reply, ScriptedModel
from mira_ltmemory.hosts.mira_oss_llm import OssLLM

DOUBLE = os.environ.get("OSS_HOST") == "double"
FOUND: dict[str, Any] = {}


class Double:
    """The double's parts."""

    def __init__(self, url: str) -> None:
        import oss_double

        oss_double.stand_in_for_apscheduler()
        self.event_bus = oss_double.EventBus()
        self.working_memory: Any = oss_double.WorkingMemory(self.event_bus)
        self.tool_repo: Any = oss_double.ToolRepository()
        self.scheduler: Any = oss_double.SchedulerService()
        self.continuum: Any = oss_double.Continuum()
        self.llm_provider: Any = oss_double.LLMProvider(url, self.tool_repo)
        self._events = oss_double

    def ask(self, text: str) -> str:
        """One turn, as its orchestrator does it."""
        self.continuum.add_user_message(text)
        said = [{"role": one.role, "content": one.content} for one in self.continuum.messages]
        messages = [{"role": "system", "content": self.prompt()}, *said]
        response = self.llm_provider.generate_response(messages, self.tool_repo.get_all_tool_definitions())
        answer = str(self.llm_provider.extract_text_content(response))
        self.continuum.add_assistant_message(answer)
        self.complete_turn()
        return answer

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
        FOUND["again"] = self.scheduler.armed[job_id].isoformat()


class Snapshot:
    """The snapshot's own parts."""

    def __init__(self, url: str) -> None:
        os.environ["ANTHROPIC_BASE_URL"] = url
        config = snapshot_config()
        package, manager = types.ModuleType("config"), types.ModuleType("config.config_manager")
        package.config = manager.config = config  # type: ignore[attr-defined]
        package.__path__ = []
        files = types.ModuleType("utils.userdata_manager")
        files.get_user_data_manager = lambda user_id: None  # type: ignore[attr-defined]
        clients = types.ModuleType("clients")  # its own imports every client of every server
        clients.__path__ = [str(Path("mira/clients").resolve())]
        keys, embeddings = (
            types.ModuleType("clients.vault_client"),
            types.ModuleType("clients.hybrid_embeddings_provider"),
        )
        keys.get_api_key = lambda name: None  # type: ignore[attr-defined]
        embedder = SimpleNamespace(encode_realtime=lambda text: np.ones(384, np.float32))
        embeddings.get_hybrid_embeddings_provider = lambda: embedder  # type: ignore[attr-defined]
        sys.modules |= {
            "config": package,
            "config.config_manager": manager,
            "utils.userdata_manager": files,
            "clients": clients,
            "clients.vault_client": keys,
            "clients.hybrid_embeddings_provider": embeddings,
        }
        Path("data/tools").mkdir(parents=True, exist_ok=True)
        from clients.llm_provider import LLMProvider  # type: ignore[import-not-found]
        from cns.core import events  # type: ignore[import-not-found]
        from cns.core.continuum import Continuum  # type: ignore[import-not-found]
        from cns.integration.event_bus import EventBus  # type: ignore[import-not-found]
        from cns.services.orchestrator import ContinuumOrchestrator  # type: ignore[import-not-found]
        from tools.repo import ToolRepository  # type: ignore[import-not-found]  # noqa: TID251
        from utils.scheduler_service import SchedulerService  # type: ignore[import-not-found]
        from utils.tag_parser import TagParser  # type: ignore[import-not-found]
        from utils.user_context import set_current_user_id  # type: ignore[import-not-found]
        from working_memory.core import WorkingMemory  # type: ignore[import-not-found]  # noqa: TID251

        set_current_user_id("11111111-1111-1111-1111-111111111111")
        self.event_bus = EventBus()
        self.working_memory = WorkingMemory(self.event_bus)
        self.tool_repo = ToolRepository(working_memory=self.working_memory)
        self.scheduler = SchedulerService()
        self.continuum = Continuum.create_new("11111111-1111-1111-1111-111111111111")
        self._events = events
        self.llm_provider = LLMProvider(tool_repo=self.tool_repo)
        described = {"narrative": "talk", "temporal_context": "", "relationship_context": "", "entities": ""}
        self.orchestrator = ContinuumOrchestrator(
            llm_provider=self.llm_provider,
            continuum_repo=None,
            working_memory=self.working_memory,
            tool_repo=self.tool_repo,
            tag_parser=TagParser(),
            analysis_generator=SimpleNamespace(generate_analysis=lambda *_: described),
            event_bus=self.event_bus,
            memory_relevance_service=SimpleNamespace(get_relevant_memories=lambda *_, **__: []),
        )
        self._composed: list[Any] = []
        self.event_bus.subscribe("SystemPromptComposedEvent", self._composed.append)

    def ask(self, text: str) -> str:
        """One turn of its orchestrator, streamed."""
        unit_of_work = SimpleNamespace(add_messages=lambda *_: None, mark_metadata_updated=lambda: None)
        _, answer, _ = self.orchestrator.process_message(
            self.continuum, text, "You are MIRA.", stream=True, stream_callback=lambda _: None,
            unit_of_work=unit_of_work,
        )  # fmt: skip
        return str(answer)

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
            await asyncio.sleep(0.5)  # the run has ended; it is armed again in its thread
            FOUND["active"] = self.scheduler.get_job_info(job_id)["active"]
            FOUND["again"] = self.scheduler.scheduler.get_job(job_id).next_run_time.astimezone(UTC).isoformat()
            self.scheduler.stop()

        asyncio.run(run())


def snapshot_config() -> Any:
    """What the snapshot's parts read of its config."""
    api = {
        "model": "scripted", "execution_model": "quick", "execution_endpoint": "", "simple_tools": [],
        "max_tokens": 500, "temperature": 0.5, "timeout": 20, "execution_api_key_name": "none",
        "emergency_fallback_enabled": False,
    }  # fmt: skip
    return SimpleNamespace(
        system=SimpleNamespace(timezone="Europe/Berlin", max_tool_iterations=5),
        paths=SimpleNamespace(data_dir=str(Path("data").resolve())),
        api=SimpleNamespace(**api),
        api_key="none",
        api_server=SimpleNamespace(extended_thinking=True, extended_thinking_budget=1_024),
    )


def stored(memory: Any) -> list[str]:
    from sqlalchemy import text

    query = text("SELECT content FROM ltmemory.messages WHERE user_id = :user ORDER BY said_at, position")
    with memory.store.read() as unit:
        return list(unit.session.connection().scalars(query, {"user": memory.store.user_id}))


def talk(host: Any, model: ScriptedModel, installation: Any) -> None:
    """Two turns: the model edits its memory in the first, and has the edit in its prompt in the second."""
    edit = {"label": "human", "content": "Plays the cello."}
    model.add(Reply(tool_calls=[("core_memory_append", edit)]), "I shall remember that.", "The cello.")
    FOUND["answers"] = [host.ask("I play the cello, remember?"), host.ask("What do I play?")]
    offered = {tool.name for tool in installation.host.tools}
    FOUND["requested"] = [sorted(offered - set(request.tools)) for request in model.requests]
    FOUND["told"] = ["cello" in request.system for request in model.requests]
    FOUND["result"] = model.requests[1].last_text


def ask_model(host: Any, model: ScriptedModel) -> None:
    """The memory's own way to the model: what is asked arrives, tools are not run, failures are told apart."""
    llm = OssLLM(host.llm_provider)
    edit = {"label": "human", "content": "Never to be stored."}
    model.add(Reply("Well.", tool_calls=[("core_memory_append", edit)], input_tokens=40))
    tool = {"name": "core_memory_append", "description": "Append.", "input_schema": {"type": "object"}}
    question = [{"role": "user", "content": "What follows?"}]
    reply = llm.complete(question, system="You keep a memory.", tools=[tool], max_tokens=77, temperature=0.0)
    request = model.requests[-1]
    FOUND["llm"] = {
        "name": llm.name,
        "text": reply.text,
        "calls": [[call.name, call.arguments] for call in reply.tool_calls],
        "tokens": [reply.input_tokens, reply.output_tokens, reply.stop_reason],
        "system": request.system,
        "limits": [request.body["max_tokens"], request.body["temperature"], "thinking" in request.body],
        "provider": [host.llm_provider.max_tokens, host.llm_provider.tool_repo is host.tool_repo],
    }
    for status in (429, 529, 400):
        model.add(*[Fault(status, "no", headers={"retry-after": "0.1"})] * 3)
        try:
            llm.complete(question)
        except LLMError as error:
            FOUND["llm"][str(status)] = type(error).__name__
        model.queue.clear()


def main() -> None:
    with ScriptedModel() as model:
        play(model)


def play(model: ScriptedModel) -> None:
    import mira_ltmemory
    from mira_ltmemory.config import AutomationSettings

    # What the job asks.
    model.when(lambda body: "worth remembering for months" in str(body), '{"facts": []}')
    model.when(lambda body: "list who and what it speaks of" in str(body), '{"entities": [], "relations": []}')
    host: Any = (Double if DOUBLE else Snapshot)(model.url)
    off = {name: False for name in AutomationSettings.model_fields if name != "process_conversations"}
    settings = {"user_name": sys.argv[3], "data_dir": sys.argv[2]}
    system = {
        "event_bus": host.event_bus,
        "working_memory": host.working_memory,
        "tool_repo": host.tool_repo,
        "scheduler_service": host.scheduler,
        "llm_provider": host.llm_provider,
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
    talk(host, model, installation)
    FOUND["heard"] = stored(installation.memory)[-4:]
    ask_model(host, model)
    FOUND["refused"] = model.refusals
    runner, run = installation.memory.runner, installation.memory.runner.run

    def note(name: str, **options: Any) -> Any:
        FOUND["ran"] = result = run(name, **options)
        return result

    runner.run = note
    FOUND["jobs"] = installation.host.automations
    host.run_job(FOUND["jobs"]["process_conversations"])
    FOUND["due"] = installation.memory.runner.next_run_at("process_conversations").astimezone(UTC).isoformat()
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
