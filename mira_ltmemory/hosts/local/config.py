"""A configuration object with MIRA's shape: sections, tool configs and dotted look-ups."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from mira_ltmemory.hosts.local.errors import AgentError, ErrorCode

DEFAULT_PROMPT = (
    "You are a helpful assistant with a long-term memory. Answer briefly. If you need a tool that you cannot see,"
    " answer only with <need_tool />. End each answer with <topic_changed=true/> or <topic_changed=false/>."
)


@dataclass
class ApiSection:
    """Which model, and how it is asked."""

    provider: str = "anthropic"
    base_url: str = "https://api.anthropic.com"
    api_key: str = ""
    model: str = "claude-3-5-haiku-20241022"
    ollama_url: str = "http://localhost:11434"
    ollama_model: str = "qwen3:4b"
    max_tokens: int = 1000
    temperature: float = 0.4
    timeout: float = 60.0
    rate_limit_rpm: float | None = None  # MIRA: 10; None asks as fast as it likes
    burst_limit: int = 5


@dataclass
class PathSection:
    """Where files go."""

    data_dir: str = "data"
    conversation_history_dir: str = "persistent/conversation_history"


@dataclass
class ConversationSection:
    """How much of the conversation is kept."""

    max_history: int = 20
    max_tool_iterations: int = 10
    update_managers: bool = True  # False: as at MIRA's commit 23a3a17


@dataclass
class SystemSection:
    """General settings."""

    timezone: str = "America/Chicago"
    json_indent: int = 2


@dataclass
class ToolsSection:
    """Tools at start, and whether the repository writes its guidance (MIRA's main.py does not let it)."""

    enable_all_at_start: bool = True
    tool_persistence_messages: int = 2
    guidance: bool = False


@dataclass
class AutomationSection:
    """The scheduler."""

    check_interval: float = 30.0
    scheduler: bool = True  # False: no background thread, only the first pass and process_due()


@dataclass
class HostConfig:
    """All sections, and ``tool_configs`` for everybody else's settings."""

    api: ApiSection = field(default_factory=ApiSection)
    paths: PathSection = field(default_factory=PathSection)
    conversation: ConversationSection = field(default_factory=ConversationSection)
    system: SystemSection = field(default_factory=SystemSection)
    tools: ToolsSection = field(default_factory=ToolsSection)
    automation: AutomationSection = field(default_factory=AutomationSection)
    tool_configs: dict[str, Any] = field(default_factory=dict)
    prompts: dict[str, str] = field(default_factory=lambda: {"main_system_prompt": DEFAULT_PROMPT})

    @classmethod
    def for_folder(cls, folder: str | Path, **api: Any) -> HostConfig:
        """Return a configuration that keeps all its files under one folder; keywords go to the ``api`` section."""
        root = Path(folder)
        paths = PathSection(str(root / "data"), str(root / "conversations"))
        return cls(api=ApiSection(**api), paths=paths)

    def get(self, key: str, default: Any = None) -> Any:
        """Look up ``"section"`` or ``"section.name"``; deeper keys give the default."""
        parts = key.split(".")
        if len(parts) == 1:
            return getattr(self, parts[0], default)
        if len(parts) > 2:
            return default
        section = getattr(self, parts[0], None)
        return default if section is None else getattr(section, parts[1], default)

    def get_tool_config(self, tool_name: str) -> Any:
        """Return a tool's configuration; one that is not there yet comes into being with ``enabled=True``."""
        return self.tool_configs.setdefault(tool_name, SimpleNamespace(enabled=True))

    def get_system_prompt(self, prompt_name: str) -> str:
        """Return a system prompt by name."""
        if prompt_name not in self.prompts:
            raise AgentError(f"there is no prompt '{prompt_name}'", ErrorCode.CONFIG_NOT_FOUND)
        return self.prompts[prompt_name]

    def __getattr__(self, name: str) -> Any:
        configs = self.__dict__.get("tool_configs", {})
        if name in configs or (name.endswith("_tool") and not name.startswith("_")):
            return self.get_tool_config(name)
        raise AttributeError(f"the configuration has no '{name}'")
