"""Since when passages hold, as it was stated or only said, and whether two may speak of the same time."""

from __future__ import annotations

import datetime as dt

from mira_ltmemory.protocols import Json, in_zone
from mira_ltmemory.store.consolidation import PassageFacts

BEGAN = "valid_from_is"
SAID = "said"
"""What metadata note of a passage that holds from when it, or what was merged into it, was said: nobody stated it."""


def stated_start(passage: PassageFacts) -> dt.datetime | None:
    """Since when a passage holds, where somebody stated that."""
    only_said = passage.valid_from == passage.said_at or passage.meta.get(BEGAN) == SAID
    return None if only_said else passage.valid_from


def of_one_validity(one: PassageFacts, other: PassageFacts, zone: dt.tzinfo) -> bool:
    """Whether two current passages may hold for the same time.

    Of two that state since when, it is the same day. One that states nothing was said while the other held.
    """
    first, second = stated_start(one), stated_start(other)
    if first is not None and second is not None:
        return in_zone(first, zone).date() == in_zone(second, zone).date()
    if first is not None:
        return other.said_at >= first
    return second is None or one.said_at >= second


def united_start(winner: PassageFacts, loser: PassageFacts) -> tuple[dt.datetime | None, Json]:
    """Since when the passage that stays holds, where that is news, and what its metadata note of it: the earlier start.

    A start that was stated counts before one that was not. What holds without a beginning goes on to.
    """
    own, others = stated_start(winner), stated_start(loser)
    if own is None and others is not None:
        return others, {BEGAN: "stated"}
    if own is not None:
        return (others, {}) if others is not None and others < own else (None, {})
    begun = loser.valid_from or loser.said_at
    return (begun, {BEGAN: SAID}) if winner.valid_from is not None and begun < winner.valid_from else (None, {})
