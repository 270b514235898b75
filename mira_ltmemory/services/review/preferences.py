"""Preferences that changed: what the user liked and likes no longer, or the other way round, in the user's own words.

English statements of the first person are read; in another language none is found. Of a thing that the user said
different things of, the first and the last statement are the evidence.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass

from mira_ltmemory.services.review.patterns import Pattern
from mira_ltmemory.services.review.talk import Said, Talk
from mira_ltmemory.store.analysis import STOP_WORDS, bare, term_of, words

KIND = "preference"
_QUOTE_CHARS = 160


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_ADVERBS = r"(?:really|absolutely|totally|just|still|actually|always|so|also|do|truly|simply|kind of|now|quite)\s+"
_LIKES = r"(?:love|like|enjoy|adore|prefer)"
_LIKING = r"(?:loving|liking|enjoying|preferring)"
_DISLIKES = r"(?:hate|dislike|detest|loathe|can(?:'|’)?t stand|cannot stand|can(?:'|’)?t bear|avoid)"
_NOT = r"(?:do not|don(?:'|’)?t|no longer|never|stopped|have stopped|(?:'|’)ve stopped)"
_OBJECT = r"(?P<object>[^.!?;,:\n()\"]{2,60})"

_I = rf"\bI(?:(?:'|’)(?:ve|d))?\s+(?:{_ADVERBS})*"
_STATEMENTS = (
    (False, True, re.compile(rf"{_I}used to\s+(?:{_ADVERBS})?{_LIKES}\s+{_OBJECT}", re.I)),
    (True, True, re.compile(rf"{_I}used to\s+(?:{_ADVERBS})?{_DISLIKES}\s+{_OBJECT}", re.I)),
    (False, False, re.compile(rf"{_I}{_NOT}\s+(?:{_ADVERBS})?(?:{_LIKES}|{_LIKING})\s+{_OBJECT}", re.I)),
    (True, False, re.compile(rf"{_I}{_NOT}\s+(?:{_ADVERBS})?(?:hate|dislike|mind)\s+{_OBJECT}", re.I)),
    (False, False, re.compile(rf"{_I}{_DISLIKES}\s+{_OBJECT}", re.I)),
    (True, False, re.compile(rf"{_I}{_LIKES}\s+{_OBJECT}", re.I)),
)
"""Whether the thing is liked at present, and whether that alone says that it was otherwise. The first wins."""

_TAIL = re.compile(
    r"\b(?:any ?more|any longer|now|these days|nowadays|again|too|though|because|since|but|and|when|if|that|than|over|"
    r"after|before|as much|so much|very much|a lot|at all|as|which|who|while|lately|anyway|more|to be|for)\b.*",
    re.I,
)
_EMPTY = _set(
    "bit day fact feeling her him idea it lot moment much one part same sound that them these thing things this those "
    "time way you"
)
"""Things that say nothing alone."""

_QUESTION_OR_IF = re.compile(r"(?:\bif|\bwhether|\bdid|\bdo|\bwould|\bwhen)\s+$", re.I)


@dataclass(frozen=True, slots=True)
class Statement:
    """That the user likes or dislikes a thing. ``stems`` tell things apart, ``thing`` is how it was called.

    ``changed`` tells that it was otherwise before, as "I used to like" does.
    """

    liked: bool
    changed: bool
    thing: str
    stems: frozenset[int]
    said: Said


def statements_in(message: Said) -> list[Statement]:
    """The statements of liking in a message."""
    found: list[Statement] = []
    covered: list[tuple[int, int]] = []
    for liked, changed, pattern in _STATEMENTS:
        for match in pattern.finditer(message.text):
            inside = any(start < match.end() and match.start() < end for start, end in covered)
            if inside or _QUESTION_OR_IF.search(message.text[: match.start()]) or _asks(message.text, match.end()):
                continue
            thing = _TAIL.sub("", match["object"]).strip()
            named = [word for word in words(thing) if bare(word) not in STOP_WORDS | _EMPTY and len(bare(word)) > 1]
            if 1 <= len(named) <= 4:
                covered.append(match.span())
                found.append(Statement(liked, changed, " ".join(named), frozenset(map(term_of, named)), message))
    return found


def find_changes(talk: Talk) -> list[Pattern]:
    """Things that were said to be liked and disliked on different days, the newest change first."""
    by_thing: dict[frozenset[int], list[Statement]] = defaultdict(list)
    for message in talk.messages:
        for statement in statements_in(message):
            by_thing[statement.stems].append(statement)
    found = []
    for each in by_thing.values():
        last = each[-1]
        before = next((one for one in reversed(each) if one.liked != last.liked and one.said.day < last.said.day), None)
        told = next((one for one in reversed(each) if one.liked == last.liked and one.changed), None)
        if before is not None or told is not None:
            found.append(_pattern(before, told or last, [one for one in each if one.liked == last.liked]))
    return sorted(found, key=lambda pattern: (pattern.until, pattern.key), reverse=True)


def _pattern(before: Statement | None, after: Statement, alike: list[Statement]) -> Pattern:
    verb = "likes" if after.liked else "no longer likes"
    text = f"Preference changed: the user {verb} {after.thing}{' now' if after.liked else ''}."
    if before is not None:
        text += f' Before, {before.said.day.isoformat()}: "{_quote(before.said.text)}"'
        alike = [one for one in alike if one.said.at > before.said.at]
    first = alike[0].said if before is not None else after.said
    text += f' Since {first.day.isoformat()}: "{_quote(first.text)}"'
    evidence = [*([] if before is None else [before.said.id]), *(one.said.id for one in alike)]
    return Pattern(
        kind=KIND,
        key=after.thing,
        text=text,
        terms=(after.thing,),
        evidence=list(dict.fromkeys(evidence)),
        since=first.at,
        until=alike[-1].said.at,
    )


def _quote(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _QUOTE_CHARS else line[: _QUOTE_CHARS - 4].rstrip() + " ..."


def _asks(text: str, at: int) -> bool:
    """Whether the sentence that goes on at ``at`` is a question."""
    end = re.search(r"[.!?\n]", text[at:])
    return end is not None and end.group() == "?"
