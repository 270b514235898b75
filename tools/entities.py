"""Tools over the knowledge graph: who and what memory knows by name."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from mira_ltmemory.protocols import Json, in_zone
from mira_ltmemory.services.graph.extract import EntityType
from mira_ltmemory.services.graph.manager import EntityManager
from mira_ltmemory.services.graph.views import EntityBrief, EntityView, MentionView, RelationView
from mira_ltmemory.tools.base import MemoryTool, limit_argument
from mira_ltmemory.tools.results import DATA_NOTE

_CANDIDATES_SHOWN = 10
_ALIASES_SHOWN = 10
_RELATIONS_SHOWN = 20


class EntityLookup(MemoryTool):
    """``entity_lookup``."""

    name = "entity_lookup"
    description = (
        "Look up a person, place, organisation or other named thing: who or what it is, its other names, since when it "
        "is known, how it is related to others, and where it was mentioned last."
    )
    properties: ClassVar[Json] = {"name": {"type": "string", "description": "The name, in full where you know it."}}
    required = ("name",)

    def __init__(self, entities: EntityManager, zone: ZoneInfo) -> None:
        self.entities = entities
        self._zone = zone

    def perform(self, **arguments: Any) -> Json:
        """Look up."""
        found = self.entities.lookup(arguments["name"])
        if found.entity is not None:
            return _entity(found.entity, self._zone)
        if found.candidates:
            return {
                "message": f"{len(found.candidates)} entities have this name. Ask again with a full name of these.",
                "candidates": [_brief(each, self._zone) for each in found.candidates[:_CANDIDATES_SHOWN]],
                "note": DATA_NOTE,
            }
        answer: Json = {"message": "Memory knows nobody and nothing of this name."}
        if found.near:
            answer |= {"similar_names": list(found.near), "note": DATA_NOTE}
        return answer


class EntitySearch(MemoryTool):
    """``entity_search``."""

    name = "entity_search"
    description = (
        "Search the people, places, organisations and other named things that memory knows, by words of their names "
        "and by meaning. An empty query lists those spoken of most."
    )
    properties: ClassVar[Json] = {
        "query": {"type": "string", "description": "A name, a part of one, or what it is about."},
        "type": {
            "type": "string",
            "enum": [each.value for each in EntityType],
            "description": "Only entities of this type.",
        },
        "limit": {"type": "integer", "description": "How many to return, 1 to 50."},
    }
    required = ("query",)

    def __init__(self, entities: EntityManager, zone: ZoneInfo, default_limit: int) -> None:
        self.entities = entities
        self._zone = zone
        self._default_limit = default_limit

    def perform(self, **arguments: Any) -> Json:
        """Search."""
        limit = limit_argument("limit", arguments.get("limit"), self._default_limit)
        found = self.entities.search(arguments["query"], arguments.get("type"), limit)
        if not found:
            return {"message": "Nothing of that kind is known."}
        return {
            "message": f"{len(found)} found, best first. entity_lookup tells more of one.",
            "entities": [_brief(each, self._zone) for each in found],
            "note": DATA_NOTE,
        }


def _entity(view: EntityView, zone: ZoneInfo) -> Json:
    answer: Json = {"message": "Found.", **_brief(view.brief, zone)}
    relations = view.relations[:_RELATIONS_SHOWN]
    if said := [_relation(each, zone) for each in relations if not each.inferred]:
        answer["relations"] = said
    if inferred := [_relation(each, zone) for each in relations if each.inferred]:
        answer["inferred_relations"] = inferred
        answer["about_inferred"] = "Nobody said these: the named rule inferred them."
    answer["latest_mentions"] = [_mention(each, zone) for each in view.mentions]
    if view.possible:
        answer["possibly_the_same"] = [_brief(each, zone) for each in view.possible]
    return {**answer, "note": DATA_NOTE}


def _brief(brief: EntityBrief, zone: ZoneInfo) -> Json:
    answer: Json = {"name": brief.name, "type": brief.type}
    if brief.aliases:
        answer["aliases"] = list(brief.aliases[:_ALIASES_SHOWN])
    answer["mentions"] = brief.mentions
    if brief.first is not None and brief.last is not None:
        answer["known_since"] = _day(brief.first, zone)
        answer["last_mentioned"] = _day(brief.last, zone)
    return answer


def _relation(relation: RelationView, zone: ZoneInfo) -> Json:
    answer: Json = {
        "relation": f"{relation.subject} {relation.predicate.replace('_', ' ')} {relation.object}",
        "confidence": round(relation.confidence, 2),
    }
    if relation.inferred:
        answer["rule"] = relation.rule
    else:
        answer["said_in"] = [str(each) for each in relation.evidence]
    if relation.since is not None:
        answer["since"] = _day(relation.since, zone)
    if relation.until is not None:
        answer["until"] = _day(relation.until, zone)
    return answer


def _mention(mention: MentionView, zone: ZoneInfo) -> Json:
    answer: Json = {
        "said_at": in_zone(mention.said_at, zone).isoformat(timespec="minutes"),
        "content": mention.excerpt,
        f"{mention.kind.value}_id": str(mention.id),
    }
    if mention.speaker:
        answer["speaker"] = mention.speaker
    if mention.conversation:
        answer["conversation_id"] = mention.conversation
    return answer


def _day(moment: datetime, zone: ZoneInfo) -> str:
    return in_zone(moment, zone).date().isoformat()
