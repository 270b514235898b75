"""What a language model reads in a window: entities and relations, each held against the message that it cites."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import MAXYEAR, MINYEAR, UTC, date, datetime, tzinfo
from typing import Annotated, Literal
from uuid import UUID

import regex
from pydantic import BaseModel, ConfigDict, Field

from mira_ltmemory.protocols import LLM, in_zone
from mira_ltmemory.services.asking import ask
from mira_ltmemory.services.batch.window import Window, WindowMessage
from mira_ltmemory.services.graph.extract import EntityType, Found
from mira_ltmemory.services.graph.keys import key_of
from mira_ltmemory.services.quotes import flat, spans
from mira_ltmemory.services.text import cut
from mira_ltmemory.store.analysis import DENSE
from mira_ltmemory.templates import render

MAX_ENTITIES = 60
MAX_RELATIONS = 60

MESSAGE_CHARS, CONTEXT_CHARS = 12_000, 1_000
"""What the model is shown of a message: a window holds no more, but for one that stands alone. Rules read all of it."""

_DENSE = regex.compile(rf"[{DENSE}]")
_PREDICATE = regex.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+){0,5}")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NamedEntity(_Part):
    """An entity as the model names it, and one message where the name stands as it is."""

    name: Annotated[str, Field(min_length=1, max_length=120, description="The name as it stands in the message.")]
    type: Literal["person", "place", "organization", "work", "event", "product", "topic"]
    message: Annotated[int, Field(description="Number of a message that holds the name.")]
    aliases: Annotated[list[Annotated[str, Field(max_length=120)]], Field(max_length=5)] = []


class NamedRelation(_Part):
    """A relation between two of the entities, and the words of the message that say it."""

    subject: Annotated[str, Field(max_length=120)]
    predicate: Annotated[str, Field(max_length=60, description="snake_case, such as works_at or sister_of")]
    object: Annotated[str, Field(max_length=120)]
    message: Annotated[int, Field(description="Number of the message that says it.")]
    quote: Annotated[str, Field(min_length=3, max_length=400, description="The words that say it, copied exactly.")]
    confidence: Annotated[float, Field(ge=0, le=1)] = 0.8
    since: Annotated[str | None, Field(description="YYYY-MM-DD, where the message says since when.")] = None


class GraphAnswer(_Part):
    """The form of the model's answer."""

    entities: Annotated[list[NamedEntity], Field(max_length=MAX_ENTITIES)]
    relations: Annotated[list[NamedRelation], Field(max_length=MAX_RELATIONS)] = []


@dataclass(frozen=True, slots=True)
class Said:
    """A relation that a message says; subject and object are names as they are compared."""

    subject: str
    predicate: str
    object: str
    message_id: UUID
    confidence: float
    valid_from: datetime | None


@dataclass(slots=True)
class ModelAnswer:
    """What of a model's answer stands in the messages. ``refused`` counts what does not."""

    found: dict[UUID, list[Found]] = field(default_factory=dict)
    said: list[Said] = field(default_factory=list)
    aliases: dict[str, list[str]] = field(default_factory=dict)
    refused: int = 0


def ask_model(llm: LLM, window: Window, messages: list[WindowMessage], zone: tzinfo) -> ModelAnswer:
    """Ask the model what the messages speak of; days are those of ``zone``. Raises ``LLMError``."""
    shown = [
        {
            "number": number,
            "day": in_zone(each.said_at, zone).date().isoformat(),
            "content": _with_speaker(each, MESSAGE_CHARS),
        }
        for number, each in enumerate(messages, start=1)
    ]
    context = [_with_speaker(each, CONTEXT_CHARS) for each in window.context]
    prompt = render("graph_window", messages=shown, context=context)
    answer = ask(llm, system=render("graph_system"), prompt=prompt, answer=GraphAnswer, max_tokens=3000)
    return held_against(answer, messages, zone)


def _with_speaker(message: WindowMessage, limit: int) -> str:
    return f"{message.speaker or message.role.value}: {cut(message.content, limit)}"


def held_against(answer: GraphAnswer, messages: list[WindowMessage], zone: tzinfo) -> ModelAnswer:
    """Keep what stands in the cited messages; the rest is counted as refused."""
    kept = ModelAnswer()
    by_number = dict(enumerate(messages, start=1))
    names: set[str] = set()
    for entity in answer.entities:
        spans = [
            (message, span)
            for message in messages
            for span in spans_of(entity.name, message.content)
            if entity.message in by_number
        ]
        if not any(message is by_number[entity.message] for message, _ in spans):
            kept.refused += 1
            continue
        names.add(key_of(entity.name))
        for message, (start, end) in spans:
            found = Found(EntityType(entity.type), start, end, " ".join(entity.name.split()), 0.9)
            others = kept.found.setdefault(message.id, [])
            if not any(start < other.end and other.start < end for other in others):
                others.append(found)
        aliases = [each for each in entity.aliases if any(spans_of(each, message.content) for message in messages)]
        if aliases:
            kept.aliases[key_of(entity.name)] = aliases
        kept.refused += len(entity.aliases) - len(aliases)
    for relation in answer.relations:
        said = _said(relation, by_number, names, zone)
        if said is None:
            kept.refused += 1
        else:
            kept.said.append(said)
    return kept


def _said(relation: NamedRelation, messages: dict[int, WindowMessage], names: set[str], zone: tzinfo) -> Said | None:
    message = messages.get(relation.message)
    subject, object_ = key_of(relation.subject), key_of(relation.object)
    if message is None or subject == object_ or not {subject, object_} <= names:
        return None
    if not any(spans(flat(relation.quote), flat(message.content))):
        return None
    predicate = "_".join(regex.findall(r"[a-z0-9]+", relation.predicate.lower()))
    if not _PREDICATE.fullmatch(predicate):
        return None
    return Said(subject, predicate, object_, message.id, relation.confidence, _since(relation.since, zone))


def spans_of(name: str, text: str) -> list[tuple[int, int]]:
    """Where a name stands in a text as a whole, in its case: never inside another word.

    Names in scripts that put no blanks between words, or particles behind them, need no border unless of one letter.
    """
    words = name.split()
    if not words:
        return []
    pattern = r"\s+".join(map(regex.escape, words))
    long = len(name.strip()) > 1
    before = "" if long and _DENSE.match(words[0]) else r"(?<![\p{L}\p{N}_])"
    after = "" if long and _DENSE.match(words[-1][-1]) else r"(?![\p{L}\p{N}_])"
    return [match.span() for match in regex.finditer(f"{before}{pattern}{after}", text)]


def _since(written: str | None, zone: tzinfo) -> datetime | None:
    if written is None:
        return None
    try:
        day = date.fromisoformat(written.strip())
    except ValueError:
        return None
    if day.year in (MINYEAR, MAXYEAR):  # written for "never", and no moment in every time zone
        return None
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
