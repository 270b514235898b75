"""Mines the patterns of one user: the same messages give the same patterns, and no model is asked."""

from __future__ import annotations

from datetime import timedelta, tzinfo

from mira_ltmemory.protocols import Clock, in_zone
from mira_ltmemory.services.review import preferences
from mira_ltmemory.services.review.habits import find_habits
from mira_ltmemory.services.review.patterns import Pattern
from mira_ltmemory.services.review.talk import Said, Talk
from mira_ltmemory.services.review.topics import as_pattern, find_topics
from mira_ltmemory.store.review import ChangedFact
from mira_ltmemory.store.unit_of_work import Store

WINDOW = timedelta(weeks=26)
MOST_MESSAGES = 20_000
_CHARS = 4_000
_FACTS = 10
_FACTS_SINCE = timedelta(weeks=8)
_FACT_CHARS = 160


class PatternMiner:
    """Reads what the user said over the last 26 weeks, at most the newest 20,000 messages."""

    def __init__(self, store: Store, clock: Clock, zone: tzinfo) -> None:
        self._store = store
        self._clock = clock
        self._zone = zone

    def talk(self) -> Talk:
        """The messages that patterns are mined from. Raises ``StoreError``."""
        with self._store.read() as unit:
            rows = unit.review.said(self._clock.now() - WINDOW, limit=MOST_MESSAGES, chars=_CHARS)
        return Talk(Said(row.id, row.conversation_id, in_zone(row.said_at, self._zone), row.content) for row in rows)

    def patterns(self) -> list[Pattern]:
        """Every pattern: topics, habits, and preferences that changed. Raises ``StoreError``."""
        talk = self.talk()
        topics = find_topics(talk)
        now = self._clock.now()
        with self._store.read() as unit:
            facts = unit.review.changed_facts(now - _FACTS_SINCE, now, limit=_FACTS)
        return [
            *(as_pattern(talk, topic) for topic in topics),
            *find_habits(talk, topics),
            *preferences.find_changes(talk),
            *(self._of_fact(fact) for fact in facts),
        ]

    def _of_fact(self, fact: ChangedFact) -> Pattern:
        ended = in_zone(fact.ended, self._zone).date().isoformat()
        text = f'Changed on {ended}: "{_short(fact.old)}" holds no longer. Now: "{_short(fact.new)}"'
        return Pattern(
            kind=preferences.KIND,
            key=f"fact {fact.new_id}",
            text=text,
            terms=(f"fact {fact.new_id}",),
            evidence=[fact.old_id, fact.new_id],
            since=fact.ended,
            until=fact.ended,
            of_passages=True,
        )


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _FACT_CHARS else line[: _FACT_CHARS - 4].rstrip() + " ..."
