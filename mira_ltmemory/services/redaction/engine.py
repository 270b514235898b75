"""The redactor: runs the detectors, merges what they find and writes the marks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from mira_ltmemory.services.redaction.findings import KINDS, Finding, mark

_MARK: Final = re.compile(r"\[redacted: (?:" + "|".join(KINDS) + r")\]")
_PATTERN_PREFIX: Final = "re:"
_SHORTEST_SECRET: Final = 3
# Characters that are not seen, and that would part the words that make a secret: spaces of no width, joiners and
# soft hyphens. A text that has some is searched with and without them.
_UNSEEN: Final = re.compile("[\u00ad\u200b-\u200d\u2060\ufeff]")
# Text left between two marks is searched again, so that a second call finds nothing new. Real text settles at
# once; the cap keeps text that was made to settle slowly from taking more than linear time.
_MOST_PASSES: Final = 16


@dataclass(frozen=True, slots=True)
class Redaction:
    """A secret that was replaced; `start` and `end` count characters of the original text."""

    kind: str
    start: int
    end: int


class Redactor:
    """Finds secrets by their shape or by the words around them, and replaces each by a typed mark.

    It works on the text alone: no file, process or network is touched, and nothing it finds is kept or logged.
    """

    def __init__(self, *, enabled: bool = True, allow: Sequence[str] = ()) -> None:
        """`allow` lists what is never redacted: exact strings, or patterns that fit a whole secret (`re:...`).

        Raises ValueError where a pattern in `allow` cannot be compiled.
        """
        self.enabled = enabled
        self._allowed = frozenset(entry for entry in allow if not entry.startswith(_PATTERN_PREFIX))
        self._allowed_patterns = tuple(
            _compiled(entry[len(_PATTERN_PREFIX) :]) for entry in allow if entry.startswith(_PATTERN_PREFIX)
        )

    def redact(self, text: str) -> tuple[str, tuple[Redaction, ...]]:
        """Return the text with every secret replaced by its mark, and where the secrets stood, in order."""
        if not self.enabled or len(text) < _SHORTEST_SECRET:
            return text, ()
        found = self._find_all(text)
        if not found:
            return text, ()
        pieces: list[str] = []
        end = 0
        for redaction in found:
            pieces += text[end : redaction.start], mark(redaction.kind)
            end = redaction.end
        pieces.append(text[end:])
        return "".join(pieces), tuple(found)

    def _find_all(self, text: str) -> list[Redaction]:
        found: list[Redaction] = []
        waiting = list(_gaps(0, len(text), ((m.start(), m.end()) for m in _MARK.finditer(text))))
        for _ in range(_MOST_PASSES):
            again: list[tuple[int, int]] = []
            for start, end in waiting:
                segment = text if end - start == len(text) else text[start:end]
                secrets = self._find(segment)
                if secrets:
                    found += (Redaction(s.kind, start + s.start, start + s.end) for s in secrets)
                    again += _gaps(start, end, ((start + s.start, start + s.end) for s in secrets))
            if not again:
                break
            waiting = again
        found.sort(key=lambda redaction: redaction.start)
        return found

    def _find(self, segment: str) -> list[Finding]:
        found = _detect(segment)
        if _UNSEEN.search(segment):
            found += _detect_unseen(segment)
        if self._allowed or self._allowed_patterns:
            found = [finding for finding in found if not self._is_allowed(segment[finding.start : finding.end])]
        return _merged(found)

    def _is_allowed(self, secret: str) -> bool:
        return secret in self._allowed or any(pattern.fullmatch(secret) for pattern in self._allowed_patterns)


def _detect(segment: str) -> list[Finding]:
    # Imported at first use: compiling the patterns takes longer than importing all the rest.
    from mira_ltmemory.services.redaction import detectors

    return detectors.detect(segment)


def _detect_unseen(segment: str) -> list[Finding]:
    """What is found in the segment without its unseen characters, as places of the segment."""
    places = [place for place, char in enumerate(segment) if not _UNSEEN.match(char)]
    found = _detect("".join(segment[place] for place in places))
    return [one._replace(start=places[one.start], end=places[one.end - 1] + 1) for one in found]


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ValueError(f"redaction allow-list: {pattern!r} is not a valid pattern: {error}") from error


def _gaps(start: int, end: int, taken: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    for first, last in taken:
        if first - start >= _SHORTEST_SECRET:
            yield start, first
        start = last
    if end - start >= _SHORTEST_SECRET:
        yield start, end


def _merged(found: list[Finding]) -> list[Finding]:
    merged: list[Finding] = []
    for finding in sorted(found):
        if merged and finding.start < merged[-1].end:
            last = merged[-1]
            first = min(last, finding, key=lambda one: (not one.shaped, KINDS.index(one.kind)))
            merged[-1] = first._replace(start=last.start, end=max(last.end, finding.end))
        else:
            merged.append(finding)
    return merged
