"""Measures whether a search returns the messages that answer a question: no language model takes part.

Each conversation is the memory of a user of its own. Figures are means over questions that have evidence; those of
the category ``adversarial`` stand apart from their data set's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table

from mira_ltmemory.bench.measuring import Timing, figures_table, mean
from mira_ltmemory.bench.retrieval_data import Case
from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.protocols import Progress, no_progress

DEPTH = 50
"""Hits that each search is asked for."""

METRICS = ("R@5", "R@10", "R@20", "all@10", "any@10", "MRR", "nDCG@10")
APART = "adversarial"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a search found for one question."""

    dataset: str
    category: str
    question_id: str
    figures: Mapping[str, float]


def measure(
    memory: MemoryManager, cases: Sequence[Case], progress: Progress = no_progress
) -> tuple[list[Outcome], Timing]:
    """Store each conversation for a user of its own and ask its questions. Raises ``StoreError``."""
    outcomes: list[Outcome] = []
    timing = Timing()
    total = sum(len(case.questions) for case in cases)
    done = 0
    for number, case in enumerate(cases):
        own = memory.as_user(f"bench-{number}")
        own.import_messages(case.messages, case.conversation_id)
        own.process_pending()
        for question in case.questions:
            done += 1
            progress("asking", done, total)
            if not question.evidence:
                continue
            with timing.once():
                found = own.recall.search(question.text, limit=DEPTH)
            ranked = [hit.external_id or "" for hit in found.hits]
            outcomes.append(Outcome(case.dataset, question.category, question.id, figures(ranked, question.evidence)))
    return outcomes, timing


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


def _row(name: str, outcomes: Iterable[Outcome]) -> tuple[object, ...]:
    of = list(outcomes)
    return (name, len(of), *(mean(each.figures[metric] for each in of) for metric in METRICS))
