"""The graph's part in the processing of a window: who and what its messages speak of."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from uuid import UUID, uuid5

import numpy as np
import regex

from mira_ltmemory.protocols import LLM, Kind, Origin, Role, in_zone
from mira_ltmemory.services.batch.window import Window, WindowMessage
from mira_ltmemory.services.embeddings import EmbeddingService
from mira_ltmemory.services.graph.extract import (
    THE_USER,
    EntityType,
    Found,
    Stated,
    extract,
    is_name,
    stated,
    stated_of_oneself,
)
from mira_ltmemory.services.graph.extract.found import NAMED
from mira_ltmemory.services.graph.keys import key_of
from mira_ltmemory.services.graph.resolve import Names, choose
from mira_ltmemory.services.graph.said import ModelAnswer, Said, ask_model
from mira_ltmemory.services.graph.timelines import ONE_AT_A_TIME, Timelines
from mira_ltmemory.services.text import word_count
from mira_ltmemory.store.analysis import UNSPACED
from mira_ltmemory.store.graph import Named
from mira_ltmemory.store.models import Entity, EntityAlias, Journaled, Mention, Relation, Source, content_hash
from mira_ltmemory.store.unit_of_work import SqlUnitOfWork, Store

STEP = "graph"

logger = logging.getLogger(__name__)

_RUN = regex.compile(r"\p{Lu}[\p{L}\p{M}\p{N}'’.&-]*(?: [\p{Lu}\p{N}][\p{L}\p{M}\p{N}'’.&-]*){0,3}")
MAX_NAME_CHARS = 120
MIN_WORDS = 4
"""A window in which less was said, or no word has a capital letter, is not worth a model's call: but where there are
none, as in Chinese."""

_UNSPACED = regex.compile(rf"[{UNSPACED}]")


@dataclass(frozen=True, slots=True)
class FoundIn:
    """What was found in one message, in its order, and by what."""

    message: WindowMessage
    found: tuple[tuple[Found, str], ...]


@dataclass(slots=True)
class PreparedGraph:
    """What a window speaks of. ``vectors`` are those of messages whose names have to be told apart, by message."""

    messages: list[FoundIn] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    aliases: dict[str, list[str]] = field(default_factory=dict)
    vectors: dict[UUID, tuple[float, ...]] = field(default_factory=dict)
    model_id: int | None = None
    refused: int = 0


class GraphStep:
    """Finds entities in each window by rules, and with a language model their relations as well.

    Text of tools and web pages is not read: it would fill the graph with what nobody here spoke of.
    """

    name = STEP

    def __init__(self, store: Store, embeddings: EmbeddingService, zone: tzinfo, llm: LLM | None = None) -> None:
        self._store = store
        self._embeddings = embeddings
        self._zone = zone
        self._llm = llm

    def prepare(self, window: Window) -> PreparedGraph:
        """Find who and what the window speaks of. Raises ``LLMError`` where there is a model and it fails."""
        trusted = [message for message in window.messages if message.trusted]
        people = [each.speaker for each in (*window.context, *window.messages) if each.speaker]
        prepared = PreparedGraph()
        if not trusted:
            return prepared
        keys = _keys(message.content for message in trusted)
        with self._store.read() as unit:
            known = _known(unit.graph_reads.named(keys))
        words = sum(word_count(message.content) for message in trusted)
        nameable = bool(keys) or any(_UNSPACED.search(message.content) for message in trusted)
        answer = ModelAnswer()
        if self._llm is not None and nameable and words >= MIN_WORDS:
            answer = ask_model(self._llm, window, trusted, self._zone)
        prepared.said, prepared.aliases, prepared.refused = answer.said, answer.aliases, answer.refused
        by_model_too = {_told(each) for each in answer.said}
        for message in trusted:
            by_rule = extract(message.content, in_zone(message.said_at, self._zone), people=people, known=known)
            by_model = answer.found.get(message.id, [])
            both = [(each, "model") for each in by_model] + [
                (each, "rule")
                for each in by_rule
                if not any(each.start < other.end and other.start < each.end for other in by_model)
            ]
            relations = list(_stated(message, [each for each, _ in both]))
            selves = {each.start: each for relation in relations for each in (relation.subject, relation.object)}
            taken = {each.start for each, _ in both}
            both += [(each, "rule") for start, each in selves.items() if start not in taken]
            both.sort(key=lambda pair: pair[0].start)
            if both:
                prepared.messages.append(FoundIn(message, tuple(both)))
            said = [_as_said(message, relation) for relation in relations]
            prepared.said += [each for each in said if _told(each) not in by_model_too]
        self._embed_open(prepared)
        return prepared

    def _embed_open(self, prepared: PreparedGraph) -> None:
        """Embed the messages whose names several entities have, so that context can tell them apart."""
        keys = {key_of(each.value) for part in prepared.messages for each, _ in part.found if each.type in NAMED}
        with self._store.read() as unit:
            times = Counter(named.key for named in unit.graph_reads.named(keys))
        wanted = [
            part.message
            for part in prepared.messages
            if any(times[key_of(each.value)] > 1 for each, _ in part.found if each.type in NAMED)
        ]
        embedded = self._embeddings.embed_now([message.content for message in wanted]) if wanted else None
        if embedded is not None:
            prepared.model_id = embedded.model_id
            prepared.vectors = {
                message.id: tuple(vector.tolist()) for message, vector in zip(wanted, embedded.vectors, strict=True)
            }

    def store(self, unit: SqlUnitOfWork, window: Window, prepared: PreparedGraph) -> Mapping[str, int]:
        """Store entities, mentions and what was said of them. The same window makes the same rows."""
        return _Writer(unit, window, prepared).write()


class _Writer:
    """Stores what one window speaks of."""

    def __init__(self, unit: SqlUnitOfWork, window: Window, prepared: PreparedGraph) -> None:
        self._unit = unit
        self._window = window
        self._prepared = prepared
        self._names = self._load()
        self._rows: dict[UUID, Journaled] = {}
        self._by_key: dict[str, UUID] = {}
        self._counts: Counter[str] = Counter()
        self._timelines = Timelines(unit)

    def write(self) -> Mapping[str, int]:
        for part in self._prepared.messages:
            for found, method in part.found:
                self._mention(part.message, found, method)
        for said in sorted(self._prepared.said, key=self._told_at):
            self._relate(said)
        self._counts["ended_relations"] = self._timelines.ended
        self._counts["entities"] = self._store(Entity)
        self._store(EntityAlias)
        self._counts["mentions"] = self._store(Mention)
        self._counts["relations"] = self._store(Relation)
        self._unit.passages.add_sources(row for row in self._rows.values() if isinstance(row, Source))
        self._unit.vectors.enqueue(Kind.ENTITY, [row.id for row in self._rows.values() if isinstance(row, Entity)])
        self._counts["refused_relations"] += self._prepared.refused
        return {name: number for name, number in self._counts.items() if number}

    def _store(self, table: type[Journaled]) -> int:
        """Store the rows of a table, those that are there already left alone; return how many came."""
        return self._unit.graph.add(row for row in self._rows.values() if isinstance(row, table))

    def _add(self, row: Journaled) -> None:
        self._rows.setdefault(row.id, row)

    def _load(self) -> Names:
        found = [each for part in self._prepared.messages for each, _ in part.found]
        keys = {key_of(each.value) for each in found}
        words = {word for key in keys for word in (key.split(" ")[0], key.split(" ")[-1])}
        entities = self._unit.graph.candidates(keys, words)
        before = self._unit.graph.mentioned([message.id for message in self._window.context])
        ids = {each.id for each in entities}.union(*before.values()) if before else {each.id for each in entities}
        names = Names(entities, self._unit.graph.kin(ids))
        for message in self._window.context:
            for entity_id in before.get(message.id, ()):
                names.note(entity_id)
        return names

    def _mention(self, message: WindowMessage, found: Found, method: str) -> None:
        key = key_of(found.value)
        if not key or max(len(key), len(found.value)) > MAX_NAME_CHARS * 4:
            return
        chosen = choose(self._names, key, found.type, self._near(message, key, found.type))
        if chosen.ambiguous:
            self._counts["ambiguous_names"] += 1
            return
        entity_id = chosen.entity_id or self._make(found, key, message)
        self._names.note(entity_id)
        self._by_key[key] = entity_id
        for alias in self._prepared.aliases.get(key, ()):
            self._alias(entity_id, alias, key_of(alias), found.type, message)
        self._add(
            Mention(
                user_id=self._unit.user_id,
                id=uuid5(message.id, f"mention:{found.start}:{found.end}:{found.type.value}"),
                change_set_id=self._unit.change_set_id,
                origin=message.origin.value,
                entity_id=entity_id,
                source_kind=message.kind.value,
                source_id=message.id,
                start_at=found.start,
                end_at=found.end,
                said_at=message.said_at,
                confidence=round(found.confidence * chosen.confidence, 3),
                method=method,
            )
        )

    def _near(self, message: WindowMessage, key: str, type: EntityType) -> dict[UUID, float]:
        """How near what the message says is to what is said of each entity of that name."""
        vector = self._prepared.vectors.get(message.id)
        if vector is None or self._prepared.model_id is None or type not in NAMED:
            return {}
        ids = [each.id for each in self._names.called(key, type)]
        contexts = self._unit.graph.contexts(ids, self._prepared.model_id, len(vector))
        own = np.asarray(vector)
        return {
            entity_id: float(own @ mean / (np.linalg.norm(own) * np.linalg.norm(mean) or 1.0))
            for entity_id, mean in ((each, np.asarray(context)) for each, context in contexts.items())
        }

    def _make(self, found: Found, key: str, message: WindowMessage) -> UUID:
        # What is called by its own name is the same everywhere; two people of one name need not be.
        where = "" if found.type not in NAMED else f":{message.id}:{found.start}"
        entity_id = uuid5(self._unit.user_id, f"entity:{found.type.value}:{key}{where}")
        name = found.value[:MAX_NAME_CHARS]
        self._add(
            Entity(
                user_id=self._unit.user_id,
                id=entity_id,
                change_set_id=self._unit.change_set_id,
                origin=message.origin.value,
                type=found.type.value,
                name=name,
                content=name,
                content_hash=content_hash(name),
            )
        )
        # A long one is told apart by all of it, and looked up by what is shown of it.
        for each in dict.fromkeys((key, key_of(name))):
            self._alias(entity_id, name, each, found.type, message)
        return entity_id

    def _alias(self, entity_id: UUID, alias: str, key: str, type: EntityType, message: WindowMessage) -> None:
        if self._names.has(entity_id, key):
            return
        self._add(
            EntityAlias(
                user_id=self._unit.user_id,
                id=uuid5(entity_id, f"alias:{key}"),
                change_set_id=self._unit.change_set_id,
                origin=message.origin.value,
                entity_id=entity_id,
                alias=alias,
                key=key,
            )
        )
        self._names.add(entity_id, type.value, alias, key)

    def _relate(self, said: Said) -> None:
        subject, object_ = self._by_key.get(said.subject), self._by_key.get(said.object)
        if subject is None or object_ is None or subject == object_:
            self._counts["refused_relations"] += 1
            return
        named = f"relation:{subject}:{said.predicate}:{object_}:{said.valid_from or ''}"
        relation_id, until = uuid5(self._unit.user_id, named), None
        known = relation_id in self._rows or self._unit.graph.has_relation(relation_id)
        one = said.predicate in ONE_AT_A_TIME
        if one:
            at = self._told_at(said)
            placed = self._timelines.place(subject, said.predicate, object_, said.message_id, at, said.valid_from)
            if placed.same is not None:
                self._evidence(placed.same.id, said)
                return
            until = placed.until
            if known:  # it held before, ended, and holds again
                relation_id = uuid5(self._unit.user_id, f"{named}:{said.message_id}")
        elif known:
            self._evidence(relation_id, said)
            return
        relation = Relation(
            user_id=self._unit.user_id,
            id=relation_id,
            change_set_id=self._unit.change_set_id,
            origin=Origin.ASSISTANT.value,
            valid_from=said.valid_from,
            valid_until=until,
            subject_id=subject,
            predicate=said.predicate,
            object_id=object_,
            confidence=said.confidence,
            inferred=False,
        )
        self._add(relation)
        if one:
            self._timelines.add(relation, said.message_id, at)
        self._evidence(relation_id, said)

    def _told_at(self, said: Said) -> datetime:
        """When the message was said that says it."""
        return next(each.said_at for each in self._window.messages if each.id == said.message_id)

    def _evidence(self, relation_id: UUID, said: Said) -> None:
        link = uuid5(relation_id, f"relation from {said.message_id}")
        message = self._window.message(said.message_id)
        known = self._unit.passages.sources_of(Kind.RELATION, relation_id)
        if said.message_id in known:
            return
        self._add(
            Source(
                user_id=self._unit.user_id,
                id=link,
                change_set_id=self._unit.change_set_id,
                origin=Origin.ASSISTANT.value,
                kind=Kind.RELATION.value,
                row_id=relation_id,
                source_kind=(message.kind if message is not None else Kind.MESSAGE).value,
                source_id=said.message_id,
            )
        )


def _stated(message: WindowMessage, found: Sequence[Found]) -> Iterator[Stated]:
    """What a message says in so many words of two names, or of who says it and a name."""
    found = sorted(found, key=lambda each: each.start)
    yield from stated(message.content, found)
    named = message.speaker if message.speaker is not None and is_name(message.speaker) else None
    if named is not None or message.role is Role.USER:
        yield from stated_of_oneself(message.content, found, named or THE_USER)


def _told(said: Said) -> tuple[object, ...]:
    """What two tell alike: of what changes with time, each message for itself."""
    triple = said.subject, said.predicate, said.object
    return (*triple, said.message_id) if said.predicate in ONE_AT_A_TIME else triple


def _as_said(message: WindowMessage, relation: Stated) -> Said:
    subject, object_ = key_of(relation.subject.value), key_of(relation.object.value)
    return Said(subject, relation.predicate, object_, message.id, relation.confidence, None)


def _keys(texts: Iterable[str]) -> set[str]:
    """What might be names in these texts, as names are compared: runs of capital letters and their parts."""
    keys: set[str] = set()
    for text in texts:
        for match in _RUN.finditer(text):
            words = match.group().split(" ")
            keys.update(
                key_of(" ".join(words[first:last]))
                for first in range(len(words))
                for last in range(first + 1, len(words) + 1)
            )
    return {key for key in keys if key}


def _known(named: Sequence[Named]) -> dict[str, EntityType]:
    """What each name stands for, where all that have it are of one type."""
    types: dict[str, set[str]] = {}
    for each in named:
        types.setdefault(each.key, set()).add(each.type)
    return {key: EntityType(next(iter(found))) for key, found in types.items() if len(found) == 1}
