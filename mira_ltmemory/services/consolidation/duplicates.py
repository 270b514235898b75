"""Near-duplicates: found through the vector index, merged where one says all of the other; contradictions are marked.

A merge ends the passage that says less: it stays in the journal with a link to the one that stays, which gets its tags
and sources. Everything else that is near, but says something of its own, is left alone.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal
from uuid import UUID

from mira_ltmemory.errors import BudgetSpent, LLMError
from mira_ltmemory.protocols import LLM, Category, Clock, in_zone
from mira_ltmemory.services.consolidation.judging import is_cut, judge
from mira_ltmemory.services.consolidation.run import Run
from mira_ltmemory.services.consolidation.texts import Reading
from mira_ltmemory.services.consolidation.validity import BEGAN, of_one_validity, united_start
from mira_ltmemory.services.embeddings import EmbeddingService
from mira_ltmemory.store.consolidation import Mark, PassageChange, PassageFacts
from mira_ltmemory.store.unit_of_work import SqlUnitOfWork, Store

STEP = "duplicates"
JUDGED_STEP = "duplicates judged"
BATCH = 256
_LISTED = 16 * BATCH
"""Passages whose ids are read at once: where many were stored in one change set, each listing sorts all of them."""

NEAREST = 8
NEAR = 0.60
"""Cosine from which on two passages are looked at together."""

JUDGED = 0.75
"""Cosine from which on a model is asked about two passages of which neither says all of the other."""

LAST = UUID(int=2**128 - 1)
CONFLICTS = "conflicts"


@dataclass(frozen=True, slots=True)
class Finding:
    """What two passages are to each other. Of a merge, ``one`` stays and ``other`` ends."""

    kind: Literal["merge", "conflict"]
    one: PassageFacts
    other: PassageFacts
    why: str


@dataclass(slots=True)
class Findings:
    """What one batch found; a passage ends at most once, and nothing is merged into what ends."""

    merges: list[Finding] = field(default_factory=list)
    conflicts: list[Finding] = field(default_factory=list)
    ended: set[UUID] = field(default_factory=set)
    winners: set[UUID] = field(default_factory=set)

    def add(self, finding: Finding) -> None:
        """Take a finding, unless an earlier one of this batch stands against it; a later run looks again."""
        if finding.one.id in self.ended or finding.other.id in self.ended:
            return
        if finding.kind == "conflict":
            self.conflicts.append(finding)
        elif finding.other.id not in self.winners:
            self.merges.append(finding)
            self.ended.add(finding.other.id)
            self.winners.add(finding.one.id)


class Duplicates:
    """Finds and merges near-duplicates of one user, and marks contradictions. ``llm`` judges what rules cannot."""

    def __init__(
        self, store: Store, clock: Clock, embeddings: EmbeddingService, zone: dt.tzinfo, llm: LLM | None = None
    ) -> None:
        self._store = store
        self._clock = clock
        self._embeddings = embeddings
        self._zone = zone
        self._llm = llm

    def run(self, run: Run) -> None:
        """Look at every passage that is new or changed since the last run, batch by batch, and note how far it came."""
        model = self._embeddings.model
        if model is None:
            run.note("Near-duplicates were not looked for: there is no embedding model at hand.")
            return
        with self._store.read() as unit:
            mark, judged = unit.consolidation.mark(STEP), unit.consolidation.mark(JUDGED_STEP)
            through = unit.journal.last_id()
        llm, seen = self._llm, 0
        if llm is not None:
            llm = self._catch_up(run, judged, mark, model, llm)
        for batch in self._batches(mark, through):
            if not run.may_go_on():
                return
            llm = self._batch(run, batch, model, llm)
            seen += len(batch)
            run.counts["compared"] += len(batch)
            self._set(run, Mark(*batch[-1]), judged=llm is self._llm)
            run.progress("near-duplicates", seen, 0)
        if run.may_go_on():
            self._set(run, Mark(max(through, mark.through), LAST), judged=llm is self._llm)

    def _catch_up(self, run: Run, judged: Mark, mark: Mark, model: tuple[int, int], llm: LLM) -> LLM | None:
        """Have the model judge what the rules have seen already and it has not: it failed, or its budget was spent."""
        for listed in self._batches(judged, mark.through):
            batch = [each for each in listed if each <= (mark.through, mark.row_id)]
            if not run.may_go_on() or self._batch(run, batch, model, llm, rules=False) is None:
                return None
            if not run.dry and batch:
                with self._store.upkeep() as unit:
                    unit.consolidation.set_mark(JUDGED_STEP, *batch[-1], self._clock.now())
        return llm

    def _batch(
        self,
        run: Run,
        batch: Sequence[tuple[int, UUID]],
        model: tuple[int, int],
        llm: LLM | None,
        *,
        rules: bool = True,
    ) -> LLM | None:
        """Look at passages and what is near them; return the model that judged, none once it failed."""
        with self._store.read() as unit:
            pairs = unit.consolidation.neighbours([id for _, id in batch], *model, nearest=NEAREST, least=NEAR)
            known = unit.consolidation.passages(sorted({id for one, other, _ in pairs for id in (one, other)}))
        found, judged_by = self._look(run, pairs, known, llm, rules=rules)
        if not run.dry:
            self._apply(run, found)
        run.counts["merged"] += len(found.merges)
        run.counts["conflicts"] += len(found.conflicts)
        return judged_by

    def _batches(self, mark: Mark, through: int) -> Iterator[list[tuple[int, UUID]]]:
        """Change set and id of the passages to look at, batch by batch."""
        while True:
            with self._store.read() as unit:
                listed = unit.consolidation.next_passages(mark, through, _LISTED)
            if not listed:
                return
            for start in range(0, len(listed), BATCH):
                yield listed[start : start + BATCH]
            mark = Mark(*listed[-1])

    def _set(self, run: Run, mark: Mark, *, judged: bool) -> None:
        """Note how far the rules have come, and, where it was ``judged`` too or there is no model, the model."""
        if not run.dry:
            with self._store.upkeep() as unit:
                for step in (STEP, JUDGED_STEP) if judged else (STEP,):
                    unit.consolidation.set_mark(step, mark.through, mark.row_id, self._clock.now())

    def _look(
        self,
        run: Run,
        pairs: Iterable[tuple[UUID, UUID, float]],
        known: Mapping[UUID, PassageFacts],
        llm: LLM | None,
        *,
        rules: bool,
    ) -> tuple[Findings, LLM | None]:
        """Sort pairs, nearest first; without ``rules`` those that the rules decide are left alone.

        Returns the model too: none once it failed, so that it is not asked again.
        """
        found = Findings()
        open_pairs: list[tuple[PassageFacts, PassageFacts]] = []
        mergeable: set[tuple[UUID, UUID]] = set()
        readings = {row_id: Reading(each.content) for row_id, each in known.items()}
        for one_id, other_id, cosine in sorted(pairs, key=lambda pair: (-pair[2], pair[0], pair[1])):
            one, other = known.get(one_id), known.get(other_id)
            if one is None or other is None:
                continue
            first, second = readings[one_id], readings[other_id]
            finding = self._by_rule(one, other, first, second)
            if finding is not None and rules:
                found.add(finding)
            elif finding is None and cosine >= JUDGED and not first.contradicts(second):
                if self._may_be_one(one, other, first, second) and not (is_cut(one) or is_cut(other)):
                    mergeable.add((one_id, other_id))
                # What cannot be one may contradict each other all the same.
                if (one_id, other_id) in mergeable or (akin(one, other) and not marked(one, other)):
                    open_pairs.append((one, other))
        asked = [pair for pair in open_pairs if not found.ended & {pair[0].id, pair[1].id}]
        if llm is not None and asked:
            try:
                for finding in self._judged(llm, asked, run):
                    if finding.kind == "conflict" or _pair(finding) in mergeable:
                        found.add(finding)
            except BudgetSpent as error:
                run.note(f"Near passages were then compared by rule only: {error}")
                return found, None
            except LLMError as error:
                run.note(f"Near passages were then compared by rule only, the model failed: {error}")
                return found, None
        return found, llm

    def _by_rule(self, one: PassageFacts, other: PassageFacts, first: Reading, second: Reading) -> Finding | None:
        if first.contradicts(second):
            return None if marked(one, other) else Finding("conflict", one, other, "the same thing has two values")
        finding = self._containment(one, other, first.says_all_of(second), second.says_all_of(first))
        return finding if finding and self._may_be_one(one, other, first, second) else None

    def _containment(self, one: PassageFacts, other: PassageFacts, first: bool, second: bool) -> Finding | None:
        if first and second:
            return Finding("merge", *in_order_of_worth(one, other), "both say the same")
        if first and may_end(other, one):
            return Finding("merge", one, other, "the one that stays says all of it")
        if second and may_end(one, other):
            return Finding("merge", other, one, "the one that stays says all of it")
        return None

    def _judged(self, llm: LLM, pairs: Sequence[tuple[PassageFacts, PassageFacts]], run: Run) -> Iterable[Finding]:
        for one, other, verdict in judge(llm, pairs, self._zone):
            run.counts["judged"] += 1
            if verdict.relation == "conflict":
                if not marked(one, other):
                    yield Finding("conflict", one, other, verdict.reason)
            elif verdict.relation == "same":
                yield Finding("merge", *in_order_of_worth(one, other), verdict.reason)
            elif verdict.relation == "first_says_all" and may_end(other, one):
                yield Finding("merge", one, other, verdict.reason)
            elif verdict.relation == "second_says_all" and may_end(one, other):
                yield Finding("merge", other, one, verdict.reason)

    def _may_be_one(self, one: PassageFacts, other: PassageFacts, first: Reading, second: Reading) -> bool:
        """Whether both are of one side and may speak of the same time.

        What hangs on its day is the same on the same day only.
        """
        if not (may_merge(one, other) and of_one_validity(one, other, self._zone)):
            return False
        if not (first.hangs_on_its_day or second.hangs_on_its_day):
            return True
        return in_zone(one.said_at, self._zone).date() == in_zone(other.said_at, self._zone).date()

    def _apply(self, run: Run, found: Findings) -> None:
        for merges in _chunks(found.merges):
            with self._store.write(run.part("near-duplicates: the passage that says less ended")) as unit:
                run.counts["changed meanwhile"] += len(merges) - self._merge(unit, merges)
        for conflicts in _chunks(found.conflicts):
            with self._store.write(run.part("contradicting passages marked")) as unit:
                mark_conflicts(unit, [(each.one.id, each.other.id) for each in conflicts])

    def _merge(self, unit: SqlUnitOfWork, merges: Sequence[Finding]) -> int:
        """Merge passages, but for those of which either was changed since it was looked at: an edit meanwhile wins.

        Returns how many were merged.
        """
        now = unit.consolidation.passages([id for each in merges for id in (each.one.id, each.other.id)])
        good = [each for each in merges if _as_seen(each.one, now) and _as_seen(each.other, now)]
        at = self._clock.now()
        changes, winners = [], {each.one.id: now[each.one.id] for each in good}
        for each in good:
            loser, winner = now[each.other.id], winners[each.one.id]
            since, began = united_start(winner, loser)
            winners[winner.id] = replace(
                winner,
                tags=tuple(dict.fromkeys([*winner.tags, *loser.tags])),
                valid_from=since or winner.valid_from,
                meta={**winner.meta, **began},
            )
            note = {"merged_into": str(each.one.id), "merge_reason": unit_text(each.why)}
            changes.append(PassageChange(loser.id, loser.version, note, loser.tags, at))
        for winner in winners.values():
            if winner != now[winner.id]:
                note = {BEGAN: winner.meta[BEGAN]} if BEGAN in winner.meta else {}
                changes.append(PassageChange(winner.id, winner.version, note, winner.tags, since=winner.valid_from))
        unit.consolidation.change(changes)
        unit.consolidation.unite_sources([(each.one.id, each.other.id) for each in good])
        return len(good)


def mark_conflicts(unit: SqlUnitOfWork, pairs: Sequence[tuple[UUID, UUID]]) -> None:
    """Note at current passages that they contradict each other; both of a pair stay as they are."""
    now = unit.consolidation.passages(list({id for pair in pairs for id in pair}))
    marks: dict[UUID, list[str]] = defaultdict(list)
    for one_id, other_id in pairs:
        if one_id in now and other_id in now:
            marks[one_id].append(str(other_id))
            marks[other_id].append(str(one_id))
    changes = []
    for own, against in marks.items():
        known = [str(each) for each in now[own].meta.get(CONFLICTS, [])]
        note = {CONFLICTS: list(dict.fromkeys([*known, *against]))}
        changes.append(PassageChange(own, now[own].version, note, now[own].tags))
    unit.consolidation.change(changes)


def _pair(finding: Finding) -> tuple[UUID, UUID]:
    return min(finding.one.id, finding.other.id), max(finding.one.id, finding.other.id)


def _as_seen(seen: PassageFacts, now: Mapping[UUID, PassageFacts]) -> bool:
    return seen.id in now and now[seen.id].content == seen.content


def marked(one: PassageFacts, other: PassageFacts) -> bool:
    """Whether both are marked as contradicting each other already."""
    return str(other.id) in one.meta.get(CONFLICTS, ()) and str(one.id) in other.meta.get(CONFLICTS, ())


def may_merge(one: PassageFacts, other: PassageFacts) -> bool:
    """Whether two passages could be one: the same side said them, and neither is an insight."""
    return akin(one, other) and one.origin == other.origin and one.meta.get("speaker") == other.meta.get("speaker")


def akin(one: PassageFacts, other: PassageFacts) -> bool:
    """Whether two passages are of a kind that can be compared: an insight is about others."""
    return one.category == other.category or Category.INSIGHT not in (one.category, other.category)


def may_end(loser: PassageFacts, winner: PassageFacts) -> bool:
    """Whether one may end for the other: what was kept on request ends for its like only."""
    return loser.category != Category.NOTE or winner.category == Category.NOTE


def in_order_of_worth(one: PassageFacts, other: PassageFacts) -> tuple[PassageFacts, PassageFacts]:
    """Of two that say the same, first the one that stays: a note, then the longer, then the older."""
    first, second = sorted(
        (one, other), key=lambda each: (each.category != Category.NOTE, -len(each.content), each.said_at, each.id)
    )
    return first, second


def unit_text(reason: str) -> str:
    """A reason as metadata keep it: one short line."""
    return " ".join(reason.split())[:200]


def _chunks(findings: Sequence[Finding], size: int = 64) -> Iterable[Sequence[Finding]]:
    for start in range(0, len(findings), size):
        yield findings[start : start + size]
