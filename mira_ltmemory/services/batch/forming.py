"""Which of the messages that wait belong into one window: a pure function, so that a run resumed forms the same."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from mira_ltmemory.store.batches import BatchRow

MAX_MESSAGES = 24
MAX_CHARS = 12_000
"""What a model reads at once of a window's own messages: some 3,000 tokens."""


def form(rows: Sequence[BatchRow], span: timedelta) -> list[BatchRow]:
    """The first messages of ``rows`` (one conversation, in order, not empty) that are processed together.

    At most ``MAX_MESSAGES``, or fewer after a failure, said within ``span`` of the first, and no more than
    ``MAX_CHARS`` in all; a longer message stands alone.
    """
    first = rows[0]
    limit = first.window_limit or MAX_MESSAGES
    chosen, chars = [first], len(first.content)
    for row in rows[1:]:
        chars += len(row.content)
        if len(chosen) >= limit or row.said_at - first.said_at > span or chars > MAX_CHARS:
            break
        if row.window_limit != first.window_limit:
            break
        chosen.append(row)
    return chosen
