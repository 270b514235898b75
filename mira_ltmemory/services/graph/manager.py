"""EntityManager: looks entities up, and tells what is important among them and how they hang together."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from mira_ltmemory.errors import InvalidArgument
from mira_ltmemory.protocols import Clock
from mira_ltmemory.services.embeddings import EmbeddingService
from mira_ltmemory.services.graph import analysis
from mira_ltmemory.services.graph.extract import THE_USER, EntityType
from mira_ltmemory.services.graph.extract.found import NAMED
from mira_ltmemory.services.graph.keys import key_of
from mira_ltmemory.services.graph.reading import (
    briefs_of,
    families_of,
    is_part_of,
    mention_view,
    named_by_words,
    near_names,
    relation_view,
)
from mira_ltmemory.services.graph.views import EntityBrief, EntityView, Lookup
from mira_ltmemory.services.text import require_text
from mira_ltmemory.store.graph_reads import MAX_HOPS
from mira_ltmemory.store.unit_of_work import SqlUnitOfWork, Store

MAX_NAME_CHARS = 200
MAX_QUERY_CHARS = 1_000
_RELATIONS = 40
_LATELY = 400
"""So many of the newest mentions tell who is active: the cost of a turn does not grow with the memory."""

_HALF_LIFE = timedelta(days=7)
_TOGETHER_WEIGHT = 0.5


class EntityManager:
    """The knowledge graph of one user. Thread-safe; nothing is kept in memory between calls.

    Entities that are the same are shown as one. ``moment`` in each reading method is a change set: the graph as it was
    at its end.
    """

    def __init__(self, store: Store, clock: Clock, embeddings: EmbeddingService) -> None:
        self._store = store
        self._clock = clock
        self._embeddings = embeddings

    def lookup(self, name: str, *, moment: int | None = None) -> Lookup:
        """Tell what a name stands for. Raises ``InvalidArgument``."""
        name = require_text("name", name, limit=MAX_NAME_CHARS).strip()
        key = key_of(self._store.redact(name))
        with self._store.read() as unit:
            found = unit.graph_reads.named([key], moment=moment)
            families = families_of(unit, [each.id for each in found if each.key == key], moment)
            if not families:
                families = families_of(unit, [each.id for each in named_by_words(unit, key, moment)], moment)
            if len(families) == 1:
                ((root, members),) = families.items()
                return Lookup(name=name, entity=self._view(unit, root, members, moment))
            briefs = briefs_of(unit, families, moment)
            near = () if briefs else near_names(unit, key, moment)
        return Lookup(name=name, candidates=tuple(briefs), near=near)

    def search(
        self, query: str, type: str | None = None, limit: int = 10, *, moment: int | None = None
    ) -> list[EntityBrief]:
        """Find entities by words of their names and by meaning, best first; a blank query lists the most spoken of.

        Raises ``InvalidArgument``.
        """
        require_text("query", query, limit=MAX_QUERY_CHARS, empty=True)
        kind = _type(type)
        if not 1 <= limit <= 100:
            raise InvalidArgument(f"limit must be between 1 and 100, not {limit}.")
        if not query.strip():
            return self._most_spoken_of(kind, limit, moment)
        key = key_of(self._store.redact(query))
        # Embedded before the transaction begins: no connection is held while the model works.
        embedded = self._embeddings.embed_query(query)
        words = set(key.split(" "))
        scores: dict[UUID, float] = {}
        with self._store.read() as unit:
            for each in unit.graph_reads.named([key], words, moment=moment):
                shared = len(words & set(each.key.split(" "))) / max(len(words), 1)
                exact = 1.0 if each.key == key else 0.0
                scores[each.id] = max(scores.get(each.id, 0.0), exact + shared)
            if embedded is not None:
                nearest = unit.graph_reads.nearest(
                    embedded.vector, embedded.model_id, limit * 3, type=kind, moment=moment
                )
                for entity_id, near in nearest:
                    if near >= 0.35 or entity_id in scores:
                        scores[entity_id] = scores.get(entity_id, 0.0) + near
            families = families_of(unit, scores, moment)
            briefs = [
                replace(brief, score=max(scores.get(member, 0.0) for member in families[brief.id]))
                for brief in briefs_of(unit, families, moment)
                if kind is None or brief.type == kind
            ]
        return sorted(briefs, key=lambda brief: (-brief.score, -brief.mentions, brief.name, str(brief.id)))[:limit]

    def neighbours(self, name: str, hops: int = 1, *, moment: int | None = None) -> list[tuple[EntityBrief, int]]:
        """Entities within so many steps along relations, nearest first, with the steps. Raises ``InvalidArgument``."""
        if not 1 <= hops <= MAX_HOPS:
            raise InvalidArgument(f"hops must be between 1 and {MAX_HOPS}, not {hops}.")
        start = self.one(name, moment=moment)
        with self._store.read() as unit:
            reached = unit.graph_reads.reached(start.members, hops, moment=moment)
            families = families_of(unit, reached, moment)
            briefs = briefs_of(unit, families, moment)
        steps = {root: min(reached[each] for each in members if each in reached) for root, members in families.items()}
        found = [(brief, steps[brief.id]) for brief in briefs if brief.id != start.brief.id]
        return sorted(found, key=lambda each: (each[1], -each[0].mentions, each[0].name))

    def path(self, start: str, end: str) -> list[EntityBrief]:
        """The shortest way from one entity to another along relations and texts that speak of both; empty if none.

        Raises ``InvalidArgument`` where a name stands for none or several.
        """
        first, last = self.one(start), self.one(end)
        with self._store.read() as unit:
            roots, edges = self._edges(unit, inferred=True)
            found = analysis.path(analysis.weighted(edges), first.brief.id, last.brief.id)
            briefs = {
                brief.id: brief for brief in briefs_of(unit, {each: roots.get(each, [each]) for each in found}, None)
            }
        return [briefs[each] for each in found]

    def importance(self, limit: int = 20) -> list[EntityBrief]:
        """The most important entities: personalised PageRank from what was spoken of lately."""
        with self._store.read() as unit:
            roots, edges = self._edges(unit, inferred=False)
            of = {member: root for root, members in roots.items() for member in members}
            seeds: dict[UUID, float] = defaultdict(float)
            for entity_id, weight in self._lately(unit).items():
                seeds[of.get(entity_id, entity_id)] += weight
            ranked = analysis.importance(analysis.weighted(edges), seeds)
            best = sorted(ranked, key=lambda each: (-ranked[each], str(each)))[: limit * 2]
            families = {root: members for root, members in families_of(unit, best, None).items() if root in ranked}
            briefs = [replace(brief, score=ranked[brief.id]) for brief in briefs_of(unit, families, None)]
        named = [brief for brief in briefs if brief.type != EntityType.DATE]
        return sorted(named, key=lambda brief: (-brief.score, brief.name))[:limit]

    def communities(self, limit: int = 10) -> list[list[EntityBrief]]:
        """Groups of entities that hang together, largest first."""
        with self._store.read() as unit:
            _, edges = self._edges(unit, inferred=False)
            found = analysis.communities(analysis.weighted(edges))[:limit]
            families = families_of(unit, [each for group in found for each in group], None)
            briefs = {brief.id: brief for brief in briefs_of(unit, families, None)}
        groups = [[briefs[each] for each in group if each in briefs] for group in found]
        return [sorted(group, key=lambda brief: (-brief.mentions, brief.name)) for group in groups if len(group) > 1]

    def active(self, limit: int = 10) -> list[EntityBrief]:
        """Who and what is active now: how often and how lately spoken of, of the newest mentions only.

        Dates, addresses and links are left out. A few bounded queries: the cost does not grow with the memory.
        """
        with self._store.read() as unit:
            weights = self._lately(unit)
            families = families_of(unit, weights, None)
            briefs = [
                replace(brief, score=math.fsum(weights.get(member, 0.0) for member in families[brief.id]))
                for brief in briefs_of(unit, families, None)
                if brief.type not in _NOT_ACTIVE and brief.name != THE_USER
            ]
        return sorted(briefs, key=lambda brief: (-brief.score, brief.name, str(brief.id)))[:limit]

    def of_id(self, entity_id: UUID, *, moment: int | None = None) -> EntityView:
        """All that is known of an entity. Raises ``InvalidArgument`` where there is none of that id."""
        with self._store.read() as unit:
            families = families_of(unit, [entity_id], moment)
            ((root, members),) = families.items()
            if root not in unit.graph_reads.details([root], moment=moment):
                raise InvalidArgument(f"There is no entity {entity_id}.")
            return self._view(unit, root, members, moment)

    def one(self, name: str, *, moment: int | None = None) -> EntityView:
        """The one entity that a name stands for. Raises ``InvalidArgument`` where it is none, or several."""
        found = self.lookup(name, moment=moment)
        if found.entity is not None:
            return found.entity
        if found.candidates:
            listed = ", ".join(f"{each.name} ({each.type})" for each in found.candidates[:10])
            raise InvalidArgument(f"{name!r} may be any of: {listed}. Name it in full.")
        near = f" Did you mean {', '.join(map(repr, found.near))}?" if found.near else ""
        raise InvalidArgument(f"No entity is called {name[:80]!r}.{near}")

    def _view(self, unit: SqlUnitOfWork, root: UUID, members: Sequence[UUID], moment: int | None) -> EntityView:
        reads = unit.graph_reads
        relations = reads.relations(members, _RELATIONS, moment=moment)
        others = {each for row in relations for each in (row.subject_id, row.object_id)}
        roots = {member: root for root, family in families_of(unit, others, moment).items() for member in family}
        names = {id: details.name for id, details in reads.details({*roots.values(), root}, moment=moment).items()}
        names |= {member: names[root] for member in members if root in names}
        shown = {each: names.get(roots.get(each, each), "(unknown)") for each in others}
        (brief,) = briefs_of(unit, {root: list(members)}, moment)
        return EntityView(
            brief=brief,
            members=tuple(members),
            relations=tuple(relation_view(row, shown) for row in relations),
            mentions=tuple(mention_view(each) for each in reads.latest(members, 5, moment=moment)),
            possible=tuple(self._possible(unit, brief, members, moment)),
        )

    def _possible(
        self, unit: SqlUnitOfWork, brief: EntityBrief, members: Sequence[UUID], moment: int | None
    ) -> list[EntityBrief]:
        """Entities of the same type of whose name this one's is a part in whole words, or the other way round."""
        if brief.type not in NAMED:
            return []
        keys = {key_of(name) for name in (brief.name, *brief.aliases)}
        words = {word for key in keys for word in key.split(" ")}
        parted = unit.graph.parted(members)
        akin = {
            each.id
            for each in unit.graph_reads.named(keys, words, moment=moment)
            if each.type == brief.type
            and each.id not in members
            and any(is_part_of(key, each.key) or is_part_of(each.key, key) for key in keys)
            and not any(frozenset((each.id, member)) in parted for member in members)
        }
        families = families_of(unit, akin, moment)
        return briefs_of(unit, families, moment)[:5]

    def _most_spoken_of(self, kind: str | None, limit: int, moment: int | None) -> list[EntityBrief]:
        with self._store.read() as unit:
            lately = {entity_id for entity_id, _, _ in unit.graph_reads.lately(_LATELY * 5, moment=moment)}
            briefs = briefs_of(unit, families_of(unit, lately, moment), moment)
        chosen = [brief for brief in briefs if (brief.type == kind if kind else brief.type not in _NOT_ACTIVE)]
        return sorted(chosen, key=lambda brief: (-brief.mentions, brief.name))[:limit]

    def _lately(self, unit: SqlUnitOfWork) -> dict[UUID, float]:
        """How much each entity was spoken of lately: each mention counts half after a week, of the newest only."""
        weights: dict[UUID, float] = defaultdict(float)
        now = self._clock.now()
        for entity_id, said_at, _ in unit.graph_reads.lately(_LATELY):
            age = max((now - said_at) / _HALF_LIFE, 0.0)
            weights[entity_id] += 0.5 ** min(age, 60.0)
        return weights

    def _edges(
        self, unit: SqlUnitOfWork, *, inferred: bool
    ) -> tuple[dict[UUID, list[UUID]], list[tuple[UUID, UUID, float]]]:
        """Families, and edges between what stands for them: relations, and texts that speak of both."""
        said = unit.graph_reads.edges(self._clock.now(), inferred=inferred)
        pairs = unit.graph_reads.together([each.value for each in NAMED], least=1)
        ids = {each for a, b, *_ in said for each in (a, b)} | {each for pair in pairs for each in (pair.a, pair.b)}
        families = families_of(unit, ids, None)
        of = {member: root for root, members in families.items() for member in members}
        edges = [(of[a], of[b], confidence) for a, b, _, confidence, _ in said]
        edges += [(of[pair.a], of[pair.b], _TOGETHER_WEIGHT * math.log1p(pair.times)) for pair in pairs]
        return families, edges


_NOT_ACTIVE = frozenset({EntityType.DATE.value, EntityType.LINK.value, EntityType.EMAIL.value, EntityType.HANDLE.value})


def _type(type: str | None) -> str | None:
    if type is None or type == "":
        return None
    try:
        return EntityType(type).value
    except ValueError:
        raise InvalidArgument(f"type must be one of {', '.join(EntityType)}, not {str(type)[:60]!r}.") from None
