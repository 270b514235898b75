"""Names and numbers of a fact that nobody said: those of a tool or a web page, and long numbers from nowhere.

A name counts as a page's only where it stands with a capital letter within a sentence of both, so that the first words
of sentences, and all nouns of German, are let through. Numbers that may be years, days or clock times follow from when
something was said, and short ones may have been said in words.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from itertools import takewhile

import regex

_NAME = regex.compile(r"(?<=[\p{L}\p{M}\p{N},;:’'\"”)»]\s)\p{Lu}[\p{L}\p{M}]{2,}")
_WORD = regex.compile(r"[\p{L}\p{M}]{2,}")
_NUMBER = regex.compile(r"(?<!\d)\d{1,3}(?:[.,'’]\d{3})+(?!\d)|\d+")
_NOT_DIGIT = regex.compile(r"\D")
_PAGE_DIGITS, _LONG_DIGITS = 3, 4
_YEARS = range(1800, 2201)
_SCRIPTS = tuple(regex.compile(rf"\p{{{name}}}") for name in ("Latin", "Cyrillic", "Greek", "Armenian"))
_GERMAN = regex.compile(r"\b(?:der|das|und|ist|eine?[nmr]?|dem|den|im|mit|sich|nicht|von|zu[mr]|seit)\b")
_NO_NAME = regex.compile(
    r"users?|assistant|utilisateur|usuario|utilizador|utente|gebruiker|anvandaren|пользователь|january|february|march"
    r"|april|may|june|july|august|september|october|november|december|(?:mon|tues|wednes|thurs|fri|satur|sun)day"
)


def unsaid(text: str, said: Sequence[str], pages: Sequence[str]) -> list[str]:
    """What of a fact's text stands in none of the texts that were said; ``pages`` are texts of tools and the web."""
    return [*_numbers(text, said, pages), *(_names(text, said, pages) if pages else ())]


def _numbers(text: str, said: Sequence[str], pages: Sequence[str]) -> Iterable[str]:
    told = [_digits(each) for each in said]
    read = [_digits(each) for each in pages]
    for match in _NUMBER.finditer(unicodedata.normalize("NFKC", text)):
        number = _digits(match.group())
        size = len(number.strip("0"))
        if size < _PAGE_DIGITS or (len(number) == 4 and int(number) in _YEARS):
            continue
        if any(number.strip("0") in each for each in told):
            continue
        if size >= _LONG_DIGITS or any(number in each for each in read):
            yield match.group()


def _names(text: str, said: Sequence[str], pages: Sequence[str]) -> Iterable[str]:
    if len(_GERMAN.findall(text)) > 1:
        return
    spoken = {_plain(word) for each in said for word in _WORD.findall(each)}
    read = {_plain(word) for each in pages for word in _NAME.findall(each)}
    lower = {word for each in pages for word in _WORD.findall(each) if word.islower()}
    scripts = [script for script in _SCRIPTS if any(script.search(each) for each in said)]
    for name in dict.fromkeys(_NAME.findall(text)):
        plain = _plain(name)
        if _NO_NAME.fullmatch(plain) or plain not in read or name.casefold() in lower:
            continue
        if any(script.match(name) for script in scripts) and not any(_alike(plain, word) for word in spoken):
            yield name


def _alike(name: str, word: str) -> bool:
    """Whether two words begin so alike that one may be a form of the other."""
    alike = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(name, word, strict=False)))
    return alike >= max(3, 0.6 * min(len(name), len(word)))


def _plain(word: str) -> str:
    """A word without case and accents."""
    return "".join(
        letter for letter in unicodedata.normalize("NFKD", word.casefold()) if not unicodedata.combining(letter)
    )


def _digits(text: str) -> str:
    """The digits of a text, of whatever script, one after the other."""
    return "".join(str(unicodedata.digit(each, "")) for each in _NOT_DIGIT.sub("", unicodedata.normalize("NFKC", text)))
