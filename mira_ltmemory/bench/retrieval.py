"""Measures whether a search returns the messages that answer a question: no language model takes part.

Each conversation is the memory of a user of its own. Figures are means over questions that have evidence; those of
the category ``adversarial`` stand apart from their data set's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.table import Table

from mira_ltmemory.bench.measuring import Timing, figures_table, mean
from mira_ltmemory.bench.retrieval_data import Case, Question
from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.protocols import Actor, Change, JobRun, Progress, no_progress

DEPTH = 50
"""Hits that each search is asked for."""

STRANGERS = 60
"""Questions of another conversation that each is asked."""

_RUN = JobRun(
    name="calibrate_search",
    scheduled_for=datetime(1970, 1, 1, tzinfo=UTC),
    change=Change(Actor.AUTOMATION, "calibrate_search"),
)

METRICS = ("R@5", "R@10", "R@20", "all@10", "any@10", "MRR", "nDCG@10")
APART = "adversarial"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a search found for one question."""

    dataset: str
    category: str
    question_id: str
    figures: Mapping[str, float]
    likely: bool = True


@dataclass(frozen=True, slots=True)
class Stranger:
    """A question whose answer is in another conversation, and whether the search took its find for an answer."""

    dataset: str
    question_id: str
    likely: bool


def measure(
    memory: MemoryManager, cases: Sequence[Case], progress: Progress = no_progress, *, strangers: int = STRANGERS
) -> tuple[list[Outcome], list[Stranger], Timing]:
    """Store each conversation for a user of its own, ask its questions, and up to ``strangers`` of another one's.

    Raises ``StoreError``.
    """
    outcomes: list[Outcome] = []
    strange: list[Stranger] = []
    timing = Timing()
    asked = [_of_another(cases, number, strangers) for number in range(len(cases))]
    total = sum(len(case.questions) + len(others) for case, others in zip(cases, asked, strict=True))
    done = 0
    for number, case in enumerate(cases):
        own = memory.as_user(f"bench-{number}")
        own.import_messages(case.messages, case.conversation_id)
        own.process_pending()
        own.calibration.run(_RUN)
        for question in case.questions:
            done += 1
            progress("asking", done, total)
            if not question.evidence:
                continue
            with timing.once():
                found = own.recall.search(question.text, limit=DEPTH)
            ranked = [hit.external_id or "" for hit in found.hits]
            told = figures(ranked, question.evidence)
            outcomes.append(Outcome(case.dataset, question.category, question.id, told, found.likely))
        for question in asked[number]:
            done += 1
            progress("asking", done, total)
            strange.append(Stranger(case.dataset, question.id, own.recall.search(question.text, limit=DEPTH).likely))
    return outcomes, strange, timing


def _of_another(cases: Sequence[Case], number: int, count: int) -> tuple[Question, ...]:
    """Answerable questions of the next conversation of the same data set, evenly chosen."""
    same = [place for place, case in enumerate(cases) if case.dataset == cases[number].dataset]
    if len(same) < 2 or count < 1:
        return ()
    other = cases[same[(same.index(number) + 1) % len(same)]]
    known = [each for each in other.questions if each.evidence and each.category != APART]
    return tuple(known[:: max(1, -(-len(known) // count))])


def figures(ranked: Sequence[str], evidence: frozenset[str]) -> dict[str, float]:
    """Every metric of one ranking, best first, against the evidence, which must not be empty."""
    hit = [each in evidence for each in dict.fromkeys(ranked)]
    first = hit.index(True) + 1 if any(hit) else 0
    gained = sum(found / math.log2(place + 2) for place, found in enumerate(hit[:10]))
    best = sum(1 / math.log2(place + 2) for place in range(min(10, len(evidence))))
    return {
        **{f"R@{depth}": sum(hit[:depth]) / len(evidence) for depth in (5, 10, 20)},
        "all@10": float(sum(hit[:10]) == len(evidence)),
        "any@10": float(any(hit[:10])),
        "MRR": 1 / first if first else 0.0,
        "nDCG@10": gained / best,
    }


def outcome_table(outcomes: Sequence[Outcome]) -> Table:
    """Means by data set, then by category."""
    rows: list[tuple[object, ...]] = []
    for dataset in dict.fromkeys(each.dataset for each in outcomes):
        of_set = [each for each in outcomes if each.dataset == dataset]
        headline = [each for each in of_set if each.category != APART]
        if headline:
            rows.append(_row(dataset, headline))
        categories = sorted({each.category for each in of_set})
        rows += [_row(f"  {name}", [each for each in of_set if each.category == name]) for name in categories]
    return figures_table("Evidence found", ("", "questions", *METRICS), rows)


def abstention_table(outcomes: Sequence[Outcome], strange: Sequence[Stranger]) -> Table:
    """How often a search said that nothing was likely: for questions with evidence, and for another one's."""
    rows: list[tuple[object, ...]] = []
    for dataset in dict.fromkeys(each.dataset for each in outcomes):
        own = [each for each in outcomes if each.dataset == dataset and each.category != APART]
        others = [each for each in strange if each.dataset == dataset]
        flagged = (mean(float(not each.likely) for each in some) for some in (own, others))
        rows.append((dataset, len(own), len(others), *flagged))
    columns = ("", "answerable", "another's", "flagged of answerable", "flagged of another's")
    return figures_table("Nothing likely", columns, rows)


def _row(name: str, outcomes: Iterable[Outcome]) -> tuple[object, ...]:
    of = list(outcomes)
    return (name, len(of), *(mean(each.figures[metric] for each in of) for metric in METRICS))
