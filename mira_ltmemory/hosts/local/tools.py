"""The host's register of tools and what the model is told of them."""

from __future__ import annotations

import logging
from typing import Any, Protocol

from mira_ltmemory.hosts.local.config import HostConfig
from mira_ltmemory.hosts.local.errors import ErrorCode, ToolError, error_context
from mira_ltmemory.hosts.local.working_memory import WorkingMemory

logger = logging.getLogger(__name__)

# "integer" is missing on purpose: MIRA sends it to the model as "string".
_JSON_TYPES = {
    **dict.fromkeys(("int", "float", "complex", "number"), "number"),
    **dict.fromkeys(("bool", "boolean"), "boolean"),
    **dict.fromkeys(("dict", "Dict", "dictionary", "object"), "object"),
    **dict.fromkeys(("list", "List", "array"), "array"),
}


class HostTool(Protocol):
    """What the host asks of a tool; it never checks for a base class."""

    name: str
    description: str

    def get_metadata(self) -> dict[str, Any]:
        """Return name, description, parameters and required_parameters."""

    def get_dependencies(self) -> list[str]:
        """Return the names of the tools that must be enabled with this one."""


class ToolRepository:
    """All registered tools, and the set of those that the model may see at present."""

    def __init__(self, working_memory: WorkingMemory | None = None, *, config: HostConfig | None = None) -> None:
        self.tools: dict[str, Any] = {}
        self.enabled_tools: set[str] = set()
        self.working_memory = working_memory
        self.config = config if config is not None else HostConfig()
        self._tool_guidance_id: str | None = None

    def register_tool(self, tool: HostTool) -> None:
        """Make a tool known. It stays disabled; a name that is taken is a ``ToolError``."""
        with error_context("ToolRepository", "registering a tool", ToolError, ErrorCode.TOOL_REGISTRATION_ERROR):
            if tool.name in self.tools:
                raise ToolError(f"the tool name '{tool.name}' is taken", ErrorCode.TOOL_DUPLICATE_NAME)
            self.tools[tool.name] = tool
            self.update_working_memory()

    def enable_tool(self, name: str) -> None:
        """Show a tool, and what it depends on, to the model."""
        with error_context("ToolRepository", f"enabling {name}", ToolError, ErrorCode.TOOL_NOT_FOUND):
            self._require(name, "enable")
            for needed in self.resolve_dependencies(name):
                if needed not in self.enabled_tools:
                    self.enable_tool(needed)
            self.enabled_tools.add(name)
            self.update_working_memory()

    def disable_tool(self, name: str) -> None:
        """Hide a tool from the model."""
        self._require(name, "disable")
        if name in self.enabled_tools:
            self.enabled_tools.discard(name)
            self.update_working_memory()

    def is_tool_enabled(self, name: str) -> bool:
        """Whether the model sees the tool."""
        return name in self.enabled_tools

    def get_enabled_tools(self) -> list[str]:
        """Names of the tools that the model sees, in no particular order."""
        return list(self.enabled_tools)

    def list_all_tools(self) -> list[str]:
        """Names of all registered tools."""
        return list(self.tools)

    def get_tool(self, name: str) -> Any:
        """Return the registered object."""
        self._require(name, "find")
        return self.tools[name]

    def get_tool_metadata(self, name: str) -> dict[str, Any]:
        """Return what the tool says of itself."""
        metadata: dict[str, Any] = self.get_tool(name).get_metadata()
        return metadata

    def invoke_tool(self, name: str, params: dict[str, Any]) -> Any:
        """Run an enabled tool. Whatever it raises comes out as a ``ToolError``."""
        with error_context("ToolRepository", f"invoking {name}", ToolError, ErrorCode.TOOL_EXECUTION_ERROR):
            self._require(name, "invoke")
            if name not in self.enabled_tools:
                raise ToolError(f"tool '{name}' is not enabled", ErrorCode.TOOL_NOT_ENABLED)
            try:
                return self.tools[name].run(**params)
            except TypeError as exc:
                raise ToolError(
                    f"wrong parameters for tool '{name}': {exc}", ErrorCode.TOOL_INVALID_PARAMETERS
                ) from exc

    def get_all_tool_definitions(self) -> list[dict[str, Any]]:
        """Return the enabled tools as the configured provider wants them described."""
        provider = str(self.config.api.provider).lower()
        if provider not in ("anthropic", "ollama"):
            raise ToolError(f"no such provider: {provider}")
        describe = _anthropic_definition if provider == "anthropic" else _ollama_definition
        return [describe(self.tools[name]) for name in list(self.enabled_tools)]

    def resolve_dependencies(self, tool_name: str) -> list[str]:
        """Names of the tools that must be enabled first, deepest first."""
        found: list[str] = []

        def visit(name: str, path: tuple[str, ...]) -> None:
            if name in path:
                raise ToolError(f"tool '{name}' depends on itself", ErrorCode.TOOL_CIRCULAR_DEPENDENCY)
            self._require(name, "find")
            for needed in self.tools[name].get_dependencies():
                if needed not in found:
                    visit(needed, (*path, name))
                    found.append(needed)

        visit(tool_name, ())
        return found

    def enable_all_tools(self) -> None:
        """Enable every registered tool; those that refuse are logged and left out."""
        for name in list(self.tools):
            try:
                if name not in self.enabled_tools:
                    self.enable_tool(name)
            except ToolError as exc:
                logger.error("cannot enable %s: %s", name, exc)

    def update_working_memory(self) -> None:
        """Write the tool guidance anew: it goes out, and comes back only if two or more tools are enabled."""
        if self.working_memory is None:
            return
        if self._tool_guidance_id is not None:
            self.working_memory.remove(self._tool_guidance_id)
            self._tool_guidance_id = None
        if len(self.enabled_tools) < 2:
            return
        names = ", ".join(name.replace("_tool", "") for name in self.get_enabled_tools())
        self._tool_guidance_id = self.working_memory.add(
            f"# Tools at hand\n{names}\nAsk the user when it is unclear which of them is meant.",
            "tool_guidance",
        )

    def _require(self, name: str, verb: str) -> None:
        if name not in self.tools:
            raise ToolError(f"cannot {verb} tool '{name}': not found", ErrorCode.TOOL_NOT_FOUND)


def _anthropic_definition(tool: Any) -> dict[str, Any]:
    metadata = tool.get_metadata()
    parts = [getattr(tool, "simple_description", None), metadata["description"]]
    parts.append(getattr(tool, "anthropic_details", None))
    properties: dict[str, Any] = {}
    for name, info in metadata["parameters"].items():
        extra = {key: value for key, value in info.items() if key not in ("type", "description")}
        properties[name] = {
            "type": _JSON_TYPES.get(info.get("type", "string"), "string"),
            "description": info.get("description", f"Parameter: {name}"),
            **extra,
        }
    return {
        "name": metadata["name"],
        "description": "\n\n".join(part for part in parts if part is not None),
        "input_schema": {
            "type": "object",
            "properties": properties,
            "required": metadata["required_parameters"],
        },
    }


def _ollama_definition(tool: Any) -> dict[str, Any]:
    metadata = tool.get_metadata()
    definition = {"name": metadata["name"], "description": metadata["description"]}
    for key in ("simple_description", "openai_schema"):
        if hasattr(tool, key):
            definition[key] = getattr(tool, key)
    return definition
