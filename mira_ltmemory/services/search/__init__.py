"""Search over messages and passages: one core for recall, archival memory and the prompt's own look-ups."""

from mira_ltmemory.services.search.searcher import QueryEmbedder, Searcher

__all__ = ["QueryEmbedder", "Searcher"]
