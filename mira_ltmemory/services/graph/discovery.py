"""Relations that nobody said: inferred by named rules from what is known, marked as such, and renewed at each run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from types import MappingProxyType
from uuid import UUID, uuid5

from mira_ltmemory.protocols import Change, Clock, JobReport, JobRun, Kind, Origin
from mira_ltmemory.services.graph.extract.found import NAMED
from mira_ltmemory.services.graph.reading import families_of
from mira_ltmemory.store.models import Relation, Source
from mira_ltmemory.store.unit_of_work import SqlUnitOfWork, Store

JOB = "relation_discovery"

TOGETHER_AT_LEAST = 3
"""So many texts have to speak of two entities before they are said to be spoken of together."""

MAX_INFERRED = 2_000
_CERTAIN_AFTER = 10
_SAME = 1e-4
"""Nearer than this is the same: the database keeps seven digits."""

CO_MENTION, TRANSITIVE, INVERSE = "co_mention", "transitive", "inverse"

TRANSITIVE_PREDICATES = frozenset({"located_in", "part_of", "subsidiary_of"})
"""Where A is so to B, and B to C, A is so to C."""

INVERSES: Mapping[str, str] = MappingProxyType(
    {
        **{each: each for each in ("sibling_of", "married_to", "partner_of", "friend_of", "colleague_of", "knows")},
        **{"parent_of": "child_of", "child_of": "parent_of", "manages": "reports_to", "reports_to": "manages"},
    }
)
"""Where A is the one to B, B is the other to A."""


@dataclass(frozen=True, slots=True)
class Inferred:
    """A relation that a rule infers, and how sure it is; ``premises`` are the relations that it follows from."""

    subject: UUID
    predicate: str
    object: UUID
    rule: str
    confidence: float
    premises: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class Premise:
    """A relation that was said."""

    id: UUID
    subject: UUID
    predicate: str
    object: UUID
    confidence: float


def infer(said: Iterable[Premise], together: Mapping[tuple[UUID, UUID], int]) -> list[Inferred]:
    """What follows from relations that were said and from who is spoken of together, by the rules; each pair once.

    What was said is not inferred again. One step of each rule: nothing is inferred from what was inferred.
    """
    premises = list(said)
    known = {(each.subject, each.predicate, each.object) for each in premises}
    joined = {frozenset((each.subject, each.object)) for each in premises}
    found: dict[tuple[UUID, str, UUID], Inferred] = {}

    def add(one: Inferred) -> None:
        key = (one.subject, one.predicate, one.object)
        if one.subject != one.object and key not in known:
            found.setdefault(key, one)

    by_subject: dict[tuple[UUID, str], list[Premise]] = {}
    for each in premises:
        by_subject.setdefault((each.subject, each.predicate), []).append(each)
    for each in premises:
        if each.predicate in INVERSES:
            inverse = INVERSES[each.predicate]
            add(Inferred(each.object, inverse, each.subject, INVERSE, each.confidence, (each.id,)))
        if each.predicate in TRANSITIVE_PREDICATES:
            for other in by_subject.get((each.object, each.predicate), ()):
                sure = each.confidence * other.confidence
                add(Inferred(each.subject, each.predicate, other.object, TRANSITIVE, sure, (each.id, other.id)))
    for (a, b), times in sorted(together.items(), key=lambda pair: (-pair[1], pair[0])):
        if times >= TOGETHER_AT_LEAST and frozenset((a, b)) not in joined:
            sure = min(1.0, times / _CERTAIN_AFTER)
            add(Inferred(min(a, b), "mentioned_with", max(a, b), CO_MENTION, sure))
    return list(found.values())[:MAX_INFERRED]


class RelationDiscovery:
    """Infers relations of one user. What no longer follows is removed; what people and models said is left alone."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def run(self, run: JobRun) -> JobReport:
        """Renew the inferred relations, as one change set; without a change nothing is written."""
        with self._store.read() as unit:
            work = _Work.of(unit, self._clock)
        if work.fresh or work.stale or work.changed:
            with self._store.write(
                Change(run.change.actor, JOB, "inferred relations", parent=run.change.parent)
            ) as unit:
                work = _Work.of(unit, self._clock)  # asked again under the user's lock
                work.store(unit)
        fresh, stale, changed = len(work.fresh), len(work.stale), len(work.changed)
        counts = {"inferred": fresh, "removed": stale, "changed": changed, "known": work.known}
        return JobReport(summary=f"Inferred {fresh} relations, removed {stale}, changed {changed}.", counts=counts)


@dataclass(frozen=True, slots=True)
class _Work:
    """What is to be done: relations that came, that went, and that are surer, less sure, or follow from others now.

    ``present`` are the premises that those changed had.
    """

    fresh: Mapping[UUID, Inferred]
    stale: Sequence[UUID]
    changed: Mapping[UUID, Inferred]
    present: Mapping[UUID, frozenset[UUID]]
    known: int

    @classmethod
    def of(cls, unit: SqlUnitOfWork, clock: Clock) -> _Work:
        wanted = _wanted(unit, clock)
        present = unit.graph.inferred()
        both = {
            key: one
            for key, one in wanted.items()
            if key in present
            and (abs(present[key][0] - one.confidence) > _SAME or present[key][1] != frozenset(one.premises))
        }
        return cls(
            fresh={key: one for key, one in wanted.items() if key not in present},
            stale=sorted(present.keys() - wanted.keys()),
            changed=both,
            present={key: present[key][1] for key in both},
            known=len(wanted),
        )

    def store(self, unit: SqlUnitOfWork) -> None:
        unit.graph.remove_relations(self.stale)
        unit.graph.add(_row(unit, key, one) for key, one in self.fresh.items())
        for key, one in self.changed.items():
            unit.graph.renew_relation(key, one.confidence, self.present[key] - set(one.premises))
        unit.passages.add_sources(
            _source(unit, key, premise)
            for key, one in {**self.fresh, **self.changed}.items()
            for premise in dict.fromkeys(one.premises)
            if premise not in self.present.get(key, ())
        )


def _wanted(unit: SqlUnitOfWork, clock: Clock) -> dict[UUID, Inferred]:
    rows = unit.graph.said(clock.now())
    texts = unit.graph_reads.in_one_text([each.value for each in NAMED])
    ids = {each for row in rows for each in (row.subject_id, row.object_id)}
    families = families_of(unit, ids.union(*texts), None)
    of = {member: root for root, members in families.items() for member in members}
    said = [
        Premise(row.id, of[row.subject_id], row.predicate, of[row.object_id], row.confidence)
        for row in rows
        if of[row.subject_id] != of[row.object_id]
    ]
    together: Counter[tuple[UUID, UUID]] = Counter()
    for text in texts:  # each once, by however many names it speaks of the two
        together.update(combinations(sorted({of[each] for each in text}), 2))
    return {
        uuid5(unit.user_id, f"inferred:{one.rule}:{one.subject}:{one.predicate}:{one.object}"): one
        for one in infer(said, together)
    }


def _row(unit: SqlUnitOfWork, id: UUID, one: Inferred) -> Relation:
    return Relation(
        user_id=unit.user_id,
        id=id,
        change_set_id=unit.change_set_id,
        origin=Origin.ASSISTANT.value,
        subject_id=one.subject,
        predicate=one.predicate,
        object_id=one.object,
        confidence=one.confidence,
        inferred=True,
        rule=one.rule,
    )


def _source(unit: SqlUnitOfWork, id: UUID, premise: UUID) -> Source:
    return Source(
        user_id=unit.user_id,
        id=uuid5(id, f"relation from {premise}"),
        change_set_id=unit.change_set_id,
        origin=Origin.ASSISTANT.value,
        kind=Kind.RELATION.value,
        row_id=id,
        source_kind=Kind.RELATION.value,
        source_id=premise,
    )
