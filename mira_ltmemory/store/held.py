"""Rows of the edits of core memory that wait for a person."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mira_ltmemory.store.rows import Rows

KEPT = 100
"""The newest that wait; the oldest falls out where there are more."""

_COLUMNS = "id, operation, label, arguments, tool, before, after, sources, held_at"

_PUT = """
INSERT INTO ltmemory.held_edits (user_id, operation, label, arguments, tool, before, after, sources, held_at)
VALUES (:user_id, :operation, :label, CAST(:arguments AS jsonb), :tool, :before, :after, CAST(:sources AS jsonb), :at)
RETURNING id
"""

_DROP_OLDEST = """
DELETE FROM ltmemory.held_edits WHERE user_id = :user_id AND id IN (
    SELECT id FROM ltmemory.held_edits WHERE user_id = :user_id ORDER BY id DESC OFFSET :kept)
"""


@dataclass(frozen=True, slots=True)
class HeldEdit:
    """An edit that waits. ``before`` and ``after`` are the block's text as it would have changed.

    ``arguments`` are what the operation needs to be carried out later. ``sources`` are the ids of the tool or web
    messages, and of passages made from such, whose text it repeats.
    """

    id: int
    operation: str
    label: str
    arguments: Mapping[str, Any]
    tool: str | None
    before: str
    after: str
    sources: tuple[str, ...]
    held_at: datetime


class HeldRows(Rows):
    """The user's edits that wait."""

    def put(self, edit: HeldEdit) -> int:
        """Let an edit wait, and return the number that it gets."""
        number = self.execute(
            _PUT,
            operation=edit.operation,
            label=edit.label,
            arguments=json.dumps(edit.arguments),
            tool=edit.tool,
            before=edit.before,
            after=edit.after,
            sources=json.dumps(edit.sources),
            at=edit.held_at,
        ).scalar_one()
        self.execute(_DROP_OLDEST, kept=KEPT)
        return int(number)

    def all(self) -> list[HeldEdit]:
        """What waits, oldest first."""
        return [_held(row) for row in self.execute(f"{_SELECT} ORDER BY id")]

    def take(self, number: int) -> HeldEdit | None:
        """Take out an edit; none where it does not wait."""
        taken = f"DELETE FROM ltmemory.held_edits WHERE user_id = :user_id AND id = :id RETURNING {_COLUMNS}"
        row = self.execute(taken, id=number).one_or_none()
        return None if row is None else _held(row)

    def drop(self, numbers: Iterable[int]) -> int:
        """Drop edits; tell how many waited."""
        gone = "DELETE FROM ltmemory.held_edits WHERE user_id = :user_id AND id = ANY(CAST(:ids AS bigint[]))"
        return self.execute(gone, ids=sorted(numbers)).rowcount


_SELECT = f"SELECT {_COLUMNS} FROM ltmemory.held_edits WHERE user_id = :user_id"


def _held(row: Any) -> HeldEdit:
    return HeldEdit(
        row.id, row.operation, row.label, row.arguments, row.tool, row.before, row.after, tuple(row.sources),
        row.held_at,
    )  # fmt: skip
