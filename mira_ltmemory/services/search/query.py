"""Reads a query: whom it is about, what kind of answer it wants, which days it names. Pure: no store, no model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from itertools import pairwise

from mira_ltmemory.protocols import Kind, Role
from mira_ltmemory.services.search import english as en
from mira_ltmemory.services.search.periods import Period, periods_in
from mira_ltmemory.store.analysis import STOP_WORDS, bare, fold, query_terms, term_of, words

_NAMED = re.compile(r"\w+(?:['’](?!s\b)\w+)*")
_MIN_SHORT, _MIN_NICKNAME = 3, 4


@dataclass(frozen=True, slots=True)
class Voices:
    """Who speaks in a store: each pair of role and speaker, and the years of its messages.

    ``called`` is the user's name, which messages need not bear.
    """

    pairs: frozenset[tuple[str, str | None]] = frozenset()
    years: tuple[int, ...] = ()
    called: str | None = None

    @property
    def people(self) -> list[str]:
        """Speakers that have a name, in order."""
        return sorted({speaker for _, speaker in self.pairs if speaker and _is_name(speaker)})

    @property
    def owner(self) -> str | None:
        """The name of the user, where one person alone speaks as such."""
        named = {speaker for role, speaker in self.pairs if role == Role.USER and speaker and _is_name(speaker)}
        return named.pop() if len(named) == 1 else None

    @property
    def nameless(self) -> str | None:
        """What the user is called, where a user without a name talks with an assistant."""
        bearing = any(role == Role.USER and name and _is_name(name) for role, name in self.pairs)
        return self.called if self.called and _is_name(self.called) and self.sides and not bearing else None

    @property
    def sides(self) -> bool:
        """Whether a user talks with an assistant, and not a person with a person."""
        return all(role != Role.ASSISTANT or not (name and _is_name(name)) for role, name in self.pairs)


@dataclass(frozen=True, slots=True)
class Query:
    """What a query was found to ask. ``rewritten`` is what is embedded: evidence is said in the first person.

    ``people`` are speakers of the store, in order; the first is whom it is about, or all where it joins them
    (``together``). ``owner``: it is about the user himself. ``assistant``: about what the assistant said;
    ``assistant_named``: and it says so, not "you".
    ``when`` and ``named``: it wants a time, or a name. ``names`` are words of it, folded, that are written as names.
    """

    rewritten: str = ""
    terms: dict[str, int] = field(default_factory=dict)
    people: tuple[str, ...] = ()
    together: bool = False
    owner: bool = False
    assistant: bool = False
    assistant_named: bool = False
    summary: bool = False
    when: bool = False
    named: bool = False
    sides: bool = False
    periods: tuple[Period, ...] = ()
    known_names: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    zone: tzinfo = UTC

    @property
    def subjects(self) -> tuple[str, ...]:
        """The speakers whom it is about."""
        return self.people if self.together else self.people[:1]


def analyse(text: str, voices: Voices, now: datetime, zone: tzinfo = UTC, kind: Kind = Kind.MESSAGE) -> Query:
    """Read a query for the messages of these speakers, or for passages. Any text will do.

    Passages have no speaker and tell of people by their names, so for them nothing is rewritten.
    """
    periods = periods_in(text, voices.years, now.astimezone(zone).date())
    when, named = bool(en.ASKS_WHEN.match(text)), bool(en.ASKS_NAME.search(text))
    if kind is not Kind.MESSAGE:
        terms = telling(text, ())
        return Query(
            rewritten=text, terms=terms, when=when, named=named, periods=periods, names=names_in(text, terms), zone=zone
        )
    found = people_in(text, voices.people)
    core = en.POLITE.sub("", text)
    own = people_in(text, [voices.nameless]) if voices.nameless and not found else []
    user = bool(own or en.THE_USER.search(text))
    owner = not found and (user or bool(en.FIRST_PERSON.search(core)))
    people = tuple(dict.fromkeys(speaker for speaker, _ in found))
    if owner and not voices.sides and voices.owner:
        people = (voices.owner,)
    ignored = [written for _, written in found] + [part for person in people for part in person.split()]
    ignored += [written for _, written in own]
    if user:
        ignored.append("user")
    assistant_named = bool(en.THE_ASSISTANT.search(text))
    if assistant_named:
        ignored.append("assistant")
    terms = telling(text, ignored)
    return Query(
        rewritten=rewritten(text, found or own),
        terms=terms,
        names=names_in(text, terms),
        people=people,
        together=joined(text, found),
        owner=owner,
        assistant=not people and not user and (assistant_named or bool(en.ASKS_ASSISTANT.search(core))),
        assistant_named=assistant_named and not people and not user,
        summary=bool(en.ASKS_SUMMARY.search(text)),
        when=when,
        named=named,
        sides=voices.sides,
        periods=periods,
        known_names=frozenset(" ".join([*voices.people, voices.called or "", "I"]).split()),
        zone=zone,
    )


def telling(text: str, ignored: Iterable[str]) -> dict[str, int]:
    """The query's words and terms without names and words about conversations, where others remain."""
    asked = query_terms(text)
    without = {term_of(word) for name in ignored for word in words(name)}
    left = {word: term for word, term in asked.items() if term not in without} or asked
    return {word: term for word, term in left.items() if bare(word) not in en.META_WORDS} or left


def names_in(text: str, terms: Iterable[str]) -> frozenset[str]:
    """The words among ``terms`` that the text writes as names, wherever they are not the first word of it."""
    written = {bare(fold(match.group())) for match in en.WRITTEN_AS_NAME.finditer(text)}
    written -= {*en.MONTHS, *en.WEEKDAYS}
    return frozenset(word for word in terms if bare(word) in written)


def people_in(text: str, speakers: Sequence[str]) -> list[tuple[str, str]]:
    """Speakers whom a text names, in order, each as it is written: whole names, parts, short forms and nicknames.

    What fits several speakers by a short form names nobody.
    """
    parts = _by_part(speakers)
    found: list[tuple[str, str]] = []
    end = -1
    for number, match in enumerate(_NAMED.finditer(text)):
        written = match.group()
        speaker = parts.get(written.casefold())
        if speaker is None:
            meant = number > 0 or written.casefold() not in en.NAMES_THAT_ARE_WORDS
            speaker = _nicknamed(written, speakers) if meant else None
        elif not _is_meant(written, first=number == 0):
            continue
        if speaker is None:
            continue
        if found and found[-1][0] == speaker and text[end : match.start()] == " ":
            found[-1] = speaker, f"{found[-1][1]} {written}"  # first name and surname are one
        else:
            found.append((speaker, written))
        end = match.end()
    # Names in scripts that do not part words.
    spelled = {speaker for speaker, _ in found}
    found += [
        (name, name) for name in speakers
        if name not in spelled and len(name) > 1 and not name.isascii() and name in text
    ]  # fmt: skip
    return found


def joined(text: str, found: Sequence[tuple[str, str]]) -> bool:
    """Whether a text speaks of several people as one: "Ann and Ben", not "Ann ... for Ben"."""
    for (first, written), (second, next_written) in pairwise(found):
        names = rf"\b{re.escape(written)}(?:['’]s?)?{en.JOINING}{re.escape(next_written)}(?!\w)"
        if first != second and re.search(names, text):
            return True
    return False


def rewritten(text: str, found: Sequence[tuple[str, str]]) -> str:
    """The query as the person whom it is about would say it: evidence is said in the first person.

    The other people become "you", as that person would call them; so does the assistant.
    """
    result = en.THE_USER.sub("I", en.THE_USERS.sub("my", text))
    result = en.THE_ASSISTANT.sub("you", en.THE_ASSISTANTS.sub("your", result))
    if not found:
        return result
    forms = {written: ("my", "I") if speaker == found[0][0] else ("your", "you") for speaker, written in found}
    longest = "|".join(re.escape(written) for written in sorted(forms, key=lambda written: (-len(written), written)))
    result = re.sub(rf"\b({longest})(['’]s?(?=\W|$))?(?!\w)", lambda m: forms[m[1]][0 if m[2] else 1], result)
    if not en.FIRST_PERSON.search(en.POLITE.sub("", text)):
        for pattern, own in en.PRONOUNS:
            result = pattern.sub(own, result)
    return result


def _is_name(speaker: str) -> bool:
    return speaker.strip().casefold() not in en.ROLE_WORDS


def _by_part(speakers: Sequence[str]) -> dict[str, str]:
    """Who is meant by each part of a name: the first speaker, those whose name begins with it before others."""
    found: dict[str, str] = {}
    names = [(speaker, _NAMED.findall(speaker)) for speaker in speakers]
    for place in (slice(0, 1), slice(1, None)):
        for speaker, parts in names:
            for part in parts[place]:
                if part.casefold() not in STOP_WORDS - en.NAMES_THAT_ARE_WORDS:
                    found.setdefault(part.casefold(), speaker)
    return found


def _is_meant(written: str, *, first: bool) -> bool:
    """Whether a word that is part of a speaker's name stands for the speaker."""
    word = written.casefold()
    if word in en.NAMES_THAT_ARE_WORDS:
        return written[0].isupper() and not first
    return written[0].isupper() or not written[0].islower() or len(word) >= _MIN_NICKNAME


def _nicknamed(written: str, speakers: Sequence[str]) -> str | None:
    word = written.casefold()
    if len(word) < _MIN_SHORT or not written[0].isupper() or word in STOP_WORDS or word in en.META_WORDS:
        return None
    if word in en.MONTHS or word in en.WEEKDAYS:
        return None
    fitting = {
        speaker
        for speaker in speakers
        if (parts := _NAMED.findall(speaker)) and (_short(word, parts[0]) or _one_name(word, parts[0].casefold()))
    }
    return fitting.pop() if len(fitting) == 1 else None


def _one_name(word: str, name: str) -> bool:
    """Whether two names, folded, are known to be forms of one: Bob and Robert."""
    return not en.LONG_FORMS.get(word, frozenset()).isdisjoint(en.LONG_FORMS.get(name, ()))


def _short(word: str, name: str) -> bool:
    """Whether one of the two is a short form of the other: its beginning, or that and a diminutive ending."""
    short, long = sorted((word, name.casefold()), key=len)
    if long.startswith(short):
        return len(short) >= _MIN_SHORT
    if len(short) < _MIN_NICKNAME or len(long) < len(short) + 2:
        return False
    return any(
        short.endswith(ending) and len(stem := short.removesuffix(ending)) >= _MIN_NICKNAME and long.startswith(stem)
        for ending in en.DIMINUTIVES
        if ending
    )
