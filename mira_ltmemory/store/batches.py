"""Rows of the work on conversations: marks of messages, and leases of conversations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from mira_ltmemory.errors import one_line
from mira_ltmemory.store.rows import Rows

_BEGIN = "INSERT INTO ltmemory.batch_states (user_id, through) VALUES (:user_id, 0) ON CONFLICT DO NOTHING"

# The lock orders workers that enlist. Change sets are numbered in the order of their commits, so that none comes later
# with a number that was passed.
_PRESENT = """
SELECT b.through, s.last_change_set_id AS last FROM ltmemory.batch_states b
JOIN ltmemory.user_states s ON s.user_id = b.user_id WHERE b.user_id = :user_id FOR UPDATE OF b
"""

_ENLIST = """
INSERT INTO ltmemory.batch_messages (user_id, message_id, conversation_id, position, state, attempts)
SELECT m.user_id, m.id, m.conversation_id, m.position, 'waiting', 0 FROM ltmemory.messages m
WHERE m.user_id = :user_id AND m.change_set_id > :through AND m.change_set_id <= :last
ON CONFLICT DO NOTHING
"""

# Captured again after its capture was undone: a first version once more. What an undo brings back is a later one, and
# what was made from it came back with it.
_ENLIST_AGAIN = """
UPDATE ltmemory.batch_messages b SET state = 'waiting', position = m.position, attempts = 0, window_limit = NULL,
    retry_at = NULL, last_error = NULL, change_set_id = NULL
FROM ltmemory.messages m
WHERE b.user_id = :user_id AND m.user_id = b.user_id AND m.id = b.message_id
    AND m.change_set_id > :through AND m.change_set_id <= :last AND m.version = 1
"""

_ENLIST_CONVERSATIONS = """
INSERT INTO ltmemory.batch_conversations (user_id, conversation_id)
SELECT DISTINCT m.user_id, m.conversation_id FROM ltmemory.messages m
WHERE m.user_id = :user_id AND m.change_set_id > :through AND m.change_set_id <= :last
ON CONFLICT DO NOTHING
"""

_DROP_ORPHANS = """
DELETE FROM ltmemory.batch_messages b WHERE b.user_id = :user_id AND b.state <> 'done' AND NOT EXISTS (
    SELECT FROM ltmemory.messages m WHERE m.user_id = b.user_id AND m.id = b.message_id)
"""

_DUE = "b.state = 'waiting' AND (b.retry_at IS NULL OR b.retry_at <= :now)"

# The oldest message that is due decides, so that conversations are worked through in the order of time.
_NEXT = f"""
SELECT c.conversation_id FROM ltmemory.batch_messages b
JOIN ltmemory.batch_conversations c ON c.user_id = b.user_id AND c.conversation_id = b.conversation_id
WHERE b.user_id = :user_id AND {_DUE} AND (c.lease_until IS NULL OR c.lease_until <= :now OR c.lease_owner = :owner)
ORDER BY b.position, b.message_id LIMIT 1 FOR UPDATE OF c SKIP LOCKED
"""

_LEASE = """
UPDATE ltmemory.batch_conversations SET lease_owner = :owner, lease_until = :until
WHERE user_id = :user_id AND conversation_id = :conversation_id
"""

_RELEASE = """
UPDATE ltmemory.batch_conversations SET lease_owner = NULL, lease_until = NULL
WHERE user_id = :user_id AND conversation_id = :conversation_id AND lease_owner = :owner
"""

_RENEW = """
UPDATE ltmemory.batch_conversations SET lease_until = :until
WHERE user_id = :user_id AND conversation_id = :conversation_id AND lease_owner = :owner
"""

_MEMBERS = f"""
SELECT m.id, m.conversation_id, m.external_id, m.position, m.role, m.speaker, m.origin, m.content, m.said_at,
    b.attempts, b.window_limit
FROM ltmemory.batch_messages b
JOIN ltmemory.messages m ON m.user_id = b.user_id AND m.id = b.message_id
WHERE b.user_id = :user_id AND b.conversation_id = :conversation_id AND {_DUE}
ORDER BY b.position, b.message_id LIMIT :limit
"""

_BEFORE = """
SELECT m.id, m.conversation_id, m.external_id, m.position, m.role, m.speaker, m.origin, m.content, m.said_at,
    0 AS attempts, NULL AS window_limit
FROM ltmemory.messages m
WHERE m.user_id = :user_id AND m.conversation_id = :conversation_id AND m.position < :position
ORDER BY m.position DESC LIMIT :limit
"""

_FINISH = """
UPDATE ltmemory.batch_messages SET state = 'done', change_set_id = :change_set, retry_at = NULL, last_error = NULL
WHERE user_id = :user_id AND state = 'waiting' AND message_id = ANY(CAST(:ids AS uuid[]))
"""

_STILL_THERE = """
SELECT count(*) FROM ltmemory.messages WHERE user_id = :user_id AND id = ANY(CAST(:ids AS uuid[]))
"""

_FAIL = """
UPDATE ltmemory.batch_messages SET attempts = :attempts, window_limit = :window_limit, retry_at = :retry_at,
    last_error = :error, state = CASE WHEN :aside THEN 'aside' ELSE state END
WHERE user_id = :user_id AND state = 'waiting' AND message_id = ANY(CAST(:ids AS uuid[]))
"""

_COUNTS = """
SELECT count(*) FILTER (WHERE b.state = 'waiting') AS waiting,
    count(*) FILTER (WHERE b.state = 'waiting' AND b.attempts > 0) AS retried,
    count(*) FILTER (WHERE b.state = 'aside') AS aside
FROM ltmemory.batch_messages b WHERE b.user_id = :user_id AND b.state <> 'done'
"""

_ASIDE = """
SELECT m.id, m.said_at, m.external_id, c.external_id AS conversation, b.attempts, b.last_error AS error
FROM ltmemory.batch_messages b
JOIN ltmemory.messages m ON m.user_id = b.user_id AND m.id = b.message_id
JOIN ltmemory.conversations c ON c.user_id = m.user_id AND c.id = m.conversation_id
WHERE b.user_id = :user_id AND b.state = 'aside' ORDER BY b.position LIMIT :limit
"""

_RETRY = """
UPDATE ltmemory.batch_messages
SET state = 'waiting', attempts = 0, window_limit = NULL, retry_at = NULL, last_error = NULL
WHERE user_id = :user_id AND (state = 'aside' OR state = 'waiting' AND (attempts > 0 OR retry_at IS NOT NULL))
"""

# As workers do: the conversation's row first, then those of its messages, so that neither waits for the other.
_HOLD_CONVERSATIONS = """
SELECT c.conversation_id FROM ltmemory.batch_conversations c WHERE c.user_id = :user_id
    AND (c.conversation_id = ANY(CAST(:ids AS uuid[])) OR c.conversation_id IN (
        SELECT b.conversation_id FROM ltmemory.batch_messages b
        WHERE b.user_id = :user_id AND b.message_id = ANY(CAST(:ids AS uuid[]))))
ORDER BY c.conversation_id FOR UPDATE
"""

_ERASE = """
DELETE FROM ltmemory.batch_messages WHERE user_id = :user_id
    AND (message_id = ANY(CAST(:ids AS uuid[])) OR conversation_id = ANY(CAST(:ids AS uuid[])))
"""

_ERASE_CONVERSATIONS = """
DELETE FROM ltmemory.batch_conversations WHERE user_id = :user_id AND conversation_id = ANY(CAST(:ids AS uuid[]))
"""


@dataclass(frozen=True, slots=True)
class BatchRow:
    """A message that waits, with what is known of earlier attempts."""

    id: UUID
    conversation_id: UUID
    external_id: str
    position: int
    role: str
    speaker: str | None
    origin: str
    content: str
    said_at: datetime
    attempts: int
    window_limit: int | None


@dataclass(frozen=True, slots=True)
class BatchCounts:
    """How many messages wait (``retried``: after a failure), and how many were set aside."""

    waiting: int
    retried: int
    aside: int


@dataclass(frozen=True, slots=True)
class SetAside:
    """A message that could not be processed; ``conversation`` and ``external_id`` are the host's ids."""

    id: UUID
    said_at: datetime
    external_id: str
    conversation: str
    attempts: int
    error: str | None


class BatchRows(Rows):
    """What is to be processed of the user's conversations."""

    def enlist(self) -> int:
        """Let every message wait that was stored since this was last called; return how many.

        One that was captured before, and again after that was undone, waits again.
        """
        self.execute(_BEGIN)
        state = self.execute(_PRESENT).one()
        if state.last <= state.through:
            return 0
        self.execute(_ENLIST_CONVERSATIONS, through=state.through, last=state.last)
        again = self.execute(_ENLIST_AGAIN, through=state.through, last=state.last).rowcount
        added = again + self.execute(_ENLIST, through=state.through, last=state.last).rowcount
        self.execute("UPDATE ltmemory.batch_states SET through = :last WHERE user_id = :user_id", last=state.last)
        return added

    def drop_orphans(self) -> int:
        """Forget messages that wait and are no longer there; return how many."""
        return self.execute(_DROP_ORPHANS).rowcount

    def due(self, now: datetime) -> int:
        """How many messages could be processed now."""
        count = f"SELECT count(*) FROM ltmemory.batch_messages b WHERE b.user_id = :user_id AND {_DUE}"
        return int(self.execute(count, now=now).scalar_one())

    def claim(self, owner: str, now: datetime, until: datetime) -> UUID | None:
        """Take the lease of the conversation with the oldest message that is due and whose lease is free."""
        found = self.execute(_NEXT, owner=owner, now=now).scalar()
        if found is None:
            return None
        self.execute(_LEASE, owner=owner, until=until, conversation_id=found)
        return UUID(str(found))

    def renew(self, conversation_id: UUID, owner: str, until: datetime) -> bool:
        """Keep a lease, and until the end of the transaction its row; false where it is no longer the owner's.

        One that has run out is still the owner's as long as nobody has taken it.
        """
        return self.execute(_RENEW, conversation_id=conversation_id, owner=owner, until=until).rowcount == 1

    def release(self, conversation_id: UUID, owner: str) -> None:
        """Give up a lease."""
        self.execute(_RELEASE, conversation_id=conversation_id, owner=owner)

    def members(self, conversation_id: UUID, now: datetime, limit: int) -> list[BatchRow]:
        """The first messages of a conversation that are due, in its order."""
        rows = self.execute(_MEMBERS, conversation_id=conversation_id, now=now, limit=limit)
        return [BatchRow(**row._mapping) for row in rows]

    def before(self, conversation_id: UUID, position: int, limit: int) -> list[BatchRow]:
        """The messages just before a place in a conversation, oldest first."""
        rows = self.execute(_BEFORE, conversation_id=conversation_id, position=position, limit=limit)
        return [BatchRow(**row._mapping) for row in rows][::-1]

    def finish(self, ids: Sequence[UUID], change_set_id: int | None) -> bool:
        """Mark messages as processed; false where one of them is gone, or was processed by another."""
        marked = self.execute(_FINISH, ids=list(ids), change_set=change_set_id).rowcount
        there = int(self.execute(_STILL_THERE, ids=list(ids)).scalar_one())
        return marked == there == len(ids)

    def fail(
        self, ids: Sequence[UUID], error: str, *, attempts: int, window_limit: int, retry_at: datetime, aside: bool
    ) -> None:
        """Note a failure, for the one who holds the lease. Messages that are set ``aside`` wait no longer."""
        self.execute(
            _FAIL, ids=list(ids), error=one_line(error), attempts=attempts, window_limit=window_limit,
            retry_at=retry_at, aside=aside,
        )  # fmt: skip

    def counts(self) -> BatchCounts:
        """How much waits and how much was set aside."""
        return BatchCounts(**self.execute(_COUNTS).one()._mapping)

    def set_aside(self, limit: int) -> list[SetAside]:
        """The messages that were set aside, oldest first."""
        return [SetAside(**row._mapping) for row in self.execute(_ASIDE, limit=limit)]

    def retry(self) -> int:
        """Let what failed or was set aside wait again, as if it had never been tried; return how many messages."""
        return self.execute(_RETRY).rowcount

    def erase(self, ids: Sequence[UUID]) -> None:
        """Forget these messages, and all of these conversations."""
        self.execute(_HOLD_CONVERSATIONS, ids=list(ids))
        self.execute(_ERASE, ids=list(ids))
        self.execute(_ERASE_CONVERSATIONS, ids=list(ids))
