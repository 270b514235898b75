"""Which entity a name stands for: by the whole name, by who was named in full nearby, and by what is spoken of.

Never by a part of a word: "Ann" is not "Anna", and "Anna" is "Anna Berg" only where her whole name stood nearby and no
other Anna's did. What stays open stays apart, and is shown as possibly the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from mira_ltmemory.services.graph.extract import EntityType
from mira_ltmemory.store.graph import Named

LEAST_COSINE = 0.25
LEAST_LEAD = 0.08
"""Among entities of the same name, context by meaning decides only where one is near and clearly nearer than others."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which entity was chosen, and how sure that is; none: a new one is to be made, or the name is ``ambiguous``."""

    entity_id: UUID | None
    confidence: float = 1.0
    ambiguous: bool = False


class Names:
    """What names stand for: entities by key, those that are the same taken as one, and who was named nearby.

    ``kin`` tells for each entity all that are the same as it. ``nearby`` are the families of what was named in this
    window or just before, the latest last.
    """

    def __init__(self, entities: Iterable[Named] = (), kin: Mapping[UUID, Sequence[UUID]] | None = None) -> None:
        self._kin = kin or {}
        self._called: dict[tuple[str, str], list[Named]] = {}
        self._by_end: dict[str, list[Named]] = {}
        self._names: set[tuple[UUID, str]] = set()
        self.nearby: dict[UUID, None] = {}
        for each in entities:
            self._take(each)

    def add(self, entity_id: UUID, type: str, name: str, key: str) -> None:
        """Know a new entity, or one more name of an entity."""
        self._take(Named(entity_id, type, name, key))

    def has(self, entity_id: UUID, key: str) -> bool:
        """Whether an entity is known by this name."""
        return (entity_id, key) in self._names

    def note(self, entity_id: UUID) -> None:
        """Know that an entity was named just now."""
        root = self.root(entity_id)
        self.nearby.pop(root, None)
        self.nearby[root] = None

    def root(self, entity_id: UUID) -> UUID:
        """The entity that stands for all that are the same."""
        return next(iter(self._kin.get(entity_id, (entity_id,))))

    def called(self, key: str, type: EntityType) -> Sequence[Named]:
        """Entities of a type with exactly this name."""
        return self._called.get((type.value, key), ())

    def in_full(self, key: str, type: EntityType) -> Sequence[Named]:
        """People whose whole name begins or ends with this one word."""
        return self._by_end.get(key, ()) if type is EntityType.PERSON and " " not in key else ()

    def _take(self, named: Named) -> None:
        self._called.setdefault((named.type, named.key), []).append(named)
        self._names.add((named.id, named.key))
        if named.type == EntityType.PERSON.value and " " in named.key:
            words = named.key.split(" ")
            for end in {words[0], words[-1]}:
                self._by_end.setdefault(end, []).append(named)


def choose(names: Names, key: str, type: EntityType, near: Mapping[UUID, float] | None = None) -> Choice:
    """Choose the entity that a name stands for. ``near`` are cosines of its context to theirs, where known."""
    exact = names.called(key, type)
    full = names.in_full(key, type)
    spoken_of = _families(names, (each for each in full if names.root(each.id) in names.nearby))
    if len(spoken_of) == 1:
        (root,) = spoken_of
        member = next((each.id for each in exact if names.root(each.id) == root), spoken_of[root])
        return Choice(member, 0.85)
    families = _families(names, exact)
    if len(families) == 1:
        (only,) = families.values()
        return Choice(only)
    if not families:
        return Choice(None)
    recent = next((root for root in reversed(names.nearby) if root in families), None)
    if recent is not None:
        return Choice(families[recent], 0.8)
    by_context = _nearest(families, near or {})
    return Choice(by_context, 0.7) if by_context is not None else Choice(None, ambiguous=True)


def _families(names: Names, found: Iterable[Named]) -> dict[UUID, UUID]:
    """The entity that stands for each family, and the member that has the name."""
    families: dict[UUID, UUID] = {}
    for each in found:
        families.setdefault(names.root(each.id), each.id)
    return families


def _nearest(families: Mapping[UUID, UUID], near: Mapping[UUID, float]) -> UUID | None:
    ranked = sorted(((near[member], member) for member in families.values() if member in near), reverse=True)
    if not ranked or ranked[0][0] < LEAST_COSINE or len(ranked) < len(families):
        return None
    if ranked[0][0] - ranked[1][0] < LEAST_LEAD:
        return None
    return ranked[0][1]
