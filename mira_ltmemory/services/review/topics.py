"""Recurring topics: words that come back over weeks and conversations, and are no everyday words.

A word is a subject where it is much commoner than in English at large, or where its messages stand closer together
than chance would put them. Words that mostly stand in the same messages are one topic.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from math import log

from mira_ltmemory.services.review.chance import spread
from mira_ltmemory.services.review.commonness import expected_share, is_filler, rank
from mira_ltmemory.services.review.patterns import Pattern
from mira_ltmemory.services.review.talk import Talk, Term

KIND = "topic"
MIN_WEEKS, MIN_CONVERSATIONS, MIN_MESSAGES = 4, 3, 6
MOST_TOPICS = 12
LATELY = timedelta(weeks=8)
"""A topic that was not touched for so long recurs no longer."""

_MOST_SHARE = 0.25
_COMMON = 1500
_KEY, _KEY_COMMON = 6.0, 10.0
_CLUMPED, _CLUMPED_COMMON = 0.8, 0.6
_SAME = 0.5
_MOST_WORDS = 3


@dataclass(slots=True)
class Topic:
    """Words that go together, the leading one first, and the indexes of their messages."""

    words: list[str]
    messages: list[int]

    @property
    def name(self) -> str:
        """The words, for people."""
        return ", ".join(self.words)


def find_topics(talk: Talk) -> list[Topic]:
    """Topics that recur, the strongest first."""
    if not talk.messages:
        return []
    total = sum(sum(term.spellings.values()) for term in talk.terms.values())
    now = talk.messages[-1].at
    scored = [
        (strength, term)
        for term in talk.terms.values()
        if recurs(talk, term.messages) and now - talk.messages[term.messages[-1]].at <= LATELY
        if len(term.messages) <= max(_MOST_SHARE * len(talk.messages), MIN_MESSAGES)
        if (strength := _strength(talk, term, total)) is not None
    ]
    candidates = [term for _, term in sorted(scored, key=lambda pair: (-round(pair[0], 6), pair[1].word))]
    topics: list[Topic] = []
    for term in candidates:
        near = next((topic for topic in topics if _overlap(topic.messages, term.messages) >= _SAME), None)
        if near is None:
            topics.append(Topic([term.word], list(term.messages)))
        else:
            near.messages = sorted({*near.messages, *term.messages})
            if len(near.words) < _MOST_WORDS:
                near.words.append(term.word)
    return topics[:MOST_TOPICS]


def recurs(talk: Talk, messages: list[int]) -> bool:
    """Whether messages lie in enough weeks and conversations."""
    return (
        len(messages) >= MIN_MESSAGES
        and len(talk.weeks(messages)) >= MIN_WEEKS
        and len(talk.conversations(messages)) >= MIN_CONVERSATIONS
    )


def as_pattern(talk: Talk, topic: Topic) -> Pattern:
    """A topic as a pattern."""
    weeks, first, last = talk.weeks(topic.messages), talk.messages[topic.messages[0]], talk.messages[topic.messages[-1]]
    spanned = (weeks[-1] - weeks[0]).days // 7 + 1
    text = (
        f"Recurring topic: {topic.name}. The user spoke of it in {len(weeks)} of {spanned} weeks, in "
        f"{len(talk.conversations(topic.messages))} conversations, last on {last.day.isoformat()}."
    )
    return Pattern(
        kind=KIND,
        key=topic.words[0],
        text=text,
        terms=tuple(topic.words),
        evidence=[talk.messages[index].id for index in topic.messages],
        since=first.at,
        until=last.at,
    )


def _strength(talk: Talk, term: Term, total: int) -> float | None:
    """How much of a recurring subject a word is; none where it is no subject."""
    word = term.word
    sizes = list(talk.by_conversation.values())
    clumping = len(talk.conversations(term.messages)) / max(spread(len(term.messages), sizes), 1e-9)
    weeks = len(talk.weeks(term.messages))
    if not talk.english:
        return weeks / clumping if clumping <= _CLUMPED else None
    if is_filler(word):
        return None
    keyness = sum(term.spellings.values()) / total / expected_share(word)
    common = rank(word) < _COMMON
    if keyness < (_KEY_COMMON if common else _KEY) or (common and clumping > _CLUMPED_COMMON):
        return None
    return weeks * log(keyness) / max(clumping, 0.3)


def _overlap(a: list[int], b: list[int]) -> float:
    return len(set(a) & set(b)) / min(len(a), len(b))
