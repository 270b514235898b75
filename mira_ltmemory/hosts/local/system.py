"""Puts the host together, runs a turn as its command line would, and takes it down again."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from mira_ltmemory.hosts.local.automation import AutomationEngine
from mira_ltmemory.hosts.local.bridge import LLMBridge, OllamaBridge
from mira_ltmemory.hosts.local.clock import Clock, utc_now
from mira_ltmemory.hosts.local.config import HostConfig
from mira_ltmemory.hosts.local.conversation import Conversation
from mira_ltmemory.hosts.local.errors import AgentError, ErrorCode
from mira_ltmemory.hosts.local.host_tools import CalendarTool, WeatherTool
from mira_ltmemory.hosts.local.llm_types import RateLimit
from mira_ltmemory.hosts.local.managers import (
    OnLoadChecker,
    ReminderManager,
    SystemStatusManager,
    TimeManager,
    UserInfoManager,
    WorkflowManager,
)
from mira_ltmemory.hosts.local.relevance import ToolRelevanceEngine
from mira_ltmemory.hosts.local.tools import ToolRepository
from mira_ltmemory.hosts.local.working_memory import WorkingMemory

logger = logging.getLogger(__name__)


def initialize_system(
    config: HostConfig | None = None,
    *,
    llm_bridge: Any = None,
    clock: Clock | None = None,
    conversation_id: str | None = None,
) -> dict[str, Any]:
    """Build the host and return its parts under the names of MIRA's dict.

    A ``conversation_id`` is loaded if it was saved. The scheduler has made its first pass, and found no
    plugin's tool, when this returns.
    """
    config = config or HostConfig()
    clock = clock or utc_now
    Path(config.paths.data_dir).mkdir(parents=True, exist_ok=True)
    bridge = llm_bridge if llm_bridge is not None else make_bridge(config)
    working_memory = WorkingMemory()
    tool_repo = ToolRepository(working_memory if config.tools.guidance else None, config=config)
    host_tools = (CalendarTool(), WeatherTool())
    for tool in host_tools:
        tool_repo.register_tool(tool)
    if config.tools.enable_all_at_start:
        tool_repo.enable_all_tools()
    engine = ToolRelevanceEngine(
        tool_repo,
        [tool.name for tool in host_tools],
        tool_persistence_messages=config.tools.tool_persistence_messages,
    )
    system: dict[str, Any] = {
        "llm_bridge": bridge,
        "tool_repo": tool_repo,
        "conversation": None,
        "tool_relevance_engine": engine,
        "workflow_manager": WorkflowManager(working_memory),
        "automation_engine": AutomationEngine(
            tool_repo,
            bridge,
            db_path=Path(config.paths.data_dir) / "automations.db",
            timezone=config.system.timezone,
            check_interval=config.automation.check_interval,
            clock=clock,
        ),
        "working_memory": working_memory,
        "time_manager": TimeManager(working_memory, config.system.timezone, clock),
        "user_info_manager": UserInfoManager(working_memory),
        "system_status_manager": SystemStatusManager(working_memory),
        "reminder_manager": ReminderManager(working_memory),
        "onload_checker": OnLoadChecker(),
    }
    working_memory.register_manager(system["workflow_manager"])
    working_memory.register_manager(tool_repo)
    conversation = open_conversation(system, conversation_id or str(uuid4()), config=config, clock=clock)
    system["conversation"] = conversation
    system["onload_checker"].run_all_checks(conversation)
    if config.automation.scheduler:
        system["automation_engine"].start_scheduler()
    else:
        system["automation_engine"].process_due()
    return system


def make_bridge(config: HostConfig) -> LLMBridge | OllamaBridge:
    """Return the bridge that the configuration names."""
    api = config.api
    limit = RateLimit(api.rate_limit_rpm, api.burst_limit) if api.rate_limit_rpm else None
    options: dict[str, Any] = {
        "max_tokens": api.max_tokens,
        "temperature": api.temperature,
        "timeout": api.timeout,
        "rate_limit": limit,
    }
    if api.provider.lower() == "ollama":
        return OllamaBridge(api.ollama_url, api.ollama_model, **options)
    return LLMBridge(api.base_url, api.model, api_key=api.api_key, **options)


def open_conversation(
    system: dict[str, Any], conversation_id: str, *, config: HostConfig | None = None, clock: Clock | None = None
) -> Conversation:
    """Return the saved conversation of that id, or a new one. It is returned, not put into the system."""
    config = config or system["tool_repo"].config
    parts: dict[str, Any] = {
        key: system[key]
        for key in ("llm_bridge", "tool_repo", "tool_relevance_engine", "workflow_manager", "working_memory")
    }
    parts |= {"config": config, "clock": clock or system["automation_engine"].clock}
    path = _path(config, conversation_id)
    if path.exists():
        try:
            return Conversation.from_dict(json.loads(path.read_text(encoding="utf-8")), **parts)
        except Exception:
            logger.exception("cannot load conversation %s, so a new one begins", conversation_id)
    return Conversation(conversation_id, config.get_system_prompt("main_system_prompt"), **parts)


def save_conversation(system: dict[str, Any]) -> Path:
    """Write ``conversation_<id>.json``, as /save and /exit do."""
    conversation: Conversation = system["conversation"]
    config: HostConfig = system["tool_repo"].config
    path = _path(config, conversation.conversation_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(conversation.to_dict(), indent=config.system.json_indent), encoding="utf-8")
    return path


def load_conversation(system: dict[str, Any], conversation_id: str) -> Conversation:
    """Put a saved conversation in the place of the present one; an id that was never saved is an ``AgentError``."""
    if not _path(system["tool_repo"].config, conversation_id).exists():
        raise AgentError(f"there is no conversation {conversation_id}", ErrorCode.FILE_NOT_FOUND)
    conversation = open_conversation(system, conversation_id)
    system["conversation"] = conversation
    return conversation


def run_turn(
    system: dict[str, Any],
    user_input: str,
    *,
    stream: bool = False,
    stream_callback: Callable[[str], None] | None = None,
) -> str | None:
    """One turn of the command line. The providers run here and once more inside ``generate_response``."""
    system["time_manager"].update_datetime_info()
    system["reminder_manager"].update_reminder_info()
    system["working_memory"].update_all_managers()
    conversation: Conversation = system["conversation"]
    return conversation.generate_response(user_input, stream=stream, stream_callback=stream_callback)


def shutdown(system: dict[str, Any]) -> None:
    """Stop the scheduler and close the bridge's connections. Nothing is saved."""
    system["automation_engine"].stop_scheduler()
    close = getattr(system["llm_bridge"], "close", None)
    if callable(close):
        close()


def _path(config: HostConfig, conversation_id: str) -> Path:
    return Path(config.paths.conversation_history_dir) / f"conversation_{conversation_id}.json"
