"""Which entity a name stands for: by the whole name, by who was named in full nearby, and by what is spoken of.

Never by a part of a word: "Ann" is not "Anna", and "Anna" is "Anna Berg" only where her whole name stood nearby and no
other Anna's did. What stays open stays apart, and is shown as possibly the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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


@dataclass(slots=True)
class Names:
    """What names stand for: entities by key, those that are the same taken as one, and who was named nearby.

    ``kin`` tells for each entity all that are the same as it. ``nearby`` are entities named in this window or just
    before, the latest last.
    """

    entities: list[Named] = field(default_factory=list)
    kin: Mapping[UUID, Sequence[UUID]] = field(default_factory=dict)
    nearby: list[UUID] = field(default_factory=list)

    def add(self, entity_id: UUID, type: str, name: str, key: str) -> None:
        """Know a new entity."""
        self.entities.append(Named(entity_id, type, name, key))

    def note(self, entity_id: UUID) -> None:
        """Know that an entity was named just now."""
        self.nearby.append(entity_id)

    def root(self, entity_id: UUID) -> UUID:
        """The entity that stands for all that are the same."""
        return next(iter(self.kin.get(entity_id, (entity_id,))))

    def called(self, key: str, type: EntityType) -> list[Named]:
        """Entities of a type with exactly this name."""
        return [each for each in self.entities if each.key == key and each.type == type.value]

    def in_full(self, key: str, type: EntityType) -> list[Named]:
        """People whose whole name begins or ends with this one word."""
        if type is not EntityType.PERSON or " " in key:
            return []
        return [
            each
            for each in self.entities
            if each.type == type.value and " " in each.key and key in (each.key.split(" ")[0], each.key.split(" ")[-1])
        ]


def choose(names: Names, key: str, type: EntityType, near: Mapping[UUID, float] | None = None) -> Choice:
    """Choose the entity that a name stands for. ``near`` are cosines of its context to theirs, where known."""
    exact = names.called(key, type)
    full = names.in_full(key, type)
    nearby = {names.root(each) for each in names.nearby}
    spoken_of = _families(names, (each for each in full if names.root(each.id) in nearby))
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
    recent = [root for each in reversed(names.nearby) if (root := names.root(each)) in families]
    if recent:
        return Choice(families[recent[0]], 0.8)
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
