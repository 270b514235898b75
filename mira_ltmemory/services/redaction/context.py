"""Secrets that only the words before them give away: `password = ...`, "my password is ..."."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from mira_ltmemory.services.redaction.findings import ACCESS_TOKEN, API_KEY, PASSWORD, Finding
from mira_ltmemory.services.redaction.prose import is_ordinary_word, is_spoken_password
from mira_ltmemory.services.redaction.values import (
    is_blank,
    is_code,
    is_expression,
    is_placeholder,
    is_type_name,
    looks_random,
)

# Names of passwords: any value can be one. The first literal of each pattern is its needle, which `in` finds fast.
_PASSWORD_NAMES: Final = tuple(
    (needle, re.compile(pattern))
    for needle, pattern in (
        ("pass", r"pass(?:words?|wds?|phrases?|codes?|w[oö]rt(?:es)?|keys?(?![a-z]))?(?![a-z](?<!e\b))"),
        ("mot de passe", r"mots? de passe"),
        ("pwd", r"pwd"),
        ("schlüssel", r"(?:wlan|wi-?fi|wpa[23]?|netzwerk)[ -]?schlüssel"),
        ("key", r"(?:wlan|wi-?fi|wpa[23]?|network)[ -]key(?![a-z])"),
        ("psk", r"psk"),
        ("pw", r"(?<![a-z0-9])pw(?![a-z0-9])"),
        ("contrase", r"contrase[ñn]as?"),
        ("clave", r"(?<![a-z])clave(?![a-z])"),
        ("has", r"has(?:ł|l)(?:o|a|em)(?![a-z])"),
        ("senha", r"senha"),
        ("wachtwoord", r"wachtwoord"),
        ("kennwort", r"kennwort"),
        ("lösenord", r"lösenord"),
        ("heslo", r"heslo"),
        ("пароль", r"пароль"),
        ("密码", r"密码"),
        ("密碼", r"密碼"),
        ("口令", r"口令"),
        ("パスワード", r"パスワード"),
        ("パスフレーズ", r"パスフレーズ"),
        ("비밀번호", r"비밀번호"),
        ("identified by", r"identified by"),
    )
)
# Names of keys and tokens: only a value that looks like one is taken.
_KEY_NAMES: Final = tuple(
    (needle, re.compile(pattern))
    for needle, pattern in (
        ("key", r"key(?![a-z])"),
        ("token", r"token(?![a-z])"),
        ("secret", r"secret(?![a-z])"),
        ("credential", r"credentials?(?![a-z])"),
        ("creds", r"creds(?![a-z])"),
        ("auth", r"auth(?![a-z])"),
        ("signature", r"signature(?![a-z])"),
        ("sig", r"(?<=[?&])sig(?==)"),
        ("session", r"session(?:_?id)?(?![a-z])"),
        ("schlüssel", r"schlüssel(?![a-z])"),
        ("klucz", r"klucz(?:a|em)?(?![a-z])"),
        ("密钥", r"密钥"),
        ("密鑰", r"密鑰"),
        ("令牌", r"令牌"),
        ("キー", r"キー"),
        ("トークン", r"トークン"),
    )
)
_TOKEN_NAMES: Final = ("token", "auth", "session", "トークン", "令牌")
_NAME_CHARACTERS: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_$.-"
_LONGEST_NAME: Final = 64
_NAME_AFTER: Final = re.compile(
    r"(?:_?(?:value|raw|plain|text|base64|b64|prod|dev|staging|live|v?[0-9]{1,2}))?(?![A-Za-z0-9_])", re.IGNORECASE
)
_NOT_KEYS: Final = re.compile(
    r"(?:primary|foreign|public|cache|sort|partition|storage|unique|composite|object|s3|hash|row|group|dict|json"
    r"|map|lookup|index"
    r"|next|page|pagination|continuation|csrf|xsrf|pad|eos|bos|unk|mask|sep|cls|id(?:empotency)?)[_. -]?(?:key|token)$",
    re.IGNORECASE,
)
_BARE_NAMES: Final = re.compile(r"(?:^|[^a-z])(?:key|auth|session|session_?id|signature|キー|klucz|schlüssel)$")

_SEPARATOR: Final = re.compile(
    r"(?:\\?[\"'`*_)\]]){0,4}\s{0,12}(?:=>|:=|[!=]==?|[:=：＝])[*_]{0,2}[ \t]{0,12}(?:\n[ \t]{0,12}(?=[\"']))?"
)
_TAG: Final = re.compile(r"(?:\s[^<>\n]{0,80})?>")
_CONTENT: Final = re.compile(r"\s{0,40}([^<>\s]{1,200})\s{0,40}</")
_OPTION: Final = re.compile(r"[ \t]{1,4}(?!-)")
_CALL: Final = re.compile(r"\\?[\"'`]?(?:\]\s{0,2})?(?:\s{0,4},|\()\s{0,4}(?=[bru]?\\?[\"'`])")
_QUOTE_NEXT: Final = re.compile(r"\s{1,3}(?=[\"'`])")
_QUOTED: Final = re.compile(
    r"(?:[rbfuRBFU]{0,2})(?:\\{1,3}\"([^\"\\\n]{1,512})\\{1,3}\"|\\'([^'\\\n]{1,512})\\'|\"((?:[^\"\\\n]"
    r"|\\.){1,512})\"|'((?:[^'\\\n]|\\.){1,512})'"
    r"|`([^`\n]{1,512})`|[“„«]([^”“»\n]{1,200})[”“»]|[‘‚]([^’‘\n]{1,200})[’‘]|「([^」\n]{1,200})」|『([^』\n]{1,200})』)"
)
_HALF_QUOTED: Final = re.compile(r"[\"'`]?([^\s\"'`]{1,512})")
_ENV_BEFORE: Final = re.compile(r"(?:^|\n)[ \t]*(?:export |set |-e |ENV |ARG )?[A-Za-z0-9_.-]*$")
_LINE_VALUE: Final = re.compile(r"([^\s\"'`]{1,512})[ \t]*(?=\r?\n|$)")
_PLAIN: Final = re.compile(r"[^\s\"'`,;<>(){}\[\]&|，。；、！？）」』”’\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]{1,512}")
_TRAILING: Final = ".,;:)?"
_CALLED: Final = re.compile(r"\(|\[|\s?\{")
_SETS: Final = re.compile(r"(?:^|[^a-z])(?:set|with|use|change|reset|update|add|put|hash|encrypt)?_?[a-z]{0,12}$")


def find(text: str, lowered: str) -> Iterator[Finding]:
    """Values that follow the name of a secret in `text`; `lowered` is the same text in lower case."""
    for pattern in [pattern for needle, pattern in _PASSWORD_NAMES if needle in lowered]:
        for match in pattern.finditer(lowered):
            found = _password(text, lowered, match.start(), match.end())
            if found:
                yield Finding(*found, PASSWORD)
    for needle, pattern in [names for names in _KEY_NAMES if names[0] in lowered]:
        kind = ACCESS_TOKEN if needle in _TOKEN_NAMES else API_KEY
        for match in pattern.finditer(lowered):
            found = _key(text, lowered, match.start(), match.end())
            if found:
                yield Finding(*found, kind)


def _name(text: str, start: int) -> int:
    before = text[max(0, start - _LONGEST_NAME) : start]
    return start - len(before) + len(before.rstrip(_NAME_CHARACTERS))


def _password(text: str, lowered: str, start: int, end: int) -> tuple[int, int] | None:
    first = _name(text, start)
    bare = first == start and text[end : end + 1] not in ("=", ":", '"', "'", ">", "：")
    if bare and lowered[start:end] == "pass":
        return is_spoken_password(text, lowered, start, end)
    after = _NAME_AFTER.match(text, end)
    if after is None:
        # Nothing parts the name from what follows in a script without spaces.
        return None if lowered[end - 1].isascii() else is_spoken_password(text, lowered, start, end)
    assigned = _assigned(text, first, after.end())
    if assigned:
        low, high, style = assigned
        if _is_password(text[low:high], style, text, high):
            return low, high
        if style != "plain":
            return None
    return is_spoken_password(text, lowered, start, after.end())


def _key(text: str, lowered: str, start: int, end: int) -> tuple[int, int] | None:
    first = _name(text, start)
    after = _NAME_AFTER.match(text, end)
    if after is None or _NOT_KEYS.search(text, max(0, first - 14), end):
        return None
    bare = bool(_BARE_NAMES.search(lowered[max(0, start - 1) : end])) and not _qualified(lowered, start)
    assigned = _assigned(text, first, after.end()) or _spoken_key(text, lowered, after.end())
    if assigned is None:
        return None
    low, high, style = assigned
    value = text[low:high]
    least = 20 if bare else 12 if style in ("plain", "call") else 8
    if not looks_random(value, least) or not _one_word(value):
        return None
    if style == "plain" and (is_code(value) or is_expression(value) or _CALLED.match(text, high)):
        return None
    if is_placeholder(value) or is_blank(value):
        return None
    return low, high


_QUALIFIER: Final = re.compile(r"(?:api|access|secret|private|auth|encryption|signing|master|account|shared"
    r"|service|licen[sc]e|deploy|app|session|client"
                               r"|consumer|webhook|role|subscription|admin|user|bot|bearer|refresh|jwt|hmac|my"
                               r"|our|the)[_\s.-]{0,2}$")  # fmt: skip


def _qualified(lowered: str, start: int) -> bool:
    return bool(_QUALIFIER.search(lowered, max(0, start - 16), start))


_ADDRESS: Final = re.compile(
    r"https?://|[./~]{0,2}/|[A-Za-z]:\\|(?:[0-9]{1,4}[-/.:T]){2,}|v?[0-9]+(?:\.[0-9]+)+|arn:"
    r"|(?:[\w.-]{1,40}/){1,12}[\w.-]{1,60}\.[a-z]{2,4}$|(?:[a-z]+[-/]){2,}[a-z0-9]*$"
)


def _one_word(value: str) -> bool:
    return not any(char.isspace() for char in value) and not _ADDRESS.match(value)


_KEY_SAID: Final = re.compile(
    r"(?:\s(?:for|to|of|on|from|für|zu[mr]?|do|na|de|del|du|pour|para)(?:\s[^\s.,;:!?=]{1,24}){1,5}?)?"
    r"\s{0,2}(?:is|was|'s|lautet|ist|to|est|es|是|为|為|は|が)?[\s:：]{0,3}(?:now|still|jetzt"
    r"|teraz)?\s{0,2}[\"'`“「(]{0,2}(?=[!-~]{12})"
)


def _spoken_key(text: str, lowered: str, end: int) -> tuple[int, int, str] | None:
    said = _KEY_SAID.match(lowered, end)
    value = _PLAIN.match(text, said.end()) if said else None
    if value is None or not any(char.isdigit() for char in value[0][:64]):
        return None
    return value.start(), value.start() + len(value[0].rstrip(_TRAILING)), "plain"


def _assigned(text: str, first: int, end: int) -> tuple[int, int, str] | None:
    """Span of the value that is assigned to the name that ends at `end`, and how it is written."""
    style = "plain"
    separator = _SEPARATOR.match(text, end)
    if separator is None:
        if text[max(0, first - 1) : first] == "<" and (separator := _TAG.match(text, end)):
            style = "quoted"
        elif text[first : first + 1] == "-" and (separator := _OPTION.match(text, end)):
            style = "option"
        elif (separator := _CALL.match(text, end)) or (separator := _QUOTE_NEXT.match(text, end)):
            style = "call"
        else:
            return None
    at = separator.end()
    quoted = _QUOTED.match(text, at)
    if style == "quoted" and (content := _CONTENT.match(text, at)):
        return *content.span(1), style
    if style == "quoted":
        return None
    if quoted and quoted.lastindex:
        return *quoted.span(quoted.lastindex), "call" if style == "call" else "quoted"
    if style == "call":
        return None
    if text[at : at + 1] in ('"', "'", "`") and (half := _HALF_QUOTED.match(text, at)):
        return *half.span(1), "quoted"
    before = _ENV_BEFORE.search(text, max(0, first - 20), end)
    line = _LINE_VALUE.match(text, at) if before and style == "plain" else None
    if line and (separator[0] in ("=", ": ") or line[1][:1] not in "({["):
        if separator[0] in ("=", ": ") and _is_env(text[first:end], separator[0]):
            return *line.span(1), "env"
        return line.start(1), line.start(1) + len(line[1].rstrip(_TRAILING)), "plain"
    plain = _PLAIN.match(text, at)
    if plain is None:
        return None
    high = plain.start() + len(plain[0].rstrip(_TRAILING))
    return (plain.start(), high, style) if high > plain.start() else None


def _is_env(name: str, separator: str) -> bool:
    return separator == ": " or name.upper() == name


_WORD: Final = re.compile(r"[A-Za-z_]+")
_SHORTEST_PASSWORD: Final = 4


def _is_password(value: str, style: str, text: str, end: int) -> bool:
    if len(value) < _SHORTEST_PASSWORD or is_placeholder(value):
        return False
    if style == "call":
        return looks_random(value, 8) and _one_word(value)
    if style == "quoted":
        return not any(char.isspace() for char in value) and not value.startswith(("/", "http", "{", "$"))
    if (
        is_code(value)
        or is_expression(value)
        or is_type_name(value)
        or _CALLED.match(text, end)
        or value.startswith(("$", "%", "<", "{", "(", "[", "@", "/"))
    ):
        return False
    if style in ("env", "option") and len(value) >= 6:
        return not is_ordinary_word(value)
    if _WORD.fullmatch(value.rstrip("),;]}")):
        return False
    if value.isdigit():
        return (
            len(value) >= _SHORTEST_PASSWORD
            and not text[end : end + 1].isalpha()
            and not text[end : end + 2].strip().isalpha()
        )
    return any(char.isdigit() for char in value) or any(not char.isalnum() and char not in "_.-" for char in value)
