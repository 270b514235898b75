"""Passwords said in a sentence, in any of several languages."""

from __future__ import annotations

import re
from typing import Final

from mira_ltmemory.services.redaction.values import is_code, is_expression, is_placeholder, is_template, is_type_name
from mira_ltmemory.services.redaction.words import ORDINARY

_FOR: Final = (
    r"(?:\s{1,2}\([^()\n]{1,40}\))?(?:\s{1,2}(?:you|we|i|that|which|for|to|of|on|at|in|from|für|zu[mr]?|vo[nm]"
    r"|der|des|do|od|na|dla|w|de|del|du|d'|pour|para|per|della|van|voor|от|для)"
    r"(?:\s[^\s.,;:!?=：]{1,30}){1,6}?)?"
)
_BE: Final = (
    r"(?:\s{0,3}(?:=|:|：|＝|->|→)|\s{1,3}(?:is|was|are|'s|would be|will be|should be|must be|lautet|ist|heißt|war"
    r"|jest|brzmi|est|es|era|è|é"
    r"|je|is nu|stays|remains)(?![a-z])|'s(?![a-z])|’s(?![a-z])|は|が|是|为|為|：|은|는|이|가)"
)
_NOW: Final = (
    r"(?:\s{1,2}(?:now|still|just|currently|set to|changed to|jetzt|nun|immer noch|teraz|nadal"
    r"|maintenant|toujours|ahora|sempre|always)){0,2}"
)
_SAID: Final = re.compile(rf"{_FOR}{_BE}{_NOW}[:：]?\s{{0,3}}")
_CJK_SAID: Final = re.compile(r"[^\n。！？!?.,，、]{0,12}?(?:是|为|為|は|が|：|:|은|는|이|가)\s{0,2}|(?=[0-9A-Za-z])")
_ANSWERED: Final = re.compile(r"\?\s{1,3}(?:it's|it’s|it is|es ist|c'est|es)\s{1,2}")
_MADE_INTO: Final = re.compile(
    r"[^\n.!?]{0,30}?\sauf\s(?P<de>[!-~\u00a1-\u024f]{4,64})\s(?:geändert|gesetzt)|を(?P<ja>[!-~]{4,64})に(?:変更|変え|設定|し)"
    r"|(?:改成|改为|設為|设为|换成|設成|设成)了?(?P<zh>[!-~]{4,64})"
)
_POLISH_TO: Final = re.compile(rf"{_FOR}\s{{1,2}}to:?\s{{1,2}}")
_CHANGED_TO: Final = re.compile(rf"{_FOR}\s{{1,2}}(?:to|auf|na|à|a|en|in)\s{{1,2}}")
_CHANGES: Final = re.compile(
    r"(?:chang|set|reset|updat|switch|geändert|ändere|zmieni|changé|cambi|mudei)[^\n.!?]{0,40}$"
)
_ASIDE: Final = re.compile(r"\s{0,2}[,–-]\s{1,2}|\s{1,2}(?:as|als|jako)\s{1,2}")
_DIGIT: Final = re.compile("[0-9]")
_SENTENCE: Final = 60
_REACH: Final = 130
_BARE: Final = re.compile(r"\s{1,2}")
_USED: Final = re.compile(
    r"(?:with|use|using|and|user|username|login|log in|type|enter|try|the|mit|hasłem|avec|con|:|,|/"
    r"|\()[^\n.!?]{0,16}$|(?:^|\n)[^\n.!?]{0,16}$"
)
_REVERSED: Final = re.compile(
    r"(?:^|[\s\"'`“„「（(,;:：])([^\s\"'`“”„「」（）(),;:：]{4,64})[\"'`”“」]?\s{1,2}\(?(?:is|was|as|that's|which is"
    r"|ist|als|war|to|jako|est|es|è)\s{1,2}(?:still\s|now\s)?"
    r"(?:my|our|the|her|his|mein|meine|das|unser|moje|nasze|mon|mi|la|le|il)\s(?:[^\s.,;:!?]{1,20}\s){0,3}$"
)
_QUOTED: Final = re.compile(
    r"\"([^\"\n]{1,100})\"|'([^'\n]{1,100})'(?![a-z])|`([^`\n]{1,100})`|[“„«]([^”“»\n]{1,100})[”“»]"
    r"|[‘‚]([^’‘\n]{1,100})[’‘]|「([^」\n]{1,100})」"
    r"|『([^』\n]{1,100})』|\*\*([^*\n]{1,100})\*\*"
)
_VALUE: Final = re.compile(r"[!-~\u00a1-\u024f\u0370-\u052f]{1,128}")
_TRAILING: Final = ".,;:?)]}\"'*`"
_FINAL: Final = re.compile(
    r"[\"'”*`]{0,2}(?:[.,;!]?\s*(?:$|\n)|[.,;!)](?=\s)|\s+(?:and|but|so|please|btw|thanks|thx|since|if|und|aber"
    r"|i|et|mais|y|pero)(?![a-z]))"
)
_UNIT: Final = re.compile(
    r"\s?(?:\+\s?)?(?:-\s?)?(?:characters?|chars?|digits?|letters?|words?|symbols?|times|days?|weeks?|months?"
    r"|years?|hours?|minutes?|people|users|zeichen|znak|caract|位|文字|桁|자)"
)
_ENDINGS: Final = (
    "ed",
    "ing",
    "ly",
    "able",
    "ible",
    "less",
    "ful",
    "ous",
    "ive",
    "tion",
    "ment",
    "lich",
    "ig",
    "iert",
    "ness",
)
_SYMBOLS: Final = frozenset("!@#$%^&*+=~|\\<>?;")
_HYPHENS: Final = re.compile(r"[-/_'’.]")


def is_ordinary_word(value: str) -> bool:
    """Whether the value is a word that describes a password more often than it is one."""
    low = value.lower()
    return low in ORDINARY or low.endswith(_ENDINGS)


def is_spoken_password(text: str, lowered: str, start: int, end: int) -> tuple[int, int] | None:
    """Span of the password that a sentence gives around its name at `start` up to `end`."""
    cjk = start < end and lowered[end - 1] > "\u2e7f"
    if into := _MADE_INTO.match(text, end):
        name = into.lastgroup or 0
        return into.span(name) if _is_strong(into[name]) else None
    if cjk:
        said = _CJK_SAID.match(lowered, end)
        return _taken(text, said.end(), weak=False) if said else None
    said = _SAID.match(lowered, end)
    if lowered[start:end] == "pass":
        return _taken(text, said.end(), weak=False, bare=True) if said else None
    said = said or _ANSWERED.match(lowered, end)
    if said and (taken := _taken(text, said.end(), weak=lowered[start:end] != "clave")):
        return taken
    if (said := _ASIDE.match(lowered, end)) and (taken := _taken(text, said.end(), weak=False, bare=True)):
        return taken
    if (
        lowered.startswith("has", start)
        and (said := _POLISH_TO.match(lowered, end))
        and (taken := _taken(text, said.end(), weak=True))
    ):
        return taken
    # The value is judged before the words around the name are: most values are none.
    sentence = lowered[max(0, start - _SENTENCE) : start]
    said = _CHANGED_TO.match(lowered, end)
    if said and (taken := _taken(text, said.end(), weak=False)) and _CHANGES.search(sentence):
        return taken
    said = _BARE.match(lowered, end)
    if said and (taken := _taken(text, said.end(), weak=False, bare=True)) and _USED.search(sentence):
        return taken
    if not _DIGIT.search(text, max(0, start - _REACH), start):
        return None
    reverse = _REVERSED.search(text, max(0, start - _REACH), start)
    if reverse and _is_strong(reverse[1]) and not is_placeholder(reverse[1]):
        return reverse.span(1)
    return None


def _taken(text: str, at: int, *, weak: bool, bare: bool = False) -> tuple[int, int] | None:
    quoted = _QUOTED.match(text, at)
    if quoted and quoted.lastindex:
        value = quoted[quoted.lastindex]
        return quoted.span(quoted.lastindex) if _is_quoted_password(value, bare=bare) else None
    plain = _VALUE.match(text, at)
    if plain is None:
        return None
    value = plain[0].rstrip(_TRAILING)
    end = at + len(value)
    if (
        len(value) < 4
        or is_template(value)
        or is_type_name(value)
        or value.startswith(("<", "$", "{", "[", "(", "http", "/"))
    ):
        return None
    if "your" in value.lower() or is_code(value) or is_expression(value) or _UNIT.match(text, end):
        return None
    if _is_strong(value):
        mixed = any(char.isdigit() for char in value) and any(char.isalpha() for char in value)
        return (at, end) if not bare or (mixed and len(value) >= 6) else None
    if weak and not bare and _is_weak(value.rstrip("!")) and _FINAL.match(text, end):
        return at, end
    return None


def _is_quoted_password(value: str, *, bare: bool) -> bool:
    words = value.split()
    if not words or len(value) < 3 or is_template(value) or is_expression(value):
        return False
    if len(words) == 1:
        return _is_strong(value) or (not bare and _is_weak(value))
    if any(word.lower() in ORDINARY or _UNIT.fullmatch(word.lower()) for word in words):
        return False
    if len(words) >= 3 and all(len(word) >= 3 for word in words):
        return True
    # Words with a number among them, as in 'blue moon 42'.
    return not bare and any(_DIGIT.search(word) for word in words) and any(_is_name(word) for word in words)


def _is_name(word: str) -> bool:
    return len(word) >= 3 and word.isalpha()


def _is_strong(value: str) -> bool:
    """Whether a word is one that a sentence would hardly have but as a password."""
    core = value.rstrip("!")
    if len(core) < 3:
        return False
    parts = _HYPHENS.split(core)
    if core.isdigit():
        return True
    if any(char.isdigit() for char in core):
        return any(char.isalpha() for char in core) and not is_type_name(core) and not _is_measure(core)
    if any(char in _SYMBOLS for char in core):
        return any(char.isalpha() for char in core)
    return (
        len(parts) >= 4 and "_" not in core and all(len(part) >= 3 and part.lower() not in ORDINARY for part in parts)
    )


_MEASURE: Final = re.compile(
    r"[0-9]+(?:st|nd|rd|th|k|mb|gb|px|ms|s|h|am|pm|x|-?(?:digit|character|char|day|year|letter|stellig)s?)"
    r"|[a-z]?[0-9]{1,2}|(?:[0-9]+[-:/.])+[0-9]+|v[0-9.]+",
    re.IGNORECASE,
)


def _is_measure(value: str) -> bool:
    return bool(_MEASURE.fullmatch(value))


def _is_weak(value: str) -> bool:
    return len(value) >= 5 and value.isalpha() and not is_ordinary_word(value) and not is_placeholder(value)
