"""The tool over recall memory, named and shaped as models know it from Letta."""

from __future__ import annotations

from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from mira_ltmemory.errors import InvalidArgument
from mira_ltmemory.protocols import Filter, Json, Role
from mira_ltmemory.services.dates import parse_range
from mira_ltmemory.services.recall import RecallManager
from mira_ltmemory.services.search.tiers import COLD, HOT
from mira_ltmemory.services.uses import UseService
from mira_ltmemory.tools.base import MemoryTool, limit_argument
from mira_ltmemory.tools.results import found

_ROLES = [role.value for role in (Role.USER, Role.ASSISTANT, Role.TOOL)]


class ConversationSearch(MemoryTool):
    """``conversation_search``."""

    name = "conversation_search"
    description = "Search everything that was said in earlier conversations and in this one, by meaning and by words."
    properties: ClassVar[Json] = {
        "query": {"type": "string", "description": "What to look for: a question or keywords."},
        "roles": {
            "type": "array",
            "items": {"type": "string", "enum": _ROLES},
            "description": "Only messages of these sides.",
        },
        "limit": {"type": "integer", "description": "How many messages to return, 1 to 50."},
        "start_date": {"type": "string", "description": "Only messages from then on: YYYY-MM-DD or ISO 8601."},
        "end_date": {"type": "string", "description": "Only messages until then; a day counts to its end."},
        "include_old": {
            "type": "boolean",
            "description": "Also search cold storage: what is old and was seldom used. False looks there only where "
            "nothing likely is found otherwise.",
        },
    }
    required = ("query",)

    def __init__(
        self, recall: RecallManager, zone: ZoneInfo, default_limit: int, uses: UseService | None = None
    ) -> None:
        self.recall = recall
        self._zone = zone
        self._default_limit = default_limit
        self._uses = uses

    def perform(self, **arguments: Any) -> Json:
        """Search."""
        start, end = parse_range(
            "start_date", arguments.get("start_date"), "end_date", arguments.get("end_date"), self._zone
        )
        chosen = Filter(
            roles=_roles(arguments.get("roles", ())),
            start=start,
            end=end,
            tiers=(HOT, COLD) if arguments.get("include_old") else (),
        )
        limit = limit_argument("limit", arguments.get("limit"), self._default_limit)
        result = self.recall.search(arguments["query"], chosen, limit)
        if self._uses is not None:
            self._uses.shown(result.hits)
        return found(result, self._zone)


def _roles(values: Any) -> tuple[Role, ...]:
    unknown = [value for value in values if value not in _ROLES]
    if unknown:
        raise InvalidArgument(f"roles must be among {', '.join(map(repr, _ROLES))}, not {str(unknown[0])[:60]!r}.")
    return tuple(Role(value) for value in dict.fromkeys(values))
