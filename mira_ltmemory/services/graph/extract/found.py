"""What an extractor finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class EntityType(StrEnum):
    """What an entity is. ``PERSON`` is whoever has a name of their own: people, and the animals they live with."""

    PERSON = "person"
    PLACE = "place"
    ORGANIZATION = "organization"
    DATE = "date"
    EMAIL = "email"
    HANDLE = "handle"
    LINK = "link"
    WORK = "work"
    EVENT = "event"
    PRODUCT = "product"
    TOPIC = "topic"


NAMED = frozenset({EntityType.PERSON, EntityType.PLACE, EntityType.ORGANIZATION})
"""Types whose entities are told apart by name and context; those of all others are what they are called."""


@dataclass(frozen=True, slots=True)
class Found:
    """A name in a text: characters ``start`` to ``end`` (exclusive). ``value`` is the name as it is to be called.

    ``confidence`` lies between 0 and 1.
    """

    type: EntityType
    start: int
    end: int
    value: str
    confidence: float
