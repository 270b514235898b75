"""Private keys in armour, and the word lists that restore a wallet."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from itertools import takewhile
from typing import Final

from mira_ltmemory.services.redaction.findings import PRIVATE_KEY, SEED_PHRASE, Finding

_BEGIN: Final = re.compile(
    r"-----BEGIN ([A-Z0-9 ]{0,40})PRIVATE KEY(?: BLOCK)?-----|---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----"
)
_END: Final = re.compile(
    r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|---- END SSH2 ENCRYPTED PRIVATE KEY ----"
)
_LONGEST_BLOCK: Final = 40_000
# A line break as text has it, or as a JSON or source string writes it, with the indents, quotes and joins around it.
_BREAK: Final = r"(?:\\{1,2}[rn]|[\s>\"'+|,]){0,40}"
_BODY: Final = re.compile(
    rf"(?:{_BREAK}(?:[A-Za-z][A-Za-z-]{{2,30}}: [^\n\\]{{0,200}}(?=\n|\\)|=?[A-Za-z0-9+/]{{16,}}={{0,2}}))*"
    rf"(?:(?:\\{{1,2}}[rn]|\s){{1,8}}(?=[A-Za-z+/]{{0,15}}[0-9+/=])[A-Za-z0-9+/]{{1,15}}={{0,2}}(?=\s|\\|[\"'`.…]|$))?"
)
_MATERIAL: Final = re.compile(r"[A-Za-z0-9+/=]{16,}")
_LEAST_MATERIAL: Final = 24
_PUTTY: Final = re.compile(
    r"Private-Lines:\s{0,4}[0-9]{1,3}((?:\s{1,4}[A-Za-z0-9+/=]{16,})+(?:\s{1,4}[A-Za-z0-9+/]{1,15}={0,2}(?=\s|$))?)"
)
_JWK: Final = re.compile(r"\"d\"\s{0,4}:\s{0,4}\"([A-Za-z0-9_-]{32,2000})\"")

_SEED_WORDS: Final = (
    "phrase",
    "mnemonic",
    "seed",
    "12 words",
    "24 words",
    "twelve words",
    "recovery words",
    "backup words",
    "secret words",
    "fraza",
    "frazę",
    "wiederherstellungs",
    "助记词",
    "助記詞",
    "シードフレーズ",
    "ニーモニック",
)
_SEED_NAME: Final = re.compile(
    r"(?:seed|recovery|mnemonic|backup|wallet|secret)(?:[ _-](?:recovery|seed|wallet|backup))?[ _-]?(?:phrase"
    r"|words?|key)?s?"
    r"|(?:12|24|twelve|twenty-four) (?:[a-z]{4,8} )?words|mnemonic|wiederherstellungs(?:phrase|wörter|satz)|seedphrase"
    r"|fraz[aęyą](?: odzyskiwania| seed)?|phrase (?:de )?(?:récupération|secrète|mnémonique)|frase (?:semilla"
    r"|de recuperación)"
    r"|助记词|助記詞|シードフレーズ|ニーモニック"
)
_NUMBERING: Final = r"(?:\(?[0-9]{1,2}[.):]?[ \t]{0,3})?"
_SEED_RUN: Final = re.compile(
    rf"(?:[^\n]{{0,60}}?(?:[:：=\"'`“(]|\bis\b|\bare\b|\bist\b|\bto\b|是|は|\n)|)[\s\"'`“\[(]{{0,6}}"
    rf"({_NUMBERING}[a-z]{{3,8}}(?:[\s,\"'|-]{{1,4}}{_NUMBERING}[a-z]{{3,8}}(?![A-Za-z])){{11,23}})"
)
# Phrases have 12, 15, 18, 21 or 24 words.
_SEED_LEAST: Final = 12
_SEED_STEP: Final = 3
_SEED_DISTINCT: Final = 8
_SEED_WORD: Final = re.compile(r"[a-z]{3,8}")
# None of these is in the BIP-39 list; a dozen words of ordinary English hardly ever go without all of them.
_NOT_SEED_WORDS: Final = frozenset(
    """
    the and with your from are was not but has had our his her its for were been how who why should would
    could them these those because always anyone than also into does did which their
    """.split()  # noqa: SIM905 - easier to read and to extend than quoted words
)


def find(text: str, lowered: str) -> Iterator[Finding]:
    """Private keys and seed phrases in `text`; `lowered` is the same text in lower case."""
    if "PRIVATE KEY" in text:
        yield from _armoured(text)
    if "Private-Lines" in text:
        for match in _PUTTY.finditer(text):
            yield Finding(*match.span(1), PRIVATE_KEY)
    if '"kty"' in text:
        for match in _JWK.finditer(text):
            yield Finding(*match.span(1), PRIVATE_KEY)
    if [word for word in _SEED_WORDS if word in lowered]:
        yield from _seed_phrases(text, lowered)


def _armoured(text: str) -> Iterator[Finding]:
    begins = list(_BEGIN.finditer(text))
    # Looked up and not searched for anew from each beginning: many beginnings without an end stay linear.
    ends = [match.span() for match in _END.finditer(text)] if begins else []
    starts = [start for start, _ in ends]
    for number, begin in enumerate(begins):
        limit = begins[number + 1].start() if number + 1 < len(begins) else len(text)
        limit = min(limit, begin.end() + _LONGEST_BLOCK)
        at = bisect_left(starts, begin.end())
        if at < len(ends) and starts[at] <= limit:
            start, end = begin.end(), starts[at]
            if _has_material(text, start, end):
                yield Finding(begin.start(), ends[at][1], PRIVATE_KEY)
            continue
        body = _BODY.match(text, begin.end(), limit)
        if body and _has_material(text, begin.end(), body.end()):
            yield Finding(begin.start(), body.end(), PRIVATE_KEY)


def _has_material(text: str, start: int, end: int) -> bool:
    total = 0
    for match in _MATERIAL.finditer(text, start, end):
        if len(set(match[0])) > 3:
            total += len(match[0])
        if total >= _LEAST_MATERIAL:
            return True
    return False


def _seed_phrases(text: str, lowered: str) -> Iterator[Finding]:
    past = 0
    for name in _SEED_NAME.finditer(lowered):
        if name.start() < past:
            continue
        run = _SEED_RUN.match(text, name.end())
        if run is None:
            continue
        words = list(takewhile(lambda word: word[0] not in _NOT_SEED_WORDS, _SEED_WORD.finditer(run[1])))
        count = len(words) - len(words) % _SEED_STEP
        if count >= _SEED_LEAST and len({word[0] for word in words[:count]}) >= _SEED_DISTINCT:
            past = run.start(1) + words[count - 1].end()
            yield Finding(run.start(1), past, SEED_PHRASE)
