"""Who speaks in the user's messages, and when: read once, and then kept up to date by what was added."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mira_ltmemory.protocols import Kind
from mira_ltmemory.store.rows import Rows
from mira_ltmemory.store.words import KIND_NUMBERS

_READ = """
SELECT s.last_change_set_id AS moment, coalesce(t.documents, 0) AS messages, a.added, a.pairs,
    (SELECT min(said_at) FROM ltmemory.messages WHERE user_id = :user_id) AS oldest,
    (SELECT max(said_at) FROM ltmemory.messages WHERE user_id = :user_id) AS newest
FROM ltmemory.user_states s
LEFT JOIN ltmemory.word_totals t ON t.user_id = s.user_id AND t.kind = :kind
CROSS JOIN LATERAL (
    SELECT coalesce(sum(n), 0) AS added, array_agg(ARRAY[role, speaker]) AS pairs FROM (
        SELECT role, speaker, count(*) AS n FROM ltmemory.messages
        WHERE user_id = :user_id AND change_set_id > :after GROUP BY role, speaker
    ) p
) a
WHERE s.user_id = :user_id
"""


@dataclass(frozen=True, slots=True)
class Speakers:
    """The pairs of role and speaker among the messages, after the change set ``moment``."""

    moment: int = 0
    messages: int = 0
    pairs: frozenset[tuple[str, str | None]] = frozenset()
    oldest: datetime | None = None
    newest: datetime | None = None


class VoiceRows(Rows):
    """The speakers of the user's messages."""

    def read(self, known: Speakers) -> Speakers:
        """What is true now, given what was read before: only later messages are looked at.

        Where messages went or changed meanwhile, everything is read anew: a name that was erased is not kept.
        """
        found = self._after(known.moment)
        if found.messages == known.messages + found.added:
            return found.with_pairs(known.pairs)
        return self._after(-1).with_pairs(frozenset())

    def _after(self, moment: int) -> _Read:
        row = self.execute(_READ, kind=KIND_NUMBERS[Kind.MESSAGE], after=moment).one()
        pairs = frozenset((role, speaker) for role, speaker in row.pairs or ())
        return _Read(int(row.moment), int(row.messages), int(row.added), pairs, row.oldest, row.newest)


@dataclass(frozen=True, slots=True)
class _Read:
    moment: int
    messages: int
    added: int
    pairs: frozenset[tuple[str, str | None]]
    oldest: datetime | None
    newest: datetime | None

    def with_pairs(self, known: frozenset[tuple[str, str | None]]) -> Speakers:
        return Speakers(self.moment, self.messages, known | self.pairs, self.oldest, self.newest)
