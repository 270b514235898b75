"""Search over messages and passages: one core for recall, archival memory and the prompt's own look-ups."""

from mira_ltmemory.services.search.searcher import EmbeddedQuery, QueryEmbedder, Searcher
from mira_ltmemory.services.search.tiers import TieredSearcher

__all__ = ["EmbeddedQuery", "QueryEmbedder", "Searcher", "TieredSearcher"]
