"""Who and what is spoken of lately, in the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from mira_ltmemory.protocols import in_zone
from mira_ltmemory.providers.budget import shortened, within
from mira_ltmemory.services.context.entities import ActiveEntities
from mira_ltmemory.services.graph.views import EntityBrief
from mira_ltmemory.templates import render

_NAME_CHARS = 80
_ALIASES = 3


class ActiveEntitiesProvider:
    """Renders the people, places and things that are active, with other names and when they were last spoken of."""

    name = "active_entities"

    def __init__(self, entities: ActiveEntities, zone: ZoneInfo, limit: int, tool: str = "") -> None:
        self._entities = entities
        self._zone = zone
        self._limit = limit
        self._tool = tool

    def render(self) -> str:
        """Return the part, within its budget of characters; empty where nobody is known."""
        entries = [self._entry(brief) for brief in self._entities.current()]
        return within(entries, self._shown, self._limit)[0]

    def _shown(self, entries: Sequence[dict[str, object]]) -> str:
        return render("active_entities", entities=entries, tool=self._tool)

    def _entry(self, brief: EntityBrief) -> dict[str, object]:
        others = [shortened(alias, _NAME_CHARS) for alias in brief.aliases if alias != brief.name][:_ALIASES]
        return {
            "name": shortened(brief.name, _NAME_CHARS),
            "type": brief.type,
            "aliases": others,
            "mentions": brief.mentions,
            "last": "" if brief.last is None else in_zone(brief.last, self._zone).date().isoformat(),
        }
