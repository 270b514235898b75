"""Puts together what each part of the extractor finds: no two finds share a character, the surer one stays."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from mira_ltmemory.services.graph.extract.found import EntityType, Found
from mira_ltmemory.services.graph.extract.names import names
from mira_ltmemory.services.graph.extract.patterns import code_spans, shaped

MAX_CHARS = 50_000
"""Of a longer text the beginning is read."""


def extract(
    text: str,
    said_at: datetime,
    *,
    people: Collection[str] = (),
    known: Mapping[str, EntityType] | None = None,
) -> list[Found]:
    """Find what a text speaks of, in its order.

    ``people`` are the names of those who speak in the conversation, ``known`` names that stand for something already.
    A date without a year is the one nearest to ``said_at``.
    """
    text = text[:MAX_CHARS]
    taken = bytearray(len(text))
    for start, end in code_spans(text):
        taken[start:end] = b"\1" * (end - start)
    found = [*shaped(text, said_at), *names(text, people, known or {})]
    chosen: list[Found] = []
    for each in sorted(found, key=lambda each: (-each.confidence, -(each.end - each.start), each.start)):
        if not any(taken[each.start : each.end]):
            taken[each.start : each.end] = b"\1" * (each.end - each.start)
            chosen.append(each)
    return sorted(chosen, key=lambda each: each.start)
