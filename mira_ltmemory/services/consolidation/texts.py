"""What can be told of texts without a model: whether one says all of another, and what one claims of somebody."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import regex

from mira_ltmemory.store.analysis import fold

_SENTENCE = re.compile(r"(?<=[.!?。！？])\s+|\n+")
_ENDS = " \t-*•.!?。！？;:,\"'"
_BLANKS = re.compile(r"\s+")

# Words whose meaning hangs on the day they were said on: the same sentence on two days says two things.
_RELATIVE = re.compile(
    r"\b(today|yesterday|tomorrow|tonight|now|currently|just|recently|lately|ago|soon|later|"
    r"(?:this|last|next|past)\s+(?:morning|afternoon|evening|night|week|weekend|month|year|"
    r"monday|tuesday|wednesday|thursday|friday|saturday|sunday)|"
    r"heute|gestern|morgen|jetzt|gerade|neulich|(?:diese|letzte|nächste)[rsn]?\s+\w+)\b",
    re.IGNORECASE,
)

# What somebody has one of at a time. Only these may contradict each other without a model's judgement.
_ONE_AT_A_TIME = (
    r"favou?rite [\w ]{2,30}|birthday|date of birth|(?:full |first |last |middle )?name|nickname|age|height|weight|"
    r"blood type|shoe size|(?:home |work |mobile |phone )+number|phone|e-?mail(?: address)?|(?:home |postal )?address|"
    r"home ?town|native language|employer|job(?: title)?|boss|manager|wife|husband|spouse|partner|mother|father"
)
_CLAIM = regex.compile(
    rf"(?P<owner>(?:[\p{{L}}][\p{{L}} .-]{{0,60}}['’]s?)|my|his|her|their|our|the user['’]s)\s+"
    rf"(?P<what>{_ONE_AT_A_TIME})\s+(?:is|=)\s+(?P<value>[^.;\n]{{1,80}})\.?",
    regex.IGNORECASE,
)
_DENIED = re.compile(
    r"\b(?:not|no longer|never|neither|unknown|either|or|maybe|perhaps|probably)\b|n't\b", re.IGNORECASE
)


def sentences(text: str) -> list[str]:
    """The sentences of a text, as they are."""
    return [part.strip() for part in _SENTENCE.split(text) if part.strip()]


def normalised(sentence: str) -> str:
    """A sentence without what makes no difference to what it says: case, width, blanks, its end."""
    return _BLANKS.sub(" ", fold(sentence)).strip(_ENDS)


def hangs_on_its_day(text: str) -> bool:
    """Whether a text names a time by the day it was said on, such as "yesterday"."""
    return _RELATIVE.search(text) is not None


@dataclass(frozen=True, slots=True)
class Claim:
    """One value of something that there is one of at a time: ``about`` says of whom and what, folded."""

    about: str
    value: str


def claim_of(text: str) -> Claim | None:
    """The claim that a plain sentence makes, such as "Ruth's birthday is 4 May"; none where it makes none."""
    match = _CLAIM.fullmatch(text.strip())
    if match is None or _DENIED.search(match["value"]):
        return None
    return Claim(normalised(f"{match['owner']} {match['what']}"), normalised(match["value"]))


class Reading:
    """One text as the rules see it; what they ask of it is worked out once, when it is first asked."""

    def __init__(self, text: str) -> None:
        self._text = text

    @cached_property
    def sentences(self) -> frozenset[str]:
        """Its sentences, normalised."""
        return frozenset(flat for each in sentences(self._text) if (flat := normalised(each)))

    @cached_property
    def claim(self) -> Claim | None:
        """The claim that it makes."""
        return claim_of(self._text)

    @cached_property
    def hangs_on_its_day(self) -> bool:
        """Whether it names a time by the day it was said on."""
        return hangs_on_its_day(self._text)

    def says_all_of(self, other: Reading) -> bool:
        """Whether every sentence of ``other`` stands in this text as a whole sentence.

        Part of a sentence is not enough: "I like tea" stands in "nobody believes that I like tea" too.
        """
        return bool(other.sentences) and other.sentences <= self.sentences

    def contradicts(self, other: Reading) -> bool:
        """Whether both give the same thing two values, neither of which says more of the other."""
        first, second = self.claim, other.claim
        if first is None or second is None or first.about != second.about:
            return False
        return first.value not in second.value and second.value not in first.value
