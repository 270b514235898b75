"""Our tools as MIRA wants them, and what keeps them in the model's sight.

MIRA's engine runs a job as ``tool.run(operation, **parameters)``; the model's calls arrive as
``tool.run(**arguments)``. Only the engine passes a positional argument, so a memory tool can carry the jobs
beside its own work and no job-running tool needs to exist that the model might be shown. `JobTool` is
registered only where every tool is switched off.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mira_ltmemory.errors import HostError, LtMemoryError
from mira_ltmemory.protocols import Json, Tool

logger = logging.getLogger(__name__)

FOR_EVER = 1_000_000_000
"""Messages for which the relevance engine keeps a tool: longer than any conversation."""

Operation = Callable[[str, Json], Json | None]
"""Runs a job of the engine and returns its result, or None where there is no job of that name."""


class MiraTool:
    """One of our tools with the attributes and methods that MIRA calls."""

    def __init__(self, tool: Tool, *, after: Callable[[], None], operation: Operation) -> None:
        self.name = tool.name
        self.description = tool.description
        self.openai_schema = {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": tool.schema},
        }
        self._tool = tool
        self._properties: Mapping[str, Json] = tool.schema.get("properties", {})
        self._required: list[str] = list(tool.schema.get("required", []))
        self._after = after
        self._operation = operation

    def get_dependencies(self) -> list[str]:
        """Return no tools: ours stand alone."""
        return []

    def get_metadata(self) -> Json:
        """Return what MIRA makes the model's tool definition from."""
        return {
            "name": self.name,
            "description": self.description,
            "parameters": {name: _parameter(schema) for name, schema in self._properties.items()},
            "required_parameters": list(self._required),
        }

    def run(self, operation: str | None = None, /, **arguments: Any) -> Json:
        """Run the tool for the model, or a job for the engine.

        For the model it never raises: MIRA would put the error into the prompt for good, so every mistake is an
        answer. For the engine it raises ``HostError`` where the job failed: only that makes its record FAILED.
        """
        if operation is None:
            try:
                return self._call(arguments)
            finally:
                self._after()
        done = self._operation(operation, arguments)
        return self._call(arguments) if done is None else _checked(done)

    def _call(self, arguments: Json) -> Json:
        if wrong := self._wrong(arguments):
            return {"success": False, "error": wrong}
        try:
            return self._tool.run(**{name: self._whole(name, value) for name, value in arguments.items()})
        except LtMemoryError as error:
            return {"success": False, "error": str(error)}
        except Exception as error:  # a tool may be anybody's, and its fault must not stay in MIRA's prompt
            logger.exception("tool %s failed", self.name)
            return {"success": False, "error": f"{self.name} failed: {type(error).__name__}: {error}"}

    def _wrong(self, arguments: Json) -> str | None:
        """Return what is wrong with the names of the arguments."""
        known = ", ".join(self._properties) or "none"
        if unknown := [name for name in arguments if name not in self._properties]:
            return f"{self.name} has no argument {unknown[0]!r}. Arguments: {known}."
        if absent := [name for name in self._required if name not in arguments]:
            return f"{self.name} needs the argument {absent[0]!r}. Arguments: {known}."
        return None

    def _whole(self, name: str, value: Any) -> Any:
        """Return 5 for 5.0 where an integer is meant: MIRA tells the model that the type is "number"."""
        whole = _type(self._properties[name]) == "integer" and isinstance(value, float) and value.is_integer()
        return int(value) if whole else value


class JobTool:
    """Carries the jobs where no memory tool is switched on. The engine enables it; the model never sees it.

    MIRA asks a tool for its dependencies before it enables it. This one answers only while the engine is
    about to run one of our rows, so ``<need_tool/>``, which enables everything, leaves it out; and it is
    disabled again as soon as it runs.
    """

    name = "ltmemory_jobs"
    description = "Runs the jobs of the long-term memory; for the automation engine only."

    def __init__(self, operation: Operation, *, about_to_run: Callable[[], bool], hide: Callable[[str], None]) -> None:
        self._operation = operation
        self._about_to_run = about_to_run
        self._hide = hide

    def get_dependencies(self) -> list[str]:
        """Return no tools, to the engine. Raises ``HostError`` to everybody else, so as not to be enabled."""
        if not self._about_to_run():
            raise HostError(f"{self.name} is enabled only by the automation engine.")
        return []

    def get_metadata(self) -> Json:
        """Return what MIRA asks of every tool."""
        return {"name": self.name, "description": self.description, "parameters": {}, "required_parameters": []}

    def run(self, operation: str | None = None, /, **parameters: Any) -> Json:
        """Run a job for the engine. Raises ``HostError`` where it failed, which makes the engine's record FAILED."""
        self._hide(self.name)
        done = None if operation is None else self._operation(operation, parameters)
        return _checked(done or {"success": False, "error": f"There is no job {operation!r}."})


def _checked(result: Json) -> Json:
    """Return the result of a job that succeeded."""
    if not result.get("success"):
        raise HostError(str(result.get("error", "The job failed.")))
    return result


class ToolKeeper:
    """Registers tools with MIRA and keeps them enabled, against the relevance engine and workflows."""

    def __init__(self, system: Mapping[str, Any]) -> None:
        self._system = system
        self._names: list[str] = []
        self._tools: dict[str, Any] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The tools that the model is shown, in the order in which they were registered."""
        return tuple(self._names)

    @property
    def offered(self) -> tuple[MiraTool, ...]:
        """Those tools themselves."""
        return tuple(self._tools[name] for name in self._names)

    def register(self, tool: MiraTool | JobTool) -> None:
        """Make a tool known to MIRA. Raises ``HostError`` where its name is taken or MIRA refuses it."""
        repo = self._repo()
        try:
            repo.register_tool(tool)
        except Exception as error:
            raise HostError(f"MIRA does not take the tool {tool.name!r}: {error}") from error
        self._tools[tool.name] = tool
        if isinstance(tool, MiraTool):
            self._names.append(tool.name)

    def keep(self) -> None:
        """Enable every tool that the model is to see, and see to it that MIRA leaves them enabled.

        The relevance engine spares what was active lately; the steps of a workflow name the tools that they
        need. Both are told of ours.
        """
        repo = self._repo()
        relevance = self._system.get("tool_relevance_engine")
        for name in self._names:
            if relevance is not None:
                relevance.tool_activation_history[name] = relevance.message_counter + FOR_EVER
            if not repo.is_tool_enabled(name):
                repo.enable_tool(name)
        for step in self._workflow_steps():
            step["tools"] = [*step["tools"], *(name for name in self._names if name not in step["tools"])]

    def hide(self, name: str) -> None:
        """Take a tool out of the model's sight."""
        repo = self._repo()
        if name in self._tools and repo.is_tool_enabled(name):
            repo.disable_tool(name)

    def hide_job_tool(self) -> None:
        """Take the job tool out of the model's sight, should something have enabled it."""
        self.hide(JobTool.name)

    def release(self) -> None:
        """Take all tools out of MIRA again."""
        repo = self._repo()
        relevance = self._system.get("tool_relevance_engine")
        for step in self._workflow_steps():
            step["tools"] = [name for name in step["tools"] if name not in self._names]
        for name, tool in self._tools.items():
            self.hide(name)
            if relevance is not None:
                relevance.tool_activation_history.pop(name, None)
            if repo.tools.get(name) is tool:
                del repo.tools[name]
        self._tools.clear()
        self._names.clear()

    def _repo(self) -> Any:
        repo = self._system.get("tool_repo")
        if repo is None:
            raise HostError("MIRA has no tool repository.")
        return repo

    def _workflow_steps(self) -> Iterable[Json]:
        """Return the steps of MIRA's workflows that list tools: a step that is begun disables all others."""
        workflows = getattr(self._system.get("workflow_manager"), "workflows", None)
        if not isinstance(workflows, Mapping):
            return []
        steps = [
            step
            for workflow in workflows.values()
            if isinstance(workflow, Mapping) and isinstance(workflow.get("steps"), Mapping)
            for step in workflow["steps"].values()
            if isinstance(step, dict)
        ]
        for step in steps:
            if not isinstance(step.get("tools"), list):
                step["tools"] = []
        return steps


def _type(schema: Mapping[str, Any]) -> str | None:
    """Return the JSON type of an argument; of several, the first that is not null."""
    kinds = schema.get("type")
    if kinds is None:
        choices = schema.get("anyOf") or schema.get("oneOf") or []
        kinds = [choice.get("type") for choice in choices if isinstance(choice, Mapping)]
    if isinstance(kinds, str):
        return kinds
    return next((kind for kind in kinds or [] if kind not in (None, "null")), None)


def _parameter(schema: Mapping[str, Any]) -> Json:
    """Return an argument as MIRA describes it: it knows no "integer" and no union of types."""
    kind = _type(schema)
    kept = {key: value for key, value in schema.items() if key not in ("type", "anyOf", "oneOf")}
    return {"type": "int" if kind == "integer" else kind or "string", **kept}
