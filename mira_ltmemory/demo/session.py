"""One life of the host with the memory in it: from start to shutdown, all in the demo's own directory."""

from __future__ import annotations

import ast
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mira_ltmemory
from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.demo.model import Endpoint
from mira_ltmemory.errors import HostError, LtMemoryError
from mira_ltmemory.hosts.local import (
    AgentError,
    HostConfig,
    initialize_system,
    run_turn,
    save_conversation,
    shutdown,
)
from mira_ltmemory.protocols import Json

_ENGINE_LOOKS_EVERY_S = 0.2
_JOBS_TAKE_S = 120.0


@dataclass(frozen=True)
class Place:
    """Where the demo keeps everything, whose memory it is, and the user's time zone."""

    root: Path
    user_name: str
    zone: str

    @property
    def database(self) -> Path:
        """Directory of the embedded Postgres."""
        return self.root / "postgres"

    @property
    def host(self) -> Path:
        """Directory of the host: its automations and saved conversations."""
        return self.root / "host" / self.user_name

    @property
    def log(self) -> Path:
        """The demo's log."""
        return self.root / "demo.log"


@dataclass(frozen=True)
class ToolUse:
    """A tool call of the model, and what the tool answered: a dict, or the host's text where it failed."""

    name: str
    arguments: Json
    result: Json | str

    @property
    def success(self) -> bool:
        """Whether the tool did what it was asked."""
        return isinstance(self.result, dict) and self.result.get("success") is True


@dataclass(frozen=True)
class Exchange:
    """What came of one sentence of the user. ``error`` tells why the model gave no answer."""

    answer: str
    tools: tuple[ToolUse, ...]
    error: str | None = None


class Session:
    """A running host with the memory installed through its entry point."""

    def __init__(self, place: Place, endpoint: Endpoint) -> None:
        config = HostConfig.for_folder(place.host)
        config.system.timezone = place.zone
        config.automation.check_interval = _ENGINE_LOOKS_EVERY_S
        self._endpoint = endpoint
        self.system = initialize_system(config, llm_bridge=endpoint.bridge())
        self.installation = mira_ltmemory.install(
            self.system,
            user_name=place.user_name,
            user_id=None,
            database_url=None,
            data_dir=place.database,
            redact_secrets=True,
            **endpoint.limits(),
        )
        self.memory = self._opened_memory()

    @property
    def conversation_id(self) -> str:
        """Id of the conversation that this session holds."""
        return str(self.system["conversation"].conversation_id)

    def blocks(self) -> dict[str, str]:
        """Return core memory as it is now, by label."""
        return {block.label: block.content for block in self.memory.blocks.all()}

    def prompt_parts(self) -> list[str]:
        """Return the items that the memory has in the host's system prompt, as the last request had them."""
        categories = [f"ltmemory_{provider.name}" for provider in self.memory.providers()]
        items = [self.system["working_memory"].get_items_by_category(category) for category in categories]
        return [item["content"] for found in items for item in found]

    def say(self, text: str) -> Exchange:
        """Run one turn, as the host's command line does."""
        conversation = self.system["conversation"]
        before = {message.id for message in conversation.messages}
        answer, error = "", None
        try:
            answer = run_turn(self.system, text) or ""
        except AgentError as failure:
            error = str(failure)
        new = [message for message in conversation.messages if message.id not in before]
        return Exchange(answer, tuple(_tool_uses(new)), error)

    def run_jobs(self) -> dict[str, str]:
        """Make every job due now, wait until the host's engine has run it, and return what came of each."""
        engine = self.system["automation_engine"]
        names = {job.name for job in self.memory.jobs()}
        rows = {row["operation"]: row["id"] for row in self._rows() if row["operation"] in names}
        before = {name: self._finished(row) for name, row in rows.items()}
        for row in rows.values():
            # Forced, or a job that ran in this hour already would find nothing to do.
            engine.update_automation(row, {"next_execution_time": datetime.now(UTC), "parameters": {"force": True}})
        deadline = time.monotonic() + _JOBS_TAKE_S
        while time.monotonic() < deadline and any(self._finished(row) == before[name] for name, row in rows.items()):
            time.sleep(_ENGINE_LOOKS_EVERY_S / 2)
        for row in rows.values():
            engine.update_automation(row, {"parameters": {}})
        return {name: self._outcome(row) for name, row in rows.items() if self._finished(row) != before[name]}

    def settle(self) -> None:
        """Capture and embed what was said last."""
        self.installation.host.refresh()
        self.memory.process_pending()

    def save(self) -> Path:
        """Save the conversation, as the host does on /exit."""
        return save_conversation(self.system)

    def close(self) -> None:
        """Shut everything down: plugins, host, and the embedded server."""
        self.installation.close()
        shutdown(self.system)

    def _opened_memory(self) -> MemoryManager:
        memory = self.installation.memory
        if isinstance(memory, MemoryManager):
            return memory
        reason = getattr(memory, "error", None)
        self.close()
        raise reason if isinstance(reason, LtMemoryError) else HostError("The memory could not be installed.")

    def _rows(self) -> list[Json]:
        rows: list[Json] = self.system["automation_engine"].get_automations(limit=100)["automations"]
        return rows

    def _finished(self, row: str) -> str | None:
        """Id of the last run of a row that has ended."""
        runs = self.system["automation_engine"].get_executions(row)["executions"]
        return next((str(run["id"]) for run in runs if run["completed_at"]), None)

    def _outcome(self, row: str) -> str:
        run = self.system["automation_engine"].get_execution_details(self._finished(row))
        if run is None or run.error:
            return f"failed: {run.error if run else 'no record'}"
        answer: Any = run.result
        return str(answer["report"]["summary"] if answer.get("success") else f"failed: {answer.get('error')}")


def _tool_uses(messages: list[Any]) -> list[ToolUse]:
    calls: dict[str, tuple[str, Json]] = {}
    uses: list[ToolUse] = []
    for message in messages:
        for block in message.content if isinstance(message.content, list) else []:
            if getattr(block, "type", None) == "tool_use":
                calls[block.id] = (block.name, block.input)
            elif isinstance(block, dict) and block.get("type") == "tool_result":
                name, arguments = calls.get(block["tool_use_id"], ("unknown", {}))
                uses.append(ToolUse(name, arguments, _answer(block["content"])))
    return uses


def _answer(content: str) -> Json | str:
    """Read a result back from ``str(dict)``, which is how the host hands it to the model."""
    try:
        value = ast.literal_eval(content)
    except (ValueError, SyntaxError):
        return content
    return value if isinstance(value, dict) else content
