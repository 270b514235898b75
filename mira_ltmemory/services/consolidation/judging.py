"""What a model says of two near passages: an answer of a given form, with evidence that must stand in them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from mira_ltmemory.errors import LLMBadAnswer
from mira_ltmemory.protocols import LLM, in_zone
from mira_ltmemory.services.asking import ask
from mira_ltmemory.services.consolidation.texts import normalised
from mira_ltmemory.services.consolidation.validity import stated_start
from mira_ltmemory.store.consolidation import PassageFacts
from mira_ltmemory.templates import render

AT_ONCE = 8
"""Pairs of one question."""

_SHOWN_CHARS = 1_200
_CUT = " [... cut here]"

Relation = Literal["same", "first_says_all", "second_says_all", "conflict", "different"]


class Verdict(BaseModel):
    """What one pair is."""

    model_config = ConfigDict(extra="forbid")

    pair: int = Field(description="The number of the pair.")
    relation: Relation
    first_quote: str = Field(max_length=400, description="Words of the first memory that show it, exactly as written.")
    second_quote: str = Field(max_length=400, description="Words of the second memory that show it.")
    reason: str = Field(max_length=300, description="Why, in one sentence.")


class Verdicts(BaseModel):
    """What each pair is."""

    model_config = ConfigDict(extra="forbid")

    pairs: list[Verdict] = Field(max_length=AT_ONCE)


def judge(
    llm: LLM, pairs: Sequence[tuple[PassageFacts, PassageFacts]], zone: dt.tzinfo
) -> Iterator[tuple[PassageFacts, PassageFacts, Verdict]]:
    """Ask about pairs, several at a time; a verdict whose quotes do not stand in the texts counts for nothing.

    An answer that cannot be read twice leaves its pairs as they are. Raises ``LLMError`` and ``BudgetSpent``.
    """
    for start in range(0, len(pairs), AT_ONCE):
        some = pairs[start : start + AT_ONCE]
        shown = [
            {"number": number, "first": _shown(one, zone), "second": _shown(other, zone)}
            for number, (one, other) in enumerate(some, 1)
        ]
        try:
            answer = ask(
                llm,
                system=render("consolidation_judge"),
                prompt=render("consolidation_pairs", pairs=shown),
                answer=Verdicts,
            )
        except LLMBadAnswer:
            continue
        for verdict in answer.pairs:
            if 1 <= verdict.pair <= len(some):
                one, other = some[verdict.pair - 1]
                if _stands_in(verdict.first_quote, one.content) and _stands_in(verdict.second_quote, other.content):
                    yield one, other, verdict


def _stands_in(quote: str, text: str) -> bool:
    flat = normalised(quote)
    return bool(flat) and flat in normalised(text)


def _shown(passage: PassageFacts, zone: dt.tzinfo) -> str:
    day = in_zone(passage.said_at, zone).date().isoformat()
    since = stated_start(passage)
    told = f"({day})" if since is None else f"({day}, holds since {in_zone(since, zone).date().isoformat()})"
    return f"{told} {passage.content[:_SHOWN_CHARS]}{_CUT if is_cut(passage) else ''}"


def is_cut(passage: PassageFacts) -> bool:
    """Whether a model is shown only the beginning: it cannot know what else the passage says."""
    return len(passage.content) > _SHOWN_CHARS
