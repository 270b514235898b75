"""What the user said over the last months, as patterns are mined from it: days and hours are the user's own."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from uuid import UUID

from mira_ltmemory.store.analysis import STOP_WORDS, bare, term_of, words

PARTS = ((5, "night"), (11, "morning"), (14, "midday"), (18, "afternoon"), (24, "evening"))
"""Parts of the day, each with the hour at which it ends."""

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True, slots=True)
class Said:
    """A message of the user. ``at`` is in the user's time zone."""

    id: UUID
    conversation: UUID
    at: datetime
    text: str

    @property
    def day(self) -> date:
        """The day on which it was said."""
        return self.at.date()

    @property
    def week(self) -> date:
        """The Monday of its week."""
        return date.fromordinal(self.day.toordinal() - self.day.weekday())

    @property
    def part(self) -> int:
        """Number of the part of the day in which it was said."""
        return part_of(self.at.hour)


@dataclass(slots=True)
class Term:
    """A word by its stem: how it is mostly written, and the messages that hold it by their index."""

    spellings: Counter[str] = field(default_factory=Counter)
    messages: list[int] = field(default_factory=list)

    @property
    def word(self) -> str:
        """How it is mostly written; of equals the first in the alphabet."""
        return min(self.spellings, key=lambda word: (-self.spellings[word], word))


class Talk:
    """The user's messages, oldest first."""

    def __init__(self, messages: Iterable[Said]) -> None:
        self.messages: Sequence[Said] = sorted(messages, key=lambda one: (one.at, one.id))

    @cached_property
    def terms(self) -> dict[int, Term]:
        """Every word that says something, by its stem's number; each message counts once."""
        found: dict[int, Term] = defaultdict(Term)
        for index, message in enumerate(self.messages):
            seen: set[int] = set()
            for word in words(message.text):
                plain = bare(word)
                if len(plain) < 3 or plain in STOP_WORDS or not plain.isalpha():
                    continue
                number = term_of(word)
                found[number].spellings[plain] += 1
                if number not in seen:
                    seen.add(number)
                    found[number].messages.append(index)
        return dict(found)

    @cached_property
    def english(self) -> bool:
        """Whether most of it is English, by the share of its commonest words."""
        total = stops = 0
        for message in self.messages[-500:]:
            for word in words(message.text):
                total += 1
                stops += bare(word) in STOP_WORDS
        return total > 0 and stops / total > 0.3

    @cached_property
    def by_conversation(self) -> Counter[UUID]:
        """How many messages each conversation has."""
        return Counter(message.conversation for message in self.messages)

    def weeks(self, indexes: Iterable[int] | None = None) -> list[date]:
        """The weeks in which messages (all, or these) were said, in order."""
        chosen = self.messages if indexes is None else [self.messages[index] for index in indexes]
        return sorted({message.week for message in chosen})

    def conversations(self, indexes: Iterable[int]) -> set[UUID]:
        """The conversations of messages."""
        return {self.messages[index].conversation for index in indexes}


def part_of(hour: int) -> int:
    """Number of the part of the day that an hour belongs to."""
    return next(number for number, (end, _) in enumerate(PARTS) if hour < end)
