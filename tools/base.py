"""What every tool shares: exact arguments in, ``{"success": ...}`` out, and no error thrown at the host."""

from __future__ import annotations

import difflib
import logging
from copy import copy
from dataclasses import replace
from typing import Any, ClassVar, Self

from mira_ltmemory.errors import InvalidArgument, LtMemoryError
from mira_ltmemory.protocols import Actor, Change, Json

logger = logging.getLogger(__name__)

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list, tuple),
    "object": (dict,),
}


class MemoryTool:
    """A tool of the memory. Subclasses declare the JSON Schema of their arguments and do the work."""

    name: ClassVar[str]
    description: ClassVar[str]
    properties: ClassVar[Json]
    required: ClassVar[tuple[str, ...]]

    @property
    def schema(self) -> Json:
        """The JSON Schema of the arguments."""
        return {
            "type": "object",
            "properties": self.properties,
            "required": list(self.required),
            "additionalProperties": False,
        }

    by: Change | None = None
    """The run whose tool it is: its edits are that run's."""

    def under(self, change: Change) -> Self:
        """The same tool as part of a run: ``change`` says who acts, why, and which change set is the parent."""
        tool = copy(self)
        tool.by = change
        return tool

    @property
    def change(self) -> Change:
        """What the journal says about an edit by this tool."""
        return Change(Actor.MODEL, self.name) if self.by is None else replace(self.by, tool=self.name)

    def run(self, /, **arguments: Any) -> Json:
        """Do the work. An ordinary mistake comes back as ``{"success": False, "error": ...}``."""
        try:
            return {"success": True, **self.perform(**self._checked(arguments))}
        except LtMemoryError as error:
            return {"success": False, "error": str(error)}

    def perform(self, **arguments: Any) -> Json:
        """Do the work with checked arguments and return the result's fields. Raises ``LtMemoryError``."""
        raise NotImplementedError

    def _checked(self, arguments: Json) -> Json:
        for name in arguments:
            if name not in self.properties:
                near = difflib.get_close_matches(name, self.properties, 1)
                raise InvalidArgument(
                    f"{self.name} takes no argument {name[:60]!r}"
                    + (f"; did you mean {near[0]!r}?" if near else f". It takes: {', '.join(self.properties)}.")
                )
        # Models send null for what they leave out.
        given = {name: value for name, value in arguments.items() if value is not None}
        missing = [name for name in self.required if name not in given]
        if missing:
            raise InvalidArgument(f"{self.name} needs {' and '.join(missing)}.")
        return {name: self._coerced(name, value) for name, value in given.items()}

    def _coerced(self, name: str, value: Any) -> Any:
        """Take what JSON and small models make of a value, such as 3.0 for 3; refuse what cannot be meant."""
        kind = self.properties[name]["type"]
        if kind == "integer":
            return _integer(name, value)
        if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
            raise InvalidArgument(f"{name} must be of type {kind}, not {type(value).__name__}.")
        allowed = self.properties[name].get("enum")
        if allowed is not None and value not in allowed:
            raise InvalidArgument(f"{name} must be one of {', '.join(map(repr, allowed))}, not {str(value)[:60]!r}.")
        return value


def _integer(name: str, value: Any) -> int:
    if isinstance(value, str):
        try:
            value = int(value.strip()[:20])
        except ValueError:
            raise InvalidArgument(f"{name} must be a whole number, not {value[:60]!r}.") from None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value or value in (_INF, -_INF):
        raise InvalidArgument(f"{name} must be a whole number, not {str(value)[:60]!r}.")
    if int(value) != value:
        raise InvalidArgument(f"{name} must be a whole number, not {value}.")
    return int(value)


_INF = float("inf")


def limit_argument(name: str, value: int | None, default: int, maximum: int = 50) -> int:
    """Return a number of results. Raises ``InvalidArgument`` naming the field outside 1 to ``maximum``."""
    if value is None:
        return default
    if not 1 <= value <= maximum:
        raise InvalidArgument(f"{name} must be between 1 and {maximum}, not {value}.")
    return value
