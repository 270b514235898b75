"""Rows that summaries are made from, and the summaries themselves: passages of category ``summary``."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np

from mira_ltmemory.protocols import FIRST_MOMENT, LAST_MOMENT, Json, Kind
from mira_ltmemory.store.models import content_hash
from mira_ltmemory.store.rows import Rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SAID = "m.role IN ('user', 'assistant') AND m.origin NOT IN ('tool', 'web', 'recalled')"

# The mark changes with every message that comes, goes or changes.
_DAYS = f"""
SELECT CAST(m.said_at AT TIME ZONE :zone AS date) AS day, count(*) AS messages,
    CAST(sum(hashtextextended(CAST(m.id AS text) || CAST(m.content_hash AS text), 0)) AS text) AS mark
FROM ltmemory.messages m
WHERE m.user_id = :user_id AND {_SAID} AND m.said_at >= :first AND m.said_at < :last GROUP BY 1 ORDER BY 1
"""

_MESSAGES = f"""
SELECT m.id, m.role, m.speaker, left(m.content, :chars) AS content, m.said_at FROM ltmemory.messages m
WHERE m.user_id = :user_id AND {_SAID} AND {{which}} ORDER BY m.said_at, m.position, m.id
"""

_VECTORS = """
SELECT v.row_id, halfvec_send(v.embedding) AS vector FROM ltmemory.vectors v
JOIN ltmemory.messages m ON m.user_id = v.user_id AND m.id = v.row_id AND m.content_hash = v.content_hash
WHERE v.user_id = :user_id AND v.kind = 'message' AND v.model_id = :model_id
    AND v.row_id = ANY(CAST(:ids AS uuid[]))
"""

# The last words of a summary that an undo took away: what they were made from.
_UNDONE = """
SELECT DISTINCT ON (v.id) v.id, v.metadata ->> 'mark' AS mark FROM ltmemory.passages_versions v
JOIN ltmemory.change_sets c ON c.user_id = v.user_id AND c.id = v.ended_by AND c.undoes IS NOT NULL
WHERE v.user_id = :user_id AND v.id = ANY(CAST(:ids AS uuid[]))
ORDER BY v.id, v.ended_by DESC
"""

_INSERT = """
INSERT INTO ltmemory.passages (user_id, id, version, change_set_id, origin, metadata, content, content_hash, tags, tier,
    said_at, category)
VALUES (:user_id, :id, 1, :change_set_id, 'assistant', CAST(:meta AS jsonb), :content, :hash, CAST(:tags AS text[]),
    'hot', :said_at, 'summary')
"""

_UPDATE = """
UPDATE ltmemory.passages SET content = :content, content_hash = :hash, metadata = CAST(:meta AS jsonb),
    tags = CAST(:tags AS text[]), said_at = :said_at, tier = 'hot', valid_until = NULL
WHERE user_id = :user_id AND id = :id AND version = :version
"""


@dataclass(frozen=True, slots=True)
class DayOfTalk:
    """A day on which something was said: how many messages, and a mark of exactly these."""

    day: dt.date
    messages: int
    mark: str


@dataclass(frozen=True, slots=True)
class SaidMessage:
    """A message as a summary reads it."""

    id: UUID
    role: str
    speaker: str | None
    content: str
    said_at: dt.datetime


@dataclass(frozen=True, slots=True)
class StoredSummary:
    """A summary that is there. ``cited`` are the messages of each of its lines."""

    id: UUID
    version: int
    level: str
    period: str
    mark: str
    content: str
    cited: tuple[tuple[UUID, ...], ...]
    said_at: dt.datetime


class SummaryRows(Rows):
    """Summaries of the user's conversations."""

    def days(self, zone: str) -> list[DayOfTalk]:
        """Every day, in an IANA time zone, on which somebody said something, oldest first.

        Days that are none, such as 0001-01-01, are left out: their dates need not exist in every time zone.
        """
        found = self.execute(_DAYS, zone=zone, first=FIRST_MOMENT, last=LAST_MOMENT)
        return [DayOfTalk(row.day, row.messages, row.mark) for row in found]

    def messages_between(self, start: dt.datetime, end: dt.datetime, chars: int) -> list[SaidMessage]:
        """What was said from ``start`` to before ``end``, in order; of each message the first characters."""
        which = "m.said_at >= :start AND m.said_at < :end"
        return _said(self.execute(_MESSAGES.format(which=which), start=start, end=end, chars=chars))

    def messages(self, ids: Sequence[UUID], chars: int) -> list[SaidMessage]:
        """Messages by id, in the order in which they were said."""
        which = "m.id = ANY(CAST(:ids AS uuid[]))"
        return _said(self.execute(_MESSAGES.format(which=which), ids=list(ids), chars=chars))

    def vectors(self, ids: Sequence[UUID], model_id: int) -> dict[UUID, NDArray[np.float32]]:
        """Unit vectors of messages, by id; those without one are left out."""
        return {
            row.row_id: np.frombuffer(bytes(row.vector), ">f2", offset=4).astype(np.float32)
            for row in self.execute(_VECTORS, ids=list(ids), model_id=model_id)
        }

    def all(self) -> list[StoredSummary]:
        """The summaries that hold at present, oldest first."""
        rows = self.execute(
            "SELECT id, version, content, metadata, said_at FROM ltmemory.passages WHERE user_id = :user_id "
            "AND category = 'summary' AND valid_until IS NULL AND metadata ? 'level' ORDER BY said_at, id"
        )
        return [
            StoredSummary(
                row.id, row.version, str(row.metadata["level"]), str(row.metadata.get("period")),
                str(row.metadata.get("mark")), row.content,
                tuple(tuple(map(UUID, ids)) for ids in row.metadata.get("lines", ())), row.said_at,
            )
            for row in rows
        ]  # fmt: skip

    def undone(self, ids: Sequence[UUID]) -> dict[UUID, str]:
        """Of summaries that an undo took away, the mark of what they had been made from."""
        return {row.id: row.mark for row in self.execute(_UNDONE, ids=list(ids))}

    def put(
        self, row_id: UUID, version: int | None, content: str, meta: Json, tags: Sequence[str], said_at: dt.datetime
    ) -> bool:
        """Store a summary, or, from ``version`` on, its new text; false where it is not at that version any more."""
        values: dict[str, Any] = {
            "id": row_id, "content": content, "hash": content_hash(content), "meta": json.dumps(meta),
            "tags": list(tags), "said_at": said_at,
        }  # fmt: skip
        if version is None:
            self.execute(_INSERT, change_set_id=self._unit.change_set_id, **values)
        elif self.execute(_UPDATE, version=version, **values).rowcount != 1:
            return False
        self._unit.words.replace(Kind.PASSAGE, [(row_id, content)])
        self._unit.cold.drop(Kind.PASSAGE, [row_id])
        self._unit.vectors.enqueue(Kind.PASSAGE, [row_id])
        self.execute(
            "DELETE FROM ltmemory.sources WHERE user_id = :user_id AND kind = 'passage' AND row_id = :id", id=row_id
        )
        return True

    def end(self, row_id: UUID, version: int, at: dt.datetime) -> bool:
        """End a summary whose period has nothing to sum up any more."""
        done = self.execute(
            "UPDATE ltmemory.passages SET valid_until = :at WHERE user_id = :user_id AND id = :id "
            "AND version = :version AND valid_until IS NULL",
            id=row_id,
            version=version,
            at=at,
        )
        return done.rowcount == 1


def _said(rows: Any) -> list[SaidMessage]:
    return [SaidMessage(row.id, row.role, row.speaker, row.content, row.said_at) for row in rows]
