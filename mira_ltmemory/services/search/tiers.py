"""Searches of both tiers: the indexes first; cold storage when it is asked for, or when nothing likely was found."""

from __future__ import annotations

from dataclasses import replace
from itertools import zip_longest

from mira_ltmemory.errors import InvalidArgument
from mira_ltmemory.protocols import Filter, Kind, SearchResult
from mira_ltmemory.services.search.likely import UNLIKELY, judge
from mira_ltmemory.services.search.rank import rank
from mira_ltmemory.services.search.searcher import Searcher, as_result, in_order
from mira_ltmemory.store.unit_of_work import Store

HOT, COLD = "hot", "cold"

FELL_BACK = "Nothing likely was found in current memory: hits of tier 'cold' are from cold storage (old, seldom used)."
COLD_ONLY = "Searched in cold storage: old memories that were seldom used."


class TieredSearcher:
    """Searches one user's messages and passages wherever they are kept.

    ``Filter.tiers`` says where: none asks the indexes, and cold storage only where those have nothing likely.
    """

    def __init__(self, store: Store, searcher: Searcher) -> None:
        self._store = store
        self._searcher = searcher

    def search(
        self, kind: Kind, query: str, filter: Filter, limit: int, *, min_cosine: float | None = None
    ) -> SearchResult:
        """Find rows by words and meaning, best first, at most ``limit``. Raises as `Searcher.search` does."""
        with self._store.reading():
            return self._search(kind, query, filter, limit, min_cosine)

    def _search(self, kind: Kind, query: str, filter: Filter, limit: int, min_cosine: float | None) -> SearchResult:
        unknown = set(filter.tiers) - {HOT, COLD}
        if unknown:
            raise InvalidArgument(f"tiers must be among 'hot' and 'cold', not {sorted(unknown)[0]!r}.")
        plain = replace(filter, tiers=())
        if not filter.tiers:
            found = self._searcher.search(kind, query, plain, limit, min_cosine=min_cosine)
            if found.likely or not query.strip() or not self._has_cold(kind):
                return found
            older = self._cold(kind, query, plain, limit, min_cosine)
            return _joined(found, older, limit, FELL_BACK) if older.hits else found
        if COLD not in filter.tiers:
            return self._searcher.search(kind, query, plain, limit, min_cosine=min_cosine)
        if not query.strip():
            # Rows are listed from their table, whichever tier they are in.
            listed = plain if kind is Kind.MESSAGE else filter
            return self._searcher.search(kind, query, listed, limit, min_cosine=min_cosine)
        older = self._cold(kind, query, plain, limit, min_cosine)
        if HOT not in filter.tiers:
            return replace(older, notes=(COLD_ONLY, *older.notes))
        return _joined(self._searcher.search(kind, query, plain, limit, min_cosine=min_cosine), older, limit, None)

    def forget(self) -> None:
        """Forget what the searches keep in memory."""
        self._searcher.forget()

    def _has_cold(self, kind: Kind) -> bool:
        with self._store.read() as unit:
            return unit.cold.any(kind)

    def _cold(self, kind: Kind, query: str, filter: Filter, limit: int, min_cosine: float | None) -> SearchResult:
        asked = self._searcher.prepare(kind, query, filter, limit)
        assert asked is not None, "a blank query is answered by the newest rows"
        with self._store.read() as unit:
            found = unit.cold.candidates(asked.wanted)
            if not found.rows:
                return SearchResult(hits=(), total=found.total, notes=asked.notes)
            ranking = rank(found, asked.read)
            chosen = in_order(found, ranking, min_cosine)[:limit]
            details = unit.search.details(kind, [found.rows[index].id for index in chosen])
            judged = judge(unit, kind, found, ranking, asked.read)
        result = as_result(kind, asked, found, ranking, chosen, details, judged)
        return replace(result, hits=tuple(replace(hit, tier=COLD) for hit in result.hits))


def _joined(found: SearchResult, older: SearchResult, limit: int, note: str | None) -> SearchResult:
    """Both results in one, in turn: scores of two tiers, of which one knows less of its rows, cannot be compared."""
    pairs = zip_longest(found.hits, older.hits)
    hits = [hit for pair in pairs for hit in pair if hit is not None]
    likely = found.likely or older.likely
    notes = dict.fromkeys([*([note] if note else []), *found.notes, *older.notes])
    told = tuple(each for each in notes if each != UNLIKELY or not likely)
    return replace(found, hits=tuple(hits[:limit]), total=found.total + older.total, notes=told, likely=likely)
