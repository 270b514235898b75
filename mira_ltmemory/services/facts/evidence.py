"""Whether a quote stands in what was said, and says it there: as whole words, not as a question, not denied.

Case, white space, typographic quotes, dashes and dots, and punctuation around the quote do not matter; nothing else is
forgiven. A denial that follows what it denies (as in Japanese or Turkish) is not seen.
"""

from __future__ import annotations

from collections.abc import Sequence

import regex

from mira_ltmemory.protocols import Origin, Role
from mira_ltmemory.services.batch.window import WindowMessage
from mira_ltmemory.services.quotes import flat, letters, spans

MIN_CHARS = 8
"""A shorter quote is evidence only where it is all that a message says; letters such as Chinese ones count twice."""

_CLAUSE_CHARS = 300
_AROUND = " \t\n\"'.,;:!?。，！？؟"
_CLAUSE_END = regex.compile(r"(?:[!?。！？؟]|\.(?!\w))+|[,;:，、；：،؛()\n]|\s-+\s")
_ASKED = regex.compile(r"[?？؟]|(?:吗|嗎|呢|ですか|ますか|ましたか|でしょうか|나요|까요|니까)$")
_REASON = regex.compile(
    r"\b(?:since|because|considering|as|given|now that|weil|parce que?|puisque|comme|porque|já que|ya que|perché"
    r"|siccome|omdat|eftersom|ponieważ|потому что|так как)\b|因为|因為|由于|なので|だから"
)
_AND = regex.compile(r"(?:and|but|und|aber|et|mais|y|pero|mas|ma)\s*")
_NOT = (
    r"\b(?:not|never|cannot|\w+n't|dont|doesnt|didnt|isnt|cant|wont|no longer|nicht|nie|niemals|keine?[nmrs]?|pas"
    r"|jamais|(?:^|\b(?:yo|ya|pero|que|y|aún|todavía)\s)no|nunca|jamás|não|non|niet|geen|nooit|inte|aldrig|ikke|не|ніколи"
    r"|никогда|لا|لم|لن|ليس|नहीं)\b"
)
_DENIED = regex.compile(rf"(?:{_NOT}(?:\s+(?:really|even|usually|actually|particularly))?\s*|[不没沒])$")
_DENIES = regex.compile(rf"{_NOT}|[不没沒]|\bno\b|ない|ません|\b(?:dislik\w+|hates?|avoids?|unable|without)\b")
_BEGINS_ANEW = regex.compile(r"(?:i|i'm|i've|we|my|our|it|it's|he|she|they)\b")


def is_own(message: WindowMessage) -> bool:
    """Whether the user said it, as far as it is known: what an import does not know who said is not the user's."""
    return message.role is Role.USER and message.origin is Origin.USER


def quoted_in(quote: str, messages: Sequence[WindowMessage], text: str = "") -> WindowMessage | None:
    """The first of the messages that says the quote: the user's first, then those of the assistant.

    Where ``text``, what is made of it, denies something as well, the quote may be what is denied.
    """
    wanted = flat(quote).strip(_AROUND)
    if not wanted:
        return None
    denies = _DENIES.search(flat(text)) is not None
    for message in sorted(messages, key=lambda message: (message.role is not Role.USER, not is_own(message))):
        said = flat(message.content)
        if letters(wanted) < MIN_CHARS and wanted.split() != said.strip(_AROUND).split():
            continue
        if any(_says(said, start, end, denies) for start, end in spans(wanted, said)):
            return message
    return None


def _says(said: str, start: int, end: int, denies: bool) -> bool:
    """Whether the clause around a span states it."""
    earliest, latest = max(0, start - _CLAUSE_CHARS), end + _CLAUSE_CHARS
    begins = max((mark.end() for mark in _CLAUSE_END.finditer(said, earliest, start)), default=earliest)
    before = said[begins:start].lstrip()
    if not denies and _DENIED.search(before) and not (before.strip() == "no" and _BEGINS_ANEW.match(said, start)):
        return False
    mark = _CLAUSE_END.search(said, end, latest)
    clause = said[begins : mark.end() if mark is not None else latest]
    if _ASKED.search(clause.rstrip(" 。.")) is None:
        return True
    # "As I live in Porto, ...", "..., and I live in Porto: what" state it beside what they ask.
    reason = _REASON.search(before) or _REASON.match(said, start)
    return reason is not None or (_AND.fullmatch(before) is not None and _BEGINS_ANEW.match(said, start) is not None)
