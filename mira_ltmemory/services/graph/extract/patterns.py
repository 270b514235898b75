"""What is told by its shape alone: addresses, links, handles and dates."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime

import regex

from mira_ltmemory.services.graph.extract.found import EntityType, Found

_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january jan januar jänner janvier enero gennaio janeiro",
            "february feb februar février fevrier febrero febbraio fevereiro",
            "march mar märz maerz mars marzo março",
            "april apr avril abril aprile",
            "may mai mayo maggio maio",
            "june jun juni juin junio giugno junho",
            "july jul juli juillet julio luglio julho",
            "august aug août aout agosto",
            "september sep sept septembre septiembre settembre setembro",
            "october oct oktober okt octobre octubre ottobre outubro",
            "november nov novembre noviembre novembro",
            "december dec dezember dez décembre decembre diciembre dicembre dezembro",
        ),
        start=1,
    )
    for name in names.split()
}
_MONTH = "|".join(sorted(map(regex.escape, _MONTHS), key=len, reverse=True))
_YEAR = r"(?P<year>(?:19|20)\d{2})"

# Fenced and quoted code holds names of things, not of people; so does what begins with a line that is code by its look,
# up to an empty line.
_CODE = regex.compile(
    r"```(?!(?:plain)?text\b|markdown\b).*?(?:```|\Z)|`[^`\n]*`"
    r"|^[ \t]*(?:@|from |import |def |class |return |#include|<\w"
    r"|[\w.]+\([^\n]*\)[ \t]*[;{:]?$|[\w.\[\]\"']+ ?= ?\S).*?(?=\n[ \t]*\n|\Z)",
    regex.DOTALL | regex.MULTILINE,
)
_LINK = regex.compile(r"(?<![\w@])(?:https?://|www\.)[^\s<>\"'`\]]+", regex.IGNORECASE)
_EMAIL = regex.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[\p{L}\d](?:[\p{L}\d-]*[\p{L}\d])?\.)+\p{L}{2,24}(?![\w-])")
_HANDLE = regex.compile(r"(?<![\w.@/+-])@(?P<name>[A-Za-z_]\w{1,29})(?![\w(@])(?!\.\w)")

# Letters of months are matched in any case, and nothing else is: "may" is a month beside a day only.
_DATES = (
    regex.compile(r"(?<![\d/.-])" + _YEAR + r"-(?P<month>\d{2})-(?P<day>\d{2})(?![\d/-])"),
    regex.compile(r"(?<![\d/.-])(?P<day>\d{1,2})\.\s?(?P<month>\d{1,2})\.\s?" + _YEAR + r"(?![\d/-])"),
    regex.compile(
        rf"(?<![\w])(?P<name>(?i:{_MONTH}))\.? (?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?:,? {_YEAR})?"
        r"(?![\w:%]|[.,]\d| ?[ap]m\b)"
    ),
    regex.compile(
        rf"(?<![\w:.,$€£])(?P<day>\d{{1,2}})(?:st|nd|rd|th|\.|er|º)? (?:of |de |di )?(?P<name>(?i:{_MONTH}))\b\.?"
        rf"(?:,? (?:de |del )?{_YEAR})?"
    ),
    regex.compile(rf"(?<![\w])(?P<name>(?i:{_MONTH}))\.?,? (?:of |de )?{_YEAR}(?![\w-])"),
)
_ALWAYS_MONTHS_WITH_YEAR = frozenset({"may", "mar", "march", "august"})


def code_spans(text: str) -> list[tuple[int, int]]:
    """Where code stands."""
    return [match.span() for match in _CODE.finditer(text)]


def shaped(text: str, said_at: datetime) -> Iterator[Found]:
    """Links, addresses, handles and dates, each character in one of them at most."""
    for match in _LINK.finditer(text):
        link = match.group().rstrip(".,;:!?)*_")
        if len(link) > len("https://x"):
            yield Found(EntityType.LINK, match.start(), match.start() + len(link), link, 0.99)
    for match in _EMAIL.finditer(text):
        yield Found(EntityType.EMAIL, match.start(), match.end(), match.group().lower(), 0.99)
    for match in _HANDLE.finditer(text):
        yield Found(EntityType.HANDLE, match.start(), match.end(), match.group(), 0.95)
    for pattern in _DATES:
        for match in pattern.finditer(text):
            named = _date(match, said_at)
            if named is not None:
                yield Found(EntityType.DATE, match.start(), match.end(), named, 0.95)


def _date(match: regex.Match[str], said_at: datetime) -> str | None:
    """The date as ISO writes it, to the month where no day is named; none where there is no such day."""
    groups = match.groupdict()
    name = groups.get("name")
    month = int(groups["month"]) if name is None else _MONTHS[name.lower()]
    year = groups.get("year")
    if groups.get("day") is None:
        # "may 2024" in the middle of a sentence is no date; a month's name has a capital letter.
        return f"{year}-{month:02}" if name is not None and name[0].isupper() else None
    if name is not None and name.islower() and name in _ALWAYS_MONTHS_WITH_YEAR and year is None:
        return None
    day = int(groups["day"])
    try:
        if year is not None:
            return date(int(year), month, day).isoformat()
        return min(
            (date(each, month, day) for each in (said_at.year - 1, said_at.year, said_at.year + 1)),
            key=lambda each: abs((each - said_at.date()).days),
        ).isoformat()
    except ValueError:
        return None
