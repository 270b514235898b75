"""What is known of each candidate for a query: one number a feature. Pure numpy.

Each feature is comparable between queries and stores, so that one weight fits all; 0 means that nothing is known.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from mira_ltmemory.protocols import Role, in_zone
from mira_ltmemory.services.search import english as en
from mira_ltmemory.services.search.late import Late, rough, token_match
from mira_ltmemory.services.search.query import Query
from mira_ltmemory.store.search import Candidates

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

_SHORT_WORDS = 60.0
_SESSION_HOURS = 6.0
_SESSION_BEST = 3
_NAMES_COUNTED = 2
_OPENING = 4  # messages
_EITHER = 0.7

# Of a long text, so much is looked through for names, times and "I": what stands far below says little of the whole.
_TOLD_CHARS = 800


def features(found: Candidates, query: Query, late: Late | None = None) -> dict[str, Numbers]:
    """Every feature by name, each of shape ``(n,)``; ``cosine`` alone is nan where a row has no vector.

    With ``late`` there are two more, ``tokens`` and ``session_tokens``, unless no row has token vectors.
    """
    number = len(found.rows)
    contents = [row.excerpt for row in found.rows]
    own = bool(query.people) or query.owner
    held = [en.plain_words(text[:_TOLD_CHARS]) for text in contents] if own or query.when else []
    words = bm25_share(found)
    short = _SHORT_WORDS / (_SHORT_WORDS + found.lengths)
    closeness = known(found.cosine)
    asks = np.array(["?" in content for content in contents], dtype=np.float64)
    ends = np.array([content.rstrip().endswith("?") for content in contents], dtype=np.float64)
    session = sessions(found)
    meaning = known(found.cosine if found.centred is None else found.centred)
    matched = token_match(late, found, lambda: rough(held_share(found), meaning)) if late is not None else None
    return {
        **({} if matched is None else {"tokens": matched, "session_tokens": session_level(matched, session) * short}),
        "cosine": found.cosine,
        "bm25": words,
        "meaning": meaning,
        "words": np.log1p(found.lengths),
        "bm25_around": around(found, words * short) * short,
        "reply": at(closeness * short * asks, found.previous) * short,
        "session_cosine": session_level(closeness, session) * short,
        "session_bm25": session_level(words, session) * short,
        "question": ends * short,
        **_voices(found, query),
        "first_person": _holding(held, en.FIRST_PERSON_TOLD) if own else np.zeros(number),
        "date": date_match(found, query),
        "time_told": _holding(held, en.TELLS_TIME) if query.when else np.zeros(number),
        "name_told": _names(contents, query) if query.named else np.zeros(number),
        "happened": _happened(found),
        "opening": opening(found),
        "instruction": _instructions(found, query) * np.maximum(meaning, 0),
    }


def bm25_share(found: Candidates) -> Numbers:
    """BM25 as a share of the weight of the query's words: from 0 to about 2, for short and long queries alike."""
    total = float(found.idf.sum())
    if total <= 0:
        return np.zeros(len(found.rows))
    return np.asarray(found.term_scores().sum(axis=1) / total)


def held_share(found: Candidates) -> Numbers:
    """The share of the weight of the query's words that each row holds, from 0 to 1, however often it holds them."""
    total = float(found.idf.sum())
    if total <= 0:
        return np.zeros(len(found.rows))
    return np.asarray((found.counts > 0) @ found.idf / total)


def known(values: Numbers) -> Numbers:
    """Values with the mean of the known ones in place of nan; 0 where none is known."""
    gaps = np.isnan(values)
    if not gaps.any():
        return values
    return np.where(gaps, 0.0 if gaps.all() else float(values[~gaps].mean()), values)


def at(values: Numbers, index: NDArray[np.int64]) -> Numbers:
    """The values of other rows; 0 for those that are unknown (index -1)."""
    return np.append(values, 0.0)[index]


def around(found: Candidates, values: Numbers) -> Numbers:
    """The values of the previous and the next message together."""
    return at(values, found.previous) + at(values, found.next)


def sessions(found: Candidates) -> NDArray[np.int64]:
    """Number of each row's session: a conversation without a pause of hours. Rows come by conversation and position.

    A passage is a session of its own.
    """
    if not found.rows:
        return np.zeros(0, dtype=np.int64)
    conversations = np.array([row.conversation_id or "" for row in found.rows])
    hours = np.array([row.said_at.timestamp() for row in found.rows]) / 3600
    begins = np.ones(len(found.rows), dtype=bool)
    paused = np.abs(np.diff(hours)) > _SESSION_HOURS
    begins[1:] = (conversations[1:] != conversations[:-1]) | paused | (conversations[1:] == "")
    return np.cumsum(begins) - 1


def opening(found: Candidates) -> Numbers:
    """1 for the message that begins a session, less for the three after it, 0 for others and where that is unknown."""
    place = np.full(len(found.rows), float(_OPENING))
    for index, (row, previous) in enumerate(zip(found.rows, found.previous.tolist(), strict=True)):
        if previous >= 0:
            paused = row.said_at - found.rows[previous].said_at > timedelta(hours=_SESSION_HOURS)
            place[index] = 0 if paused else place[previous] + 1
        elif found.first[index]:
            place[index] = 0
    return np.asarray(np.maximum(0.0, 1 - place / _OPENING))


def session_level(values: Numbers, session: NDArray[np.int64]) -> Numbers:
    """The mean of a session's three best values, less the mean over sessions.

    A session with fewer candidates than three is filled up with the least value of all: one hit by chance says little.
    """
    if not len(values):
        return np.zeros(0)
    order = np.lexsort((-values, session))
    grouped = session[order]
    place = np.arange(len(order)) - np.searchsorted(grouped, grouped)
    best = place < _SESSION_BEST
    least = float(values.min())
    gained = np.bincount(grouped[best], values[order][best] - least)
    level = gained / _SESSION_BEST
    return np.asarray((level - level.mean())[session])


def date_match(found: Candidates, query: Query) -> Numbers:
    """How well the day on which a row was said fits the query's periods; fades with the days between."""
    best = np.zeros(len(found.rows))
    if not query.periods:
        return best
    days = np.array([in_zone(row.said_at, query.zone).toordinal() for row in found.rows], dtype=np.float64)
    for period in query.periods:
        gap = np.maximum(0.0, np.maximum(period.start - days, days - period.end))
        best = np.maximum(best, period.weight * np.exp(-gap / period.fade))
    return best


def _voices(found: Candidates, query: Query) -> dict[str, Numbers]:
    number = len(found.rows)
    none = np.zeros(number)
    subjects = query.subjects
    spoken = np.array([row.speaker in subjects for row in found.rows], dtype=np.float64)
    other = (1 - spoken) if subjects and subjects == query.people else none
    user = assistant = none
    if query.sides:
        if not query.assistant_named:
            # Less where a question does not say whose it is, or asks for what "you" said.
            share = 1.0 if query.owner and not query.assistant else _EITHER
            user = share * np.array([row.role == Role.USER for row in found.rows], dtype=np.float64)
        assistant = np.array([row.role == Role.ASSISTANT for row in found.rows], dtype=np.float64)
    return {
        "speaker": spoken,
        "other_speaker": other,
        "user": user,
        "assistant_summary": assistant * query.summary,
        "assistant_asked": assistant * query.assistant,
    }


def _holding(held: list[frozenset[str]], asked: frozenset[str]) -> Numbers:
    return np.array([not asked.isdisjoint(words) for words in held], dtype=np.float64)


def _names(contents: list[str], query: Query) -> Numbers:
    """How many names that are not the speakers' own each text holds, at most two."""
    found = (
        {match.group()[1:] for match in en.NAME_INSIDE.finditer(text[:_TOLD_CHARS])} - query.known_names
        for text in contents
    )
    return np.array([min(len(names), _NAMES_COUNTED) for names in found], dtype=np.float64)


def _happened(found: Candidates) -> Numbers:
    """Which messages tell when something happened; a passage was not said on the day that it tells of."""
    told = [row.role is not None and en.happened(row.excerpt[:_TOLD_CHARS]) for row in found.rows]
    return np.array(told, dtype=np.float64)


def _instructions(found: Candidates, query: Query) -> Numbers:
    """Which rows are what a user told an assistant to do from then on."""
    return np.array(
        [query.sides and row.role == Role.USER and en.standing(row.excerpt[:_TOLD_CHARS]) for row in found.rows],
        dtype=np.float64,
    )
