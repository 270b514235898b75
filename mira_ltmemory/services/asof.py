"""Memory as it was: a read-only view of one moment, over blocks, passages, messages and the prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mira_ltmemory.errors import InvalidArgument, UnknownLabel
from mira_ltmemory.protocols import Filter, Hit, Kind, SearchResult
from mira_ltmemory.services.blocks import BlockView
from mira_ltmemory.services.history import HistoryService
from mira_ltmemory.services.search import QueryEmbedder
from mira_ltmemory.services.search.rank import rank
from mira_ltmemory.services.search.searcher import (
    CANDIDATES,
    CUT,
    MAX_LIMIT,
    MAX_QUERY_CHARS,
    NEWEST,
    NOT_EMBEDDED,
    WORDS_ONLY,
    as_hit,
    in_order,
)
from mira_ltmemory.store.analysis import query_terms
from mira_ltmemory.store.models import Block
from mira_ltmemory.store.search import CandidateQuery
from mira_ltmemory.store.unit_of_work import Store


@dataclass(frozen=True, slots=True)
class MemoryAsOf:
    """Memory at the end of change set ``moment``. Changes nothing; may be used from several threads.

    The moment decides which rows there were. How frequent words are and the embedding model are today's; a version
    keeps its vector when it is superseded. Each method raises ``NotKept`` once that moment was vacuumed.
    ``render_blocks`` writes the prompt's part for core memory.
    """

    store: Store
    history: HistoryService
    embeddings: QueryEmbedder | None
    render_blocks: Callable[[Sequence[BlockView]], str]
    moment: int

    def blocks(self) -> list[BlockView]:
        """Every block as it was, in the order of the prompt."""
        rows = self.history.rows_at(Block, self.moment)
        return [_view(row) for row in sorted(rows, key=lambda row: (row["position"], row["label"]))]

    def block(self, label: str) -> BlockView:
        """One block as it was. Raises ``UnknownLabel``."""
        blocks = self.blocks()
        for block in blocks:
            if block.label == label:
                return block
        known = ", ".join(repr(block.label) for block in blocks) or "none"
        raise UnknownLabel(
            f"There was no core memory block {str(label)[:80]!r} after change set {self.moment}; there were: {known}."
        )

    def render(self) -> str:
        """The prompt's part for core memory as it was; empty where there were no blocks."""
        return self.render_blocks(self.blocks())

    def search(self, query: str, filter: Filter | None = None, limit: int = 10) -> SearchResult:
        """Find passages as they were, best first; a blank query lists the newest. Raises ``InvalidArgument``."""
        return self._search(Kind.PASSAGE, query, filter or Filter(), limit)

    def search_messages(self, query: str, filter: Filter | None = None, limit: int = 10) -> SearchResult:
        """Find messages as they were, best first; a blank query lists the newest. Raises ``InvalidArgument``."""
        return self._search(Kind.MESSAGE, query, filter or Filter(), limit)

    def passages(self, limit: int = 10, filter: Filter | None = None) -> list[Hit]:
        """The newest passages as they were, newest first."""
        return list(self.search("", filter, limit).hits)

    def _search(self, kind: Kind, query: str, filter: Filter, limit: int) -> SearchResult:
        if not 1 <= limit <= MAX_LIMIT:
            raise InvalidArgument(f"limit must be between 1 and {MAX_LIMIT:,}, not {limit}.")
        asked = query[:MAX_QUERY_CHARS].replace("\0", " ").encode("utf-8", "replace").decode("utf-8").strip()
        if not asked:
            return self._newest(kind, filter, limit)
        notes = [CUT] if len(query) > MAX_QUERY_CHARS else []
        # Embedded before the transaction begins: no connection is held while the model works.
        embedded = self.embeddings.embed_query(asked) if self.embeddings is not None else None
        if embedded is None:
            notes.append(WORDS_ONLY)
        number = max(CANDIDATES, 2 * limit)
        wanted = CandidateQuery(
            kind=kind,
            filter=filter,
            terms=query_terms(asked),
            vector=embedded[1] if embedded else None,
            model_id=embedded[0] if embedded else 0,
            by_words=number,
            by_vector=number,
        )
        with self.store.read() as unit:
            past = unit.past.search(wanted, self.moment)
            self.history.require_kept(unit, self.moment)
        found = past.candidates
        ranking = rank(found)
        if embedded is not None and np.isnan(found.cosine[found.eligible]).any():
            notes.append(NOT_EMBEDDED)
        hits = [
            as_hit(kind, past.details[found.rows[index].id], float(ranking.scores[index]), ranking.of(index))
            for index in in_order(found, ranking, None)[:limit]
        ]
        return SearchResult(hits=tuple(hits), total=found.total, notes=tuple(notes))

    def _newest(self, kind: Kind, filter: Filter, limit: int) -> SearchResult:
        with self.store.read() as unit:
            rows, total = unit.past.newest(kind, filter, self.moment, limit)
            self.history.require_kept(unit, self.moment)
        hits = tuple(as_hit(kind, row, -float(place), {}) for place, row in enumerate(rows))
        return SearchResult(hits=hits, total=total, notes=(NEWEST,))


def _view(row: dict[str, Any]) -> BlockView:
    return BlockView(
        label=row["label"],
        description=row["description"],
        content=row["content"],
        limit=row["char_limit"],
        version=row["version"],
        read_only=row["read_only"],
    )
