"""Judging a value that stands where a secret could stand."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Final

_PLACEHOLDER_WORDS: Final = (
    "your|the|my|our|new|old|some|this|that|here|test|testing|example|sample|dummy|demo|fake|mock|change|me"
    "|insert|enter"
    "|replace|with|user|name|pass(?:word|wd|phrase|code)?|pwd|secret|token|api|key|access|client|private|public|auth"
    "|secure|strong|super|very|random|long|value|string|hash(?:ed)?|plain|raw|wrong|correct|valid|invalid|incorrect"
    "|confirm|current|default|admin|database|db|app|placeholder|foo|ba[rz]|qux|todo|none|null|nil|undefined|true|false"
    "|redacted|hidden|masked|removed|encrypted|session|login|bearer|refresh|id|field|input|text|env|var|config|settings"
    "|as|a|an|any|of|to|for|in|is|not|jwt|oauth|goes|xyz|abc"
)
# One parse per string: no word of the list is a chain of others, so the repetition cannot backtrack far.
_PLACEHOLDER: Final = re.compile(rf"(?:(?:{_PLACEHOLDER_WORDS})[\s_.-]?){{1,12}}[0-9]{{0,4}}[!.]?")
_TELLING: Final = re.compile(
    r"example|placeholder|change[-_]?me|dummy|redacted|(?<![a-z])your[-_ ]|your(?:api|pass|secret|token|key)"
    r"|insert[-_ ]|replace[-_ ]?(?:me|with|this)|[-_]here$|(?<![a-z])(?:to ?do|tbd)(?![a-z])"
)
_TEMPLATE: Final = re.compile(
    r"<[^>]*>?|\$?\{[^}]*\}*|\$\([^)]*\)?|\$[A-Za-z_]\w*|%[A-Za-z_]\w*%|%[sd]|\{\{.*|\[[^\]]*\]|\$\{\{.*|@[A-Z]\w*@"
)
_TYPE: Final = re.compile(
    r"(?:str|string|text|char|varchar|nvarchar|bytes?|u?int|float|bool(?:ean)?|number|any|optional|none|null|nil"
    r"|void|object"
    r"|utf-?|sha-?|md|base|bcrypt|argon|pbkdf|aes-?|rsa-?|hmac-?|oauth|jwt|hs|rs|scrypt|uuid(?:v)?|erc|eip|ascii"
    r"|secret)"
    r"[-_]?[0-9]{0,4}(?:id|str|bytes|[-_]?encoded|[-_]?hash(?:ed|es)?)?[?|]?",
    re.IGNORECASE,
)
_DOTTED: Final = re.compile(r"\$?[A-Za-z_]\w*(?:(?:\.|->|::)[A-Za-z_]\w*)+")
_ROOTS: Final = re.compile(
    r"(?:os|process|config|cfg|conf|self|this|env|settings|request|req|user|data|form|args|options|opts|params|secrets?"
    r"|app|ctx|context|props|state|body|payload|credentials?|creds|session|event|import|string|System|var|local|module)"
    r"(?:\.|->|::)"
)

_EXPRESSION: Final = re.compile(r"[A-Za-z_][\w.]{0,60}(?:\(|\[[\"'\w:-]|=(?!=?$))")
_LONG: Final = 20
_CAMEL: Final = re.compile(r"(?:[A-Z]?[a-z]{2,24}[._-]?){1,12}")
_DIGIT: Final = re.compile("[0-9]")
_LOWER: Final = re.compile("[a-z]")
_UPPER: Final = re.compile("[A-Z]")


def lower_same_length(text: str) -> str:
    """Lower case in which every character keeps its place (`str.lower` makes two of some, as of U+0130)."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return "".join(low if len(low := char.lower()) == 1 else char for char in text)


def entropy(value: str) -> float:
    """Shannon entropy, in bits a character."""
    total = len(value)
    return -sum(count / total * math.log2(count / total) for count in Counter(value).values())


def is_blank(value: str) -> bool:
    """Whether a key-shaped value is a stand-in: `xxxx...`, `AKIA...EXAMPLE`, `sk-your-key-goes-here`."""
    body = re.sub(r"[^A-Za-z0-9]", "", value[-200:])
    tail = body[-12:]
    return len(set(tail)) <= 2 or bool(_TELLING.search(value[:200].lower()))


def is_template(value: str) -> bool:
    """Whether the value is to be filled in: `<token>`, `${SECRET}`, `%PASS%`, `{{ x }}`, `****`, `...`."""
    return (
        bool(_TEMPLATE.fullmatch(value))
        or not any(char.isalnum() for char in value)
        or value.endswith(("...", "…"))
        or (len(value) >= 3 and set(value.lower()) <= set("x*-._"))
    )


def is_placeholder(value: str) -> bool:
    """Whether the value is one that stands in code in place of a secret: `mysecretkey`, `YOUR_API_KEY`."""
    short = value[:80].lower()
    return is_template(value) or bool(_TELLING.search(short) or _PLACEHOLDER.fullmatch(short))


def is_code(value: str) -> bool:
    """Whether an unquoted value reads as an expression or a type and not as a literal."""
    if _TYPE.fullmatch(value):
        return True
    if not _DOTTED.fullmatch(value):
        return False
    return bool(_ROOTS.match(value)) or not any(char.isdigit() for char in value)


def is_expression(value: str) -> bool:
    """Whether the value begins as a call, a subscript or a keyword argument does."""
    return bool(_EXPRESSION.match(value))


def is_type_name(value: str) -> bool:
    """Whether the value names a type or an algorithm: `string`, `SHA256`, `base64-encoded`."""
    return bool(_TYPE.fullmatch(value))


def looks_random(value: str, at_least: int) -> bool:
    """Whether a value is long enough and mixes digits with letters (or case, where it is long) as keys do."""
    if len(value) < at_least:
        return False
    sample = value[:128]
    letters = _LOWER.search(sample), _UPPER.search(sample)
    if not any(letters) or not (_DIGIT.search(sample) or (len(sample) >= _LONG and all(letters))):
        return False
    if not _DIGIT.search(sample) and _CAMEL.fullmatch(sample):
        return False
    return entropy(sample) >= (2.0 if len(sample) < 16 else 2.6)
