"""Card numbers, the codes on cards, PINs, and codes that open doors or accounts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from mira_ltmemory.services.redaction.findings import CARD_CODE, CARD_NUMBER, PIN, Finding

_DIGIT: Final = "[0-9０-９]"
_GAP: Final = "[ .\u00a0\u2009\u202f\u3000_-]"
_CARD: Final = re.compile(
    rf"(?<![0-9０-９A-Za-z_.])(?:"
    rf"{_DIGIT}{{4}}{_GAP}{_DIGIT}{{4}}{_GAP}{_DIGIT}{{4}}{_GAP}{_DIGIT}{{4}}(?:{_GAP}{_DIGIT}{{3}})?"
    rf"|{_DIGIT}{{4}}{_GAP}{_DIGIT}{{6}}{_GAP}{_DIGIT}{{4,5}}"
    rf"|{_DIGIT}{{13,19}})(?![0-9０-９A-Za-z_])"
)
_CARD_SHORT: Final = re.compile(
    rf"(?<![0-9０-９A-Za-z_.]){_DIGIT}{{4}}{_GAP}{_DIGIT}{{4}}{_GAP}{_DIGIT}{{4}}{_GAP}{_DIGIT}{{4}}(?![0-9０-９A-Za-z_])"
)
_SEPARATORS: Final = re.compile(_GAP)
_ASCII_DIGITS: Final = str.maketrans("０１２３４５６７８９", "0123456789")
_BRANDS: Final = (
    (re.compile(r"4"), (13, 16, 19)),
    (re.compile(r"5[1-5]|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)"), (16,)),
    (re.compile(r"3[47]"), (15,)),
    (re.compile(r"30[0-5]|36|38|39"), (14,)),
    (re.compile(r"6011|64[4-9]|65|62"), (16, 17, 18, 19)),
    (re.compile(r"35(?:2[89]|[3-8])"), (16, 17, 18, 19)),
    (re.compile(r"50(?:18|20|38)|58(?:93)|63(?:04|90)|67(?:59|6[123])|220[0-4]|9792"), (13, 14, 15, 16, 17, 18, 19)),
)
# What a number is called right before it, where a checksum that fits is chance.
_OTHER_NUMBER: Final = re.compile(
    r"(?:order|tracking|parcel|shipment|invoice|isbn(?:-1[03])?|imei|iban|ean|gtin|serial|ticket|reference|ref"
    r"|customer|case|phone"
    r"|tel|bestell|sendungs|rechnungs|auftrags|paket|zamówieni\w|przesyłki|commande|colis|pedido|timestamp|订单|单号|注文)"
    r"[\s_-]{0,2}(?:no|nr|num|number|nummer|numer|numéro|número|id|code|号|番号|n°)?[\s.:#：=]{0,4}"
    r"(?:is |was |ist |to )?$"
)
_IBAN_BEFORE: Final = re.compile(r"[A-Z]{2}[0-9]{2}(?:[ -]?[0-9A-Z]{1,4}){0,6}[ -]?$")
_BEFORE: Final = 40

_CARD_CODE: Final = re.compile(
    r"(?<![a-z])(?:cvv2?|cvc2?|cvn|csc|security code on the back|card (?:security|verification) (?:code|number"
    r"|value)|kartenprüfnummer|prüfziffer"
    r"|kod cvv|cryptogramme(?: visuel)?|código de seguridad|安全码|セキュリティコード)"
    r"(?![a-z])(?:\s(?:code|number|kod|nummer))?"
    r"(?:[\s\"'`*:：=＝#(-]{0,6}(?:is|was|are|ist|lautet|to|est|es|是|为"
    r"|は)?)[\s\"'`*:：=＝]{0,4}([0-9]{3,4})(?![0-9a-z]|\.[0-9])"
)
_COPULA: Final = (
    r"(?:(?:is|was|are|=|:|：|＝|'s|’s|lautet|ist|war|to|est|es|era|è|é|jest|brzmi|是|为|為|は|が|still|now|will be"
    r"|changed to|set to"
    r"|(?:has been |was |is )?(?:changed|set|reset) to|just|currently|jetzt|teraz|maintenant"
    r"|ahora)[\s\"'`„“「:：(]{0,4}(?:\*\*)?){1,3}"
)
_WHAT_FOR: Final = (
    r"(?:\s(?:for|of|to|on|at|für|zu[mr]?|der|des|do|od|na|de|del|du|pour|para"
    r"|d[eu] la)(?:\s[^\s.,;:!?=]{1,24}){1,5}?)?"
)
_PIN_NAME: Final = (
    r"(?:pin(?:[ -]?(?:code|number|nummer|kod|码))?|暗証番号|"
    r"(?:alarm|door|gate|lock|safe|entry|entrance|access|security|garage|keypad|vault|locker|building|unlock"
    r"|verification|lockbox"
    r"|2fa|otp|one[- ]time|backup|recovery|sms|login|sign[- ]in|confirmation|auth|authentication|phone|screen|key ?box)"
    r"(?:[ -](?:lock|system|box|pass|door|panel))?[ -]?(?:code|pin|combination|combo)s?"
    r"|(?:alarm|tür|tor|tresor|zugangs|sicherheits|bestätigungs|schließfach|haus)-?(?:code|pin)"
    r"|code (?:for|to|of) (?:the |my |our )?(?:[a-z]{1,12} ){0,2}(?:door|gate|alarm|garage|safe|building|lockbox"
    r"|lock|locker|house|flat|entrance)"
    r"|code (?:für|zu[mr]?) (?:(?:die|das|den|dem|der) )?[a-zäöüß]{0,12}(?:tür|tor|alarm(?:anlage)?|tresor|safe|garage)"
    r"|kod(?:u)?(?: pin)?(?: (?:do|od) [^\s.,;:!?=]{1,24}(?: [^\s.,;:!?=]{1,24})?)|kod pin|code (?:pin|secret"
    r"|de la porte|d['’]entrée"
    r"|(?:de l['’]|d['’])alarme|du portail|de l['’]immeuble)|código (?:de la (?:puerta|alarma)|del (?:garaje"
    r"|portal)|pin)"
    r"|codice (?:pin|dell['’]allarme|della porta)|验证码|門禁密碼|门禁密码|开门密码)"
)
_PIN: Final = re.compile(
    rf"(?<![a-z]){_PIN_NAME}(?![a-z]){_WHAT_FOR}\s{{0,2}}{_COPULA}\s{{0,2}}"
    r"([0-9]{3,4}[ -][0-9]{3,4}|[*#]?[0-9](?:[0-9]{3,11}|[ -]?(?:[0-9][ -]?){3,7})[*#]{0,2}"
    r"|[0-9a-z]{4,10}(?:-[0-9a-z]{4,10}){1,7})"
    r"(?![0-9a-z])"
)
_PIN_BARE: Final = re.compile(rf"(?<![a-z]){_PIN_NAME}\s([*#]?[0-9]{{4,8}}[*#]{{0,2}})(?![0-9a-z,.:/-]*[0-9a-z])")
_PIN_REVERSED: Final = re.compile(
    r"(?<![0-9a-z.,:/-])([*#]?[0-9]{4,8}[*#]{0,2})\s(?:is|was|ist|to|est|es)\s(?:still\s)?(?:my|our|the|mein"
    r"|meine|unser|mój|mon|mi)\s"
    rf"(?:[^\s.,;:!?]{{1,20}}\s){{0,2}}{_PIN_NAME}(?![a-z])"
)
_COMBINATION: Final = re.compile(
    r"(?:combination|combo|kombination)(?![a-z])"
    + _WHAT_FOR
    + r"\s{0,2}"
    + _COPULA
    + r"\s{0,2}([0-9]{1,3}(?:[ -]{1,3}[0-9]{1,3}){2,5}|[0-9]{3,8})(?![0-9a-z])"
)
_MORE_CODES: Final = re.compile(
    r"(?:[\s,;]{1,3}(?:and |und |i |et |y )?([0-9a-z]{4,10}(?:-[0-9a-z]{4,10}){1,3}|[0-9]{6,10})(?![0-9a-z-]))"
)
_MOST_CODES: Final = 24
_CODE_NEEDLES: Final = (
    "pin", "code", "kod", "código", "codice", "暗証番号", "验证码", "密码", "密碼", "combination", "combo",
    "kombination",
)  # fmt: skip
_CARD_CODE_NEEDLES: Final = (
    "on the back", "cvv", "cvc", "cvn", "csc", "card security", "card verification", "prüf", "cryptogramme",
    "código de seg", "安全码", "セキュリティコード"
)  # fmt: skip
_UNIT: Final = re.compile(
    r"\s{0,2}(?:[-–]\s?)?(?:digits?|characters?|chars?|numbers?|letters?|times|days?|hours?|minutes?|seconds?"
    r"|years?|attempts?"
    r"|stellen|zeichen|stellig|cyfr\w*|chiffres|dígitos|位|桁|€|\$|%|eur|usd)"
)
_POSTAL: Final = re.compile(r"pin ?code")
_POSTAL_DIGITS: Final = 6


def find(text: str, lowered: str) -> Iterator[Finding]:
    """Card numbers, card codes, PINs and entry codes in `text`; `lowered` is the same text in lower case."""
    yield from _cards(text, lowered)
    if any(needle in lowered for needle in _CARD_CODE_NEEDLES):
        for match in _CARD_CODE.finditer(lowered):
            if not _UNIT.match(lowered, match.end(1)):
                yield Finding(*match.span(1), CARD_CODE)
    if any(needle in lowered for needle in _CODE_NEEDLES):
        yield from _pins(lowered)


def _cards(text: str, lowered: str) -> Iterator[Finding]:
    for match in _CARD.finditer(text):
        start, end = match.span()
        if not _is_card(match[0]):
            # Three digits behind a card are its code, or a number that has nothing to do with it.
            shorter = _CARD_SHORT.match(text, start)
            if shorter is None or not _is_card(shorter[0]):
                continue
            end = shorter.end()
        first = max(0, start - _BEFORE)
        if _OTHER_NUMBER.search(lowered[first:start]) or _IBAN_BEFORE.search(text[first:start]):
            continue
        yield Finding(start, end, CARD_NUMBER)


def _is_card(number: str) -> bool:
    digits = _SEPARATORS.sub("", number).translate(_ASCII_DIGITS)
    if len(set(digits)) < 2 or not any(len(digits) in sizes and brand.match(digits) for brand, sizes in _BRANDS):
        return False
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _pins(lowered: str) -> Iterator[Finding]:
    for match in _PIN.finditer(lowered):
        start, end = match.span(1)
        code = match[1].rstrip(" -")
        end = start + len(code)
        if not any(char.isdigit() for char in code) or _UNIT.match(lowered, end):
            continue
        if (
            _POSTAL.match(match[0])
            and len(code) == _POSTAL_DIGITS
            and code.isdigit()
            and not _is_owned(lowered, match.start())
        ):
            continue
        yield Finding(start, end, PIN)
        for _ in range(_MOST_CODES):
            more = _MORE_CODES.match(lowered, end)
            if (
                more is None
                or not any(char.isdigit() for char in more[1])
                or ("-" not in code + more[1] and len(more[1]) != len(code))
            ):
                break
            end = more.end()
            yield Finding(*more.span(1), PIN)
    for pattern in (_PIN_BARE, _PIN_REVERSED, _COMBINATION):
        for match in pattern.finditer(lowered):
            postal = _POSTAL.match(match[0]) and len(match[1]) == _POSTAL_DIGITS
            if not postal and not _UNIT.match(lowered, match.end(1)):
                yield Finding(*match.span(1), PIN)


def _is_owned(lowered: str, at: int) -> bool:
    return lowered[max(0, at - 12) : at].rstrip().endswith(("my", "card", "bank", "sim", "phone", "atm", "debit"))
