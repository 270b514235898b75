"""Tools over archival memory, named and shaped as models know them from Letta."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from mira_ltmemory.errors import InvalidArgument
from mira_ltmemory.protocols import Category, Filter, Json
from mira_ltmemory.services.dates import parse_range
from mira_ltmemory.services.passages import PassageManager, clean_tags
from mira_ltmemory.services.search.tiers import COLD, HOT
from mira_ltmemory.services.uses import UseService
from mira_ltmemory.tools.base import MemoryTool, limit_argument
from mira_ltmemory.tools.results import found

CATEGORIES = tuple(category.value for category in Category)

_TAGS: Json = {"type": "array", "items": {"type": "string"}}


class ArchivalMemoryInsert(MemoryTool):
    """``archival_memory_insert``."""

    name = "archival_memory_insert"
    description = (
        "Store a passage in archival memory: facts, decisions, plans and details worth keeping for long. "
        "Write it so that it can be understood alone, with names and dates."
    )
    properties: ClassVar[Json] = {
        "content": {"type": "string", "description": "The passage to store."},
        "tags": {**_TAGS, "description": "Tags to find it by, such as ['travel', 'japan']."},
    }
    required = ("content",)

    def __init__(self, passages: PassageManager) -> None:
        self.passages = passages

    def perform(self, **arguments: Any) -> Json:
        """Insert."""
        stored = self.passages.insert(arguments["content"], arguments.get("tags", ()), self.change)
        message = "This passage was stored already." if stored.known else "Stored."
        if not stored.embedded:
            message += " It is found by its words now, and by meaning once the embedding model works."
        result: Json = {"message": message, "id": str(stored.id), "tags": list(stored.tags)}
        if stored.change_set_id is not None:
            result["change_set"] = stored.change_set_id
        if stored.redacted:
            result["redacted"] = f"Secrets are never stored: {', '.join(stored.redacted)} was replaced by a mark."
        return result


class ArchivalMemorySearch(MemoryTool):
    """``archival_memory_search``."""

    name = "archival_memory_search"
    description = "Search archival memory by meaning and by words. Give a question or keywords, and filters if needed."
    properties: ClassVar[Json] = {
        "query": {"type": "string", "description": "What to look for."},
        "tags": {**_TAGS, "description": "Only passages with these tags."},
        "tag_match_mode": {
            "type": "string",
            "enum": ["any", "all"],
            "description": "Whether a passage needs any (the default) or all of the tags.",
        },
        "top_k": {"type": "integer", "description": "How many passages to return, 1 to 50."},
        "start_datetime": {"type": "string", "description": "Only passages from then on: YYYY-MM-DD or ISO 8601."},
        "end_datetime": {"type": "string", "description": "Only passages until then; a day counts to its end."},
        "categories": {
            "type": "array",
            "items": {"type": "string", "enum": list(CATEGORIES)},
            "description": "Only these: note (kept on purpose), fact (drawn from conversations), window (what was "
            "said, word for word), summary, insight.",
        },
        "include_ended": {"type": "boolean", "description": "Also what holds no longer, with when it ended."},
        "include_old": {
            "type": "boolean",
            "description": "Also search cold storage: what is old and was seldom used. False looks there only where "
            "nothing likely is found otherwise.",
        },
    }
    required = ("query",)

    def __init__(
        self, passages: PassageManager, zone: ZoneInfo, default_limit: int, uses: UseService | None = None
    ) -> None:
        self.passages = passages
        self._zone = zone
        self._default_limit = default_limit
        self._uses = uses

    def perform(self, **arguments: Any) -> Json:
        """Search."""
        start, end = parse_range(
            "start_datetime",
            arguments.get("start_datetime"),
            "end_datetime",
            arguments.get("end_datetime"),
            self._zone,
        )
        chosen = Filter(
            tags=clean_tags(arguments.get("tags")),
            tag_match_mode=arguments.get("tag_match_mode", "any"),
            start=start,
            end=end,
            categories=_categories(arguments.get("categories", ())),
            include_ended=arguments.get("include_ended", False),
            tiers=(HOT, COLD) if arguments.get("include_old") else (),
        )
        limit = limit_argument("top_k", arguments.get("top_k"), self._default_limit)
        result = self.passages.search(arguments["query"], chosen, limit)
        if self._uses is not None:
            self._uses.shown(result.hits)
        return found(result, self._zone)


def _categories(values: Sequence[object]) -> tuple[str, ...]:
    for value in values:
        if value not in CATEGORIES:
            raise InvalidArgument(f"categories must be among {', '.join(CATEGORIES)}, not {str(value)[:60]!r}.")
    return tuple(map(str, values))
