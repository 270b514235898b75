"""Memory as it was: a read-only view of one moment, over blocks, passages, messages and the prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from mira_ltmemory.errors import UnknownLabel
from mira_ltmemory.protocols import Filter, Hit, Kind, SearchResult
from mira_ltmemory.services.block_work import BlockView
from mira_ltmemory.services.graph.manager import EntityManager
from mira_ltmemory.services.graph.views import EntityBrief, Lookup
from mira_ltmemory.services.history import HistoryService
from mira_ltmemory.services.search.rank import rank
from mira_ltmemory.services.search.searcher import NEWEST, Searcher, as_hit, in_order
from mira_ltmemory.store.models import Block
from mira_ltmemory.store.unit_of_work import Store


@dataclass(frozen=True, slots=True)
class MemoryAsOf:
    """Memory at the end of change set ``moment``. Changes nothing; may be used from several threads.

    The moment decides which rows there were. How frequent words are and the embedding model are today's; a version
    keeps its vector when it is superseded. Each method raises ``NotKept`` once that moment was vacuumed.
    ``render_blocks`` writes the prompt's part for core memory. What had ended at ``valid_at`` is left out of searches.
    """

    store: Store
    history: HistoryService
    searcher: Searcher
    graph: EntityManager
    render_blocks: Callable[[Sequence[BlockView]], str]
    moment: int
    valid_at: datetime | None = None

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
        filter = filter or Filter()
        tags = tuple(self.store.redact(tag) for tag in filter.tags)
        return self._search(Kind.PASSAGE, query, replace(filter, tags=tags), limit)

    def search_messages(self, query: str, filter: Filter | None = None, limit: int = 10) -> SearchResult:
        """Find messages as they were, best first; a blank query lists the newest. Raises ``InvalidArgument``."""
        return self._search(Kind.MESSAGE, query, filter or Filter(), limit)

    def passages(self, limit: int = 10, filter: Filter | None = None) -> list[Hit]:
        """The newest passages as they were, newest first."""
        return list(self.search("", filter, limit).hits)

    def entity(self, name: str) -> Lookup:
        """What a name stood for. Raises ``InvalidArgument``."""
        found = self.graph.lookup(name, moment=self.moment)
        self._require_kept()
        return found

    def entities(self, query: str, type: str | None = None, limit: int = 10) -> list[EntityBrief]:
        """Find entities as they were; a blank query lists those spoken of most. Raises ``InvalidArgument``."""
        found = self.graph.search(query, type, limit, moment=self.moment)
        self._require_kept()
        return found

    def _require_kept(self) -> None:
        with self.store.read() as unit:
            self.history.require_kept(unit, self.moment)

    def _search(self, kind: Kind, query: str, filter: Filter, limit: int) -> SearchResult:
        filter = replace(filter, valid_at=filter.valid_at or self.valid_at)
        asked = self.searcher.prepare(kind, query, filter, limit)
        if asked is None:
            return self._newest(kind, filter, limit)
        with self.store.read() as unit:
            past = unit.past.search(asked.wanted, self.moment)
            late = asked.late(unit, past.candidates)
            self.history.require_kept(unit, self.moment)
        found = past.candidates
        ranking = rank(found, asked.read, late)
        hits = [
            as_hit(kind, past.details[found.rows[index].id], float(ranking.scores[index]), ranking.of(index))
            for index in in_order(found, ranking, None)[:limit]
        ]
        return SearchResult(hits=tuple(hits), total=found.total, notes=asked.notes_on(found))

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
