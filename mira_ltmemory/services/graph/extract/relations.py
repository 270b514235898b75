"""Relations that a sentence says in so many words between two names, found without a model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import regex

from mira_ltmemory.services.graph.extract.found import EntityType, Found

_PERSON, _PLACE, _ORGANIZATION = EntityType.PERSON, EntityType.PLACE, EntityType.ORGANIZATION
_SINCE = r"(?: now| currently| still)?"
_KIN = {
    "sister": "sibling_of",
    "brother": "sibling_of",
    "mother": "parent_of",
    "father": "parent_of",
    "mom": "parent_of",
    "dad": "parent_of",
    "daughter": "child_of",
    "son": "child_of",
    "wife": "married_to",
    "husband": "married_to",
    "partner": "partner_of",
    "girlfriend": "partner_of",
    "boyfriend": "partner_of",
    "friend": "friend_of",
    "colleague": "colleague_of",
    "boss": "manages",
    "manager": "manages",
}

# What stands between two names, whole: a word more, such as "not", "never" or "would", and nothing is said.
_BETWEEN: tuple[tuple[EntityType, EntityType, str, regex.Pattern[str]], ...] = tuple(
    (subject, object_, predicate, regex.compile(pattern))
    for subject, object_, predicate, pattern in (
        (_PERSON, _ORGANIZATION, "works_at", rf",? (?:who )?(?:is working|works){_SINCE} (?:at|for)(?: the)? "),
        (_PERSON, _PLACE, "lives_in", rf",? (?:who )?(?:is living|lives){_SINCE} (?:in|at)(?: the)? "),
        (_PERSON, _PLACE, "lives_in", r" (?:just |recently |has )?moved to(?: the)? "),
        (_PERSON, _PLACE, "born_in", r" was born in(?: the)? "),
        (_PERSON, _PERSON, "married_to", r" is(?: now)? married to "),
        (_ORGANIZATION, _PLACE, "located_in", r" is (?:located|based) in(?: the)? "),
        (_PLACE, _PLACE, "located_in", r" is (?:located )?in(?: the)? "),
    )
)
_KIND_OF = r"(?:(?!ex |former |late |would-be |imaginary |fake )\p{Ll}+ )?"
_OF = regex.compile(rf" is (?:the |a )?{_KIND_OF}(?P<kin>{'|'.join(_KIN)}) of ")
_POSSESSIVE = regex.compile(rf"['’]s {_KIND_OF}(?P<kin>{'|'.join(_KIN)}),? ")


# What stands before a name when somebody speaks of themselves.
_OWN_KIN = regex.compile(rf"\b(?P<self>[Mm]y) {_KIND_OF}(?P<kin>{'|'.join(_KIN)}),? \Z")
_OWN: tuple[tuple[EntityType, str, regex.Pattern[str]], ...] = tuple(
    (object_, predicate, regex.compile(rf"\b(?P<self>I){pattern}\Z"))
    for object_, predicate, pattern in (
        (_ORGANIZATION, "works_at", rf"(?: work|['’]m working| am working){_SINCE} (?:at|for)(?: the)? "),
        (_PLACE, "lives_in", rf"(?: live|['’]m living| am living){_SINCE} (?:in|at)(?: the)? "),
        (_PLACE, "lives_in", r" (?:just |recently |have )?moved to(?: the)? "),
        (_PLACE, "born_in", r" was born in(?: the)? "),
        (_PERSON, "married_to", r"(?:['’]m| am)(?: now)? married to "),
    )
)

THE_USER = "the user"
"""The name of whoever speaks in a user's messages without one."""


@dataclass(frozen=True, slots=True)
class Stated:
    """A relation between two finds of a text."""

    subject: Found
    predicate: str
    object: Found
    confidence: float


def stated(text: str, found: Sequence[Found]) -> Iterator[Stated]:
    """Relations between names that stand next to each other, by the words between them. ``found`` is in its order."""
    for one, other in pairwise(found):
        between = text[one.end : other.start]
        for subject, object_, predicate, pattern in _BETWEEN:
            if (one.type, other.type) == (subject, object_) and pattern.fullmatch(between) and not _asked(text, other):
                yield Stated(one, predicate, other, 0.85)
                break
        if one.type is other.type is _PERSON and not _asked(text, other):
            if (match := _OF.fullmatch(between)) is not None:
                yield Stated(one, _KIN[match["kin"]], other, 0.85)
            elif (match := _POSSESSIVE.fullmatch(between)) is not None:
                yield Stated(other, _KIN[match["kin"]], one, 0.8)


def stated_of_oneself(text: str, found: Sequence[Found], speaker: str) -> Iterator[Stated]:
    """Relations of who speaks to the names that they speak of: "my sister Anna", "I work at ..."."""
    for one in found:
        before = text[max(0, one.start - 60) : one.start]
        offset = one.start - len(before)
        if _asked(text, one):
            continue
        if one.type is _PERSON and (match := _OWN_KIN.search(before)) is not None:
            yield Stated(one, _KIN[match["kin"]], _oneself(match, offset, speaker), 0.85)
            continue
        for object_, predicate, pattern in _OWN:
            if one.type is object_ and (match := pattern.search(before)) is not None:
                yield Stated(_oneself(match, offset, speaker), predicate, one, 0.85)
                break


def _oneself(match: regex.Match[str], offset: int, speaker: str) -> Found:
    start, end = match.span("self")
    return Found(_PERSON, offset + start, offset + end, speaker, 0.9)


def _asked(text: str, last: Found) -> bool:
    """Whether the sentence goes on to be a question: what is asked is not said."""
    rest = regex.search(r"[.!?\n]", text, pos=last.end)
    return rest is not None and rest.group() == "?"
