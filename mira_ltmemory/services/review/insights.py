"""Keeps patterns as insights: one passage for each, told anew when it changes and ended when it holds no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID, uuid5

from mira_ltmemory.protocols import Category, Change, Clock, Json, Kind, Origin
from mira_ltmemory.services.review import habits, preferences, topics
from mira_ltmemory.services.review.patterns import Pattern
from mira_ltmemory.services.untrusted import link
from mira_ltmemory.store.models import Passage, content_hash
from mira_ltmemory.store.review import NoticedRow
from mira_ltmemory.store.unit_of_work import SqlUnitOfWork, Store

KINDS = (topics.KIND, habits.KIND, preferences.KIND)
_ENDING = (topics.KIND, habits.KIND)
"""These end when they are noticed no more; that a preference changed stays true."""

_LINKED = 30


class InsightKeeper:
    """Writes the insights of one user."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def settle(self, patterns: Sequence[Pattern], change: Change) -> Mapping[str, int]:
        """Make the insights say what these patterns say, as one change set; nothing is written where nothing changed.

        Returns counts by name. Raises ``StoreError``.
        """
        with self._store.read() as unit:
            if not self._work(unit, patterns):
                return {"insights_added": 0, "insights_changed": 0, "insights_ended": 0}
        with self._store.write(change) as unit:
            work = self._work(unit, patterns)
            counts = {"insights_added": 0, "insights_changed": 0, "insights_ended": 0}
            for row, pattern in work:
                if pattern is None and row is not None:
                    counts["insights_ended"] += unit.passages.end(row.id, self._clock.now())
                elif pattern is not None and row is None:
                    counts["insights_added"] += self._add(unit, pattern)
                elif pattern is not None and row is not None:
                    self._change(unit, row, pattern)
                    counts["insights_added" if row.ended else "insights_changed"] += 1
            return counts

    def _work(self, unit: SqlUnitOfWork, patterns: Sequence[Pattern]) -> list[tuple[NoticedRow | None, Pattern | None]]:
        """What is to be done: a pattern without a row is new, a row without a pattern holds no more.

        What a person undid is not done again, until there is newer evidence of it.
        """
        known, undone = unit.review.noticed(), unit.review.undone()
        away = [row for row in undone if row.id not in {each.id for each in known}]
        before = {row.id: row for row in undone}
        work: list[tuple[NoticedRow | None, Pattern | None]] = []
        met: set[UUID] = set()
        for pattern in patterns:
            row = _same(known, pattern, unit.user_id, met)
            if row is not None:
                met.add(row.id)
            taken_back = before.get(row.id) if row is not None else _same(away, pattern, unit.user_id, set())
            if taken_back is not None and not taken_back.ended and not _is_newer(pattern, taken_back):
                continue
            if row is None or row.ended or row.content != self._text(pattern):
                work.append((row, pattern))
        over = [row for row in known if not row.ended and row.id not in met and row.note.get("pattern") in _ENDING]
        return work + [(row, None) for row in over if not (row.id in before and before[row.id].ended)]

    def _add(self, unit: SqlUnitOfWork, pattern: Pattern) -> int:
        text = self._text(pattern)
        id = row_id(unit.user_id, pattern)
        erased = unit.erasure.tombstoned(Kind.PASSAGE.value, [id])
        if erased or unit.erasure.text_erased(content_hash(text)) is not None:
            return 0
        unit.passages.add(
            [
                Passage(
                    user_id=unit.user_id,
                    id=id,
                    change_set_id=unit.change_set_id,
                    origin=Origin.USER.value,
                    content=text,
                    content_hash=content_hash(text),
                    said_at=self._clock.now(),
                    category=Category.INSIGHT.value,
                    valid_from=pattern.since,
                    meta=self._note(pattern),
                )
            ]
        )
        unit.words.add(Kind.PASSAGE, [(id, text)])
        self._join(unit, id, pattern)
        return 1

    def _change(self, unit: SqlUnitOfWork, row: NoticedRow, pattern: Pattern) -> None:
        text = self._text(pattern)
        unit.review.rewrite(
            row.id, text, content_hash(text), since=pattern.since, now=self._clock.now(), note=self._note(pattern)
        )
        unit.words.replace(Kind.PASSAGE, [(row.id, text)])
        self._join(unit, row.id, pattern)

    def _join(self, unit: SqlUnitOfWork, id: UUID, pattern: Pattern) -> None:
        """Link an insight with its first and its newest evidence, and have it embedded by the next processing."""
        evidence = [str(one) for one in dict.fromkeys([pattern.evidence[0], *pattern.evidence[-_LINKED:]])]
        link(unit, Kind.PASSAGE, id, evidence, Origin.USER)
        unit.vectors.enqueue(Kind.PASSAGE, [id])

    def _text(self, pattern: Pattern) -> str:
        return self._store.redact(pattern.text)

    def _note(self, pattern: Pattern) -> Json:
        return {
            "pattern": pattern.kind,
            "key": self._store.redact(pattern.key),
            "terms": [self._store.redact(term) for term in pattern.terms],
            "evidence_count": pattern.count,
            "last": pattern.until.isoformat(),
            **({"of_passages": True} if pattern.of_passages else {}),
        }


def row_id(user_id: UUID, pattern: Pattern) -> UUID:
    """The id of a pattern's insight: the same whenever it is noticed."""
    return uuid5(user_id, f"insight:{pattern.kind}:{pattern.key}")


def _same(known: Sequence[NoticedRow], pattern: Pattern, user_id: UUID, met: set[UUID]) -> NoticedRow | None:
    """The row of a pattern: by its id, or one in force that is about the same thing in other words."""
    free = [row for row in known if row.id not in met and row.note.get("pattern") == pattern.kind]
    terms = set(pattern.terms)
    about = next((row for row in free if not row.ended and terms & set(row.note.get("terms", ()))), None)
    return about or next((row for row in free if row.id == row_id(user_id, pattern)), None)


def _is_newer(pattern: Pattern, row: NoticedRow) -> bool:
    """Whether a pattern rests on something that was said since what was noted in a row."""
    last = row.note.get("last")
    return not isinstance(last, str) or pattern.until > datetime.fromisoformat(last)
