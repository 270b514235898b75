"""Names of people, places and organisations, by capital letters, lists, and what stands around them.

A capital letter alone makes no name: the first word of a sentence has one anyway, and in German every noun. So a name
is in a list, belongs to somebody who speaks, is known already, or is announced ("my sister ...", "works at ...").
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import regex

from mira_ltmemory.services.graph.extract import lexicon as lex
from mira_ltmemory.services.graph.extract.found import EntityType, Found
from mira_ltmemory.services.graph.keys import fold, key_of

_MAX_RUN = 12
"""No name has more words; a list of names without commas is one run of thousands, looked at from each of its words."""

_TOKEN = regex.compile(
    r"\p{Lu}\.(?:\p{Lu}\.)*|[\p{L}\p{N}][\p{L}\p{M}\p{N}]*(?:[-&'’][\p{L}\p{N}][\p{L}\p{M}\p{N}]*)*\.?"
)
# A heading and what is printed bold give every word a capital letter.
_TITLED = regex.compile(r"^[ \t]*#+ .*$|\*\*[^*\n]+\*\*", regex.MULTILINE)
_WRITTEN_BY = regex.compile(r"[\"”’'*] by \Z")
_GIVEN_NAME = regex.compile(r"\bnam(?:ed|e is) (?:it |him |her |them )?\Z")
_PARTICLES = lex.words("de da di del della van von der den du la le bin ibn al el dos santos zu")
_PLACE_BEFORE = lex.words(
    "in to from near at around across visit visiting visited toward towards through via leaving outside inside "
    "aus nach bei en a à vers"
)
_KIN = lex.words(
    """
    sister brother mother father mom mum dad son daughter wife husband partner girlfriend boyfriend fiancé fiancée
    fiance fiancee cousin uncle aunt nephew niece grandma grandpa grandmother grandfather friend buddy bestie colleague
    coworker co-worker boss manager mentor neighbor neighbour roommate flatmate teacher coach therapist doctor dentist
    schwester bruder mutter vater freund freundin mann frau sohn tochter kollege kollegin chef chefin nachbarin nachbar
    dog cat puppy pup kitten horse parrot rabbit hamster guinea-pig pet hund katze
    """
)
_NAMING = lex.words("named called")
_WORKING = regex.compile(
    r"(?:work(?:s|ed|ing)? (?:at|for)|job (?:at|with)|intern(?:s|ed|ing|ship)? (?:at|with)|employed (?:at|by)"
    r"|stud(?:y|ies|ied|ying) at|hired by|join(?:ed|ing)?) \Z"
)
_TRAVEL = regex.compile(
    r"(?:liv(?:e|es|ed|ing) in|mov(?:e|es|ed|ing) (?:to|from)|trip to|flight to|fl(?:y|ew|ying) to"
    r"|travel(?:s|ed|led|ing|ling)?"
    r" to|vacation in|holiday in|based in|born in|grew up in|arriv(?:e|ed|ing) in|from my hometown,?) \Z"
)


@dataclass(frozen=True, slots=True)
class _Token:
    """A word with a capital letter or not. ``joined``: only one blank parts it from the word before."""

    text: str
    start: int
    end: int
    first: bool
    joined: bool

    @property
    def upper(self) -> bool:
        return self.text[0].isupper()

    @property
    def folded(self) -> str:
        return fold(self.text)

    @property
    def ordinary(self) -> bool:
        """Whether it is a word that belongs to no name."""
        return self.folded in lex.NOT_NAMES or (len(self.text) == 1 and not self.text.isdigit())


class _Reader:
    """One text with what is known of its conversation."""

    def __init__(self, text: str, people: Collection[str], known: Mapping[str, EntityType]) -> None:
        self.text = text
        self.people = {key for name in people if (key := key_of(name)) and is_name(name)}
        self.firsts = {key.split(" ")[0] for key in self.people}
        self.known = {key: type for key, type in known.items() if type in _NAMED_TYPES}
        self.longest = max((key.count(" ") + 1 for key in self.known), default=1)
        self.tokens = list(_tokens(text))
        self.titled = bytearray(len(text))
        for match in _TITLED.finditer(text):
            self.titled[match.start() : match.end()] = b"\1" * len(match.group())
        self.full: set[str] = set()
        lower = [token.text for token in self.tokens if not token.upper]
        self.german = sum(word in lex.GERMAN_WORDS for word in lower) * 5 >= len(lower) > 0

    def found(self) -> Iterator[Found]:
        """Everything that is found; finds may overlap."""
        for index, token in enumerate(self.tokens):
            if not token.upper and not (token.text[0].isdigit()):
                continue
            for find in (self._known, self._organisation, self._place, self._announced, self._person):
                if (made := find(index)) is not None:
                    if made.type is EntityType.PERSON and " " in made.value:
                        self.full.add(key_of(made.value).split(" ")[-1])
                    yield made
                    break

    def _known(self, index: int) -> Found | None:
        """A name that stands for something already, as it was written then, a capital letter included."""
        for size in range(min(self.longest, len(self.tokens) - index), 0, -1):
            run = self.tokens[index : index + size]
            if not run[0].upper or any(not token.joined for token in run[1:]):
                continue
            type = self.known.get(key_of(_trim(self.text[run[0].start : run[-1].end])))
            if type is None or (size == 1 and (run[0].first or self.german) and not self._sure(index)):
                continue
            if type is not EntityType.PERSON and self._goes_on(index + size - 1, lex.PLACE_WORDS):
                continue
            # Who was known by a first name may be named in full now.
            last = index + size - 1 if type is not EntityType.PERSON else max(index + size - 1, self._person_end(index))
            return self._make(type, index, last, 0.92)
        return None

    def _sure(self, index: int) -> bool:
        """Whether a single word at a sentence's start is a name for sure: in a list, and no word as well."""
        word = self._bare(index)
        return word in self.firsts or (word in lex.GIVEN and word not in lex.WORDY_GIVEN)

    def _organisation(self, index: int) -> Found | None:
        for size in range(4, 0, -1):
            if index + size > len(self.tokens):
                continue
            run = self.tokens[index : index + size]
            written = _trim(self.text[run[0].start : run[-1].end])
            listed = written in lex.KNOWN_ORGANISATIONS and all(token.joined for token in run[1:])
            if listed and not self._goes_on(index + size - 1, lex.ORGANISATION_WORDS | lex.COMPANY_WORDS):
                return self._make(EntityType.ORGANIZATION, index, index + size - 1, 0.9)
        last = index if self._is_titled(index) else self._run(index)
        while last > index:
            word = self._bare(last)
            if word in lex.ORGANISATION_WORDS or (
                self.tokens[last].text.lower().rstrip(".") in lex.COMPANY_WORDS and not self._goes_on(last, frozenset())
            ):
                start = index + (self.tokens[index].first and self.tokens[index].ordinary)
                if start < last and not self.tokens[start].ordinary and self.tokens[last].upper:
                    return self._make(EntityType.ORGANIZATION, start, last, 0.86)
            last -= 1
        return self._named_of(index)

    def _named_of(self, index: int) -> Found | None:
        """An organisation such as "University of Porto" or "Bank of America"."""
        if self._bare(index) not in lex.ORGANISATION_WORDS or index + 2 >= len(self.tokens):
            return None
        middle, after = self.tokens[index + 1], self.tokens[index + 2]
        if middle.text in ("of", "de", "für", "for") and middle.joined and after.joined and after.upper:
            return self._make(EntityType.ORGANIZATION, index, self._run(index + 2), 0.92)
        return None

    def _place(self, index: int) -> Found | None:
        token = self.tokens[index]
        for size in range(4, 0, -1):
            if index + size > len(self.tokens):
                continue
            run = self.tokens[index : index + size]
            if any(not each.joined for each in run[1:]):
                continue
            written = _trim(self.text[run[0].start : run[-1].end])
            if written not in lex.PLACES or not token.upper:
                continue
            person = size == 1 and fold(written) in lex.PLACE_NAMES
            if person and self._before(index) not in _PLACE_BEFORE:
                continue
            if self._after_capital(index) or self._goes_on(index + size - 1, frozenset({"city", "state"})):
                continue
            return self._make(EntityType.PLACE, index, index + size - 1, 0.9)
        last = index if self._is_titled(index) else self._run(index)
        if last > index and self._bare(last) in lex.PLACE_WORDS and not self.german:
            start = index + (token.first and token.ordinary)
            if start < last and not self.tokens[start].ordinary and self._bare(start) not in lex.PLACE_WORDS:
                return self._make(EntityType.PLACE, start, last, 0.86)
        if last > index and self._bare(index) in lex.PLACE_HEADS and not token.first:
            return self._make(EntityType.PLACE, index, last, 0.86)
        return None

    def _announced(self, index: int) -> Found | None:
        """A name that the words before announce: somebody's kin or title, where one works, where one goes."""
        token = self.tokens[index]
        if token.first or not token.upper or token.ordinary or self.german or self._bare(index) in _CALENDAR:
            return None
        before = self.text[max(0, token.start - 40) : token.start]
        last = self._run(index)
        if _WORKING.search(before) and self._bare(index) not in lex.GIVEN and not self._lone_acronym(index):
            return self._make(EntityType.ORGANIZATION, index, last, 0.8)
        if _TRAVEL.search(before) and not self._lone_acronym(index):
            return self._make(EntityType.PLACE, index, last, 0.8)
        if (last > index and _WRITTEN_BY.search(before)) or _GIVEN_NAME.search(before):
            return self._make(EntityType.PERSON, index, self._person_end(index), 0.84)
        word = self._before(index)
        if (word in _KIN and not self._before_is_capital(index)) or (word.rstrip(".") in lex.TITLES and token.joined):
            if word in _KIN and self._owner(index - 1) is None:
                return None
            return self._make(EntityType.PERSON, index, self._person_end(index), 0.86)
        return None

    def _person(self, index: int) -> Found | None:
        token = self.tokens[index]
        word = self._bare(index)
        listed = word in lex.GIVEN or word in self.firsts or (word in self.full and not token.first)
        if not listed and word not in lex.WORDY_GIVEN and word not in lex.PLACE_NAMES:
            return None
        last = self._person_end(index)
        spoken = word in self.firsts
        if not spoken:
            if word in lex.PLACE_NAMES and last == index and not self._called(index):
                return None
            if word in lex.WORDY_GIVEN and last == index and (token.first or self.german or not self._called(index)):
                return None
            if word in lex.WORDY_GIVEN and last > index and (token.first or self.german):
                return None
        if (self._after_capital(index) and not spoken) or self._bare(last) in lex.WORK_WORDS:
            return None
        if last > index and last + 1 < len(self.tokens) and not self._closes(last):
            after = self.tokens[last + 1]
            if after.joined and after.folded in lex.WORK_WORDS:
                return None
        if token.text.isupper() and len(token.text) > 1:
            return None
        return self._make(EntityType.PERSON, index, last, 0.95 if spoken else 0.88)

    def _is_titled(self, index: int) -> bool:
        return bool(self.titled[self.tokens[index].start])

    def _called(self, index: int) -> bool:
        """Whether somebody is addressed or introduced by it: between commas, or after "I'm", "named", "with", "and"."""
        token = self.tokens[index]
        before = self.text[: token.start].rstrip()
        after = self.text[token.end : token.end + 1]
        if self._before(index) in {
            *_NAMING,
            "i'm",
            "am",
            "with",
            "dear",
            "hey",
            "hi",
            "hello",
            "thanks",
            "met",
            "told",
        }:
            return True
        return before.endswith(",") and after in (",", "!", "?", ".", "")

    def _owner(self, index: int) -> str | None:
        """The word by which kin is somebody's: "my sister", "his old friend"."""
        for back in (1, 2):
            if index - back >= 0 and self.tokens[index - back].folded in _OWNERS:
                return self.tokens[index - back].folded
        return None

    def _run(self, index: int) -> int:
        """The last word of a run of words with capital letters; short words of names may stand inside.

        Of a run that is longer than any name, the beginning.
        """
        last = index
        position = index + 1
        while position < min(len(self.tokens), index + _MAX_RUN) and self.tokens[position].joined:
            token = self.tokens[position]
            if self._closes(position - 1):
                break
            if token.upper and not token.ordinary:
                last = position
            elif not (token.text in _PARTICLES or token.text in ("of", "&")):
                break
            position += 1
        return last

    def _person_end(self, index: int) -> int:
        last = index
        position = index + 1
        while position < len(self.tokens) and position - index <= 3 and self.tokens[position].joined:
            token = self.tokens[position]
            if self._closes(position - 1):
                break
            initial = bool(regex.fullmatch(r"\p{Lu}\.", token.text))
            if initial:
                position += 1
                continue
            if token.text in _PARTICLES:
                position += 1
                continue
            if not token.upper or token.ordinary or self._bare(position) in _CALENDAR or _acronym(token.text):
                break
            if self.german and self._bare(index) not in lex.GIVEN:
                break
            last = position
            position += 1
        return last

    def _closes(self, index: int) -> bool:
        """Whether a name ends with this word: it is a possessive, or the last of its sentence."""
        token = self.tokens[index]
        return bool(regex.search(r"['’]s\Z", token.text)) or (
            token.text.endswith(".") and len(token.text) > 3 and token.text.lower() not in lex.COMPANY_WORDS
        )

    def _goes_on(self, index: int, allowed: Collection[str]) -> bool:
        """Whether a word with a capital letter follows, so that the name may be part of another one."""
        if index + 1 >= len(self.tokens) or self._closes(index):
            return False
        token = self.tokens[index + 1]
        return token.joined and token.upper and not token.ordinary and self._bare(index + 1) not in allowed

    def _after_capital(self, index: int) -> bool:
        """Whether a word with a capital letter, which is no title and begins no sentence, stands before."""
        if index == 0 or not self.tokens[index].joined or self._closes(index - 1):
            return False
        token = self.tokens[index - 1]
        if token.first or not token.upper or token.ordinary:
            return False
        return self._bare(index - 1).rstrip(".") not in lex.TITLES

    def _before_is_capital(self, index: int) -> bool:
        return index > 0 and self.tokens[index - 1].upper and not self.tokens[index - 1].first

    def _before(self, index: int) -> str:
        if index == 0:
            return ""
        gap = self.text[self.tokens[index - 1].end : self.tokens[index].start]
        return self.tokens[index - 1].text.casefold() if gap == " " else ""

    def _lone_acronym(self, index: int) -> bool:
        return self._run(index) == index and _acronym(self.tokens[index].text)

    def _bare(self, index: int) -> str:
        return fold(_trim(self.tokens[index].text))

    def _make(self, type: EntityType, first: int, last: int, confidence: float) -> Found:
        start = self.tokens[first].start
        written = self.text[start : self.tokens[last].end]
        value = _trim(written)
        return Found(type, start, start + len(value), " ".join(value.split()), confidence)


_NAMED_TYPES = frozenset({EntityType.PERSON, EntityType.PLACE, EntityType.ORGANIZATION})
_OWNERS = lex.words("my our your his her their mein meine meiner meinem unser unsere sein seine ihr ihre")
_CALENDAR = lex.words(
    """
    january february march april may june july august september october november december monday tuesday wednesday
    thursday friday saturday sunday jan feb mar apr jun jul aug sep sept oct nov dec montag dienstag mittwoch donnerstag
    freitag samstag sonntag spring summer autumn fall winter christmas easter halloween thanksgiving
    """
)


def names(text: str, people: Collection[str] = (), known: Mapping[str, EntityType] | None = None) -> Iterator[Found]:
    """Names of people, places and organisations in a text; finds may overlap."""
    return _Reader(text, people, known or {}).found()


def _tokens(text: str) -> Iterator[_Token]:
    end = 0
    for match in _TOKEN.finditer(text):
        gap = text[end : match.start()]
        before = text[:end]
        first = (
            not before.strip()
            or bool(regex.search(r"[.!?:;\n•|>…]|[-–—*#] ", gap))
            or (before.endswith(".") and not regex.search(r"(?:\b\p{Lu}|\b(?:Mr|Mrs|Ms|Dr|Prof|St|Mt))\.\Z", before))
            or bool(regex.search(r"[\"“‘(\[]\Z", gap))
        )
        yield _Token(match.group(), match.start(), match.end(), first, gap == " ")
        end = match.end()


def _trim(written: str) -> str:
    """A name without a possessive ending and the full stop of its sentence."""
    bare = regex.sub(r"['’]s?\Z", "", written) if not written.endswith("McDonald's") else written
    if bare.endswith(".") and not regex.search(r"(?:\b\p{Lu}|\b(?:Inc|Ltd|Corp|Co|Jr|Sr|Dr|St))\.\Z", bare):
        bare = regex.sub(r"['’]s?\Z", "", bare[:-1])
    return bare


def _acronym(word: str) -> bool:
    return len(word) > 1 and word.isupper()


def is_name(name: str) -> bool:
    """Whether what a host calls a speaker is a name: "user" and "assistant" are not."""
    return name[:1].isupper() and fold(name) not in {"user", "assistant", "system", "tool", "human", "ai", "bot"}
