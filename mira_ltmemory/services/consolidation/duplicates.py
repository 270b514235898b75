"""Near-duplicates: found through the vector index, merged where one says all of the other; contradictions are marked.

A merge ends the passage that says less: it stays in the journal with a link to the one that stays, which gets its tags
and sources. Everything else that is near, but says something of its own, is left alone.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from mira_ltmemory.errors import BudgetSpent, LLMError
from mira_ltmemory.protocols import LLM, Category, Clock, in_zone
from mira_ltmemory.services.consolidation.judging import judge
from mira_ltmemory.services.consolidation.run import Run
from mira_ltmemory.services.consolidation.texts import contradict, hangs_on_its_day, says_all_of
from mira_ltmemory.services.embeddings import EmbeddingService
from mira_ltmemory.store.consolidation import Mark, PassageFacts
from mira_ltmemory.store.unit_of_work import SqlUnitOfWork, Store

STEP = "duplicates"
BATCH = 256
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
        model_id, dimension = model
        with self._store.read() as unit:
            mark, through = unit.consolidation.mark(STEP), unit.journal.last_id()
        llm, seen = self._llm, 0
        unjudged: Mark | None = None  # before the first batch that the model did not judge: the next run begins there
        while run.may_go_on():
            with self._store.read() as unit:
                batch = unit.consolidation.next_passages(mark, through, BATCH)
                pairs = unit.consolidation.neighbours(
                    [row_id for _, row_id in batch], model_id, dimension, nearest=NEAREST, least=NEAR
                )
                known = unit.consolidation.passages(sorted({id for one, other, _ in pairs for id in (one, other)}))
            if not batch:
                self._set(run, unjudged or Mark(max(through, mark.through), LAST))
                return
            found, judged_by = self._look(run, pairs, known, llm)
            if llm is not None and judged_by is None:
                unjudged = unjudged or mark
            llm = judged_by
            if not run.dry:
                self._apply(run, found)
            run.counts["merged"] += len(found.merges)
            run.counts["conflicts"] += len(found.conflicts)
            mark = Mark(*batch[-1])
            self._set(run, unjudged or mark)
            seen += len(batch)
            run.counts["compared"] += len(batch)
            run.progress("near-duplicates", seen, 0)

    def _set(self, run: Run, mark: Mark) -> None:
        if not run.dry:
            with self._store.upkeep() as unit:
                unit.consolidation.set_mark(STEP, mark.through, mark.row_id, self._clock.now())

    def _look(
        self,
        run: Run,
        pairs: Iterable[tuple[UUID, UUID, float]],
        known: Mapping[UUID, PassageFacts],
        llm: LLM | None,
    ) -> tuple[Findings, LLM | None]:
        """Sort pairs, nearest first. Returns the model too: none once it failed, so that it is not asked again."""
        found = Findings()
        open_pairs: list[tuple[PassageFacts, PassageFacts]] = []
        for one_id, other_id, cosine in sorted(pairs, key=lambda pair: (-pair[2], pair[0], pair[1])):
            one, other = known.get(one_id), known.get(other_id)
            if one is None or other is None:
                continue
            finding = self._by_rule(one, other)
            if finding is not None:
                found.add(finding)
            elif cosine >= JUDGED and may_merge(one, other):
                open_pairs.append((one, other))
        asked = [pair for pair in open_pairs if not found.ended & {pair[0].id, pair[1].id}]
        if llm is not None and asked:
            try:
                for finding in self._judged(llm, asked, run):
                    found.add(finding)
            except BudgetSpent as error:
                run.note(f"Near passages were then compared by rule only: {error}")
                return found, None
            except LLMError as error:
                run.note(f"Near passages were then compared by rule only, the model failed: {error}")
                return found, None
        return found, llm

    def _by_rule(self, one: PassageFacts, other: PassageFacts) -> Finding | None:
        if contradict(one.content, other.content):
            return None if marked(one, other) else Finding("conflict", one, other, "the same thing has two values")
        if not may_merge(one, other) or not self._of_one_time(one, other):
            return None
        first, second = says_all_of(one.content, other.content), says_all_of(other.content, one.content)
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

    def _of_one_time(self, one: PassageFacts, other: PassageFacts) -> bool:
        """Whether both may speak of the same time: what hangs on its day is the same on the same day only."""
        if not (hangs_on_its_day(one.content) or hangs_on_its_day(other.content)):
            return True
        return in_zone(one.said_at, self._zone).date() == in_zone(other.said_at, self._zone).date()

    def _apply(self, run: Run, found: Findings) -> None:
        for merges in _chunks(found.merges):
            with self._store.write(run.part("near-duplicates: the passage that says less ended")) as unit:
                for merge in merges:
                    if not self._merge(unit, merge):
                        run.counts["changed meanwhile"] += 1
        for conflicts in _chunks(found.conflicts):
            with self._store.write(run.part("contradicting passages marked")) as unit:
                for conflict in conflicts:
                    mark_conflict(unit, conflict.one.id, conflict.other.id)

    def _merge(self, unit: SqlUnitOfWork, merge: Finding) -> bool:
        """Merge two passages, unless either was changed since it was looked at: an edit meanwhile wins."""
        now = unit.consolidation.passages([merge.one.id, merge.other.id])
        one, other = now.get(merge.one.id), now.get(merge.other.id)
        if one is None or other is None or one.content != merge.one.content or other.content != merge.other.content:
            return False
        at = self._clock.now()
        note = {"merged_into": str(one.id), "merge_reason": unit_text(merge.why)}
        if not unit.consolidation.end(other.id, other.version, at, note):
            return False
        unit.consolidation.unite_sources(one.id, other.id)
        tags = list(dict.fromkeys([*one.tags, *other.tags]))
        if tags != list(one.tags):
            unit.consolidation.note(one.id, one.version, {}, tags)
        return True


def mark_conflict(unit: SqlUnitOfWork, one_id: UUID, other_id: UUID) -> None:
    """Note at two current passages that they contradict each other; both stay as they are."""
    now = unit.consolidation.passages([one_id, other_id])
    for own, against in ((one_id, other_id), (other_id, one_id)):
        if own in now and against in now:
            known = [str(each) for each in now[own].meta.get(CONFLICTS, [])]
            marks = list(dict.fromkeys([*known, str(against)]))
            unit.consolidation.note(own, now[own].version, {CONFLICTS: marks}, now[own].tags)


def marked(one: PassageFacts, other: PassageFacts) -> bool:
    """Whether both are marked as contradicting each other already."""
    return str(other.id) in one.meta.get(CONFLICTS, ()) and str(one.id) in other.meta.get(CONFLICTS, ())


def may_merge(one: PassageFacts, other: PassageFacts) -> bool:
    """Whether two passages could be one: the same side said them of the same time, and neither is an insight."""
    if Category.INSIGHT in (one.category, other.category) and one.category != other.category:
        return False
    same_side = one.origin == other.origin and one.meta.get("speaker") == other.meta.get("speaker")
    return same_side and one.valid_from == other.valid_from


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
