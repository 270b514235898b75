"""Candidates for a search, found by indexes in Postgres, with all that a ranking needs to know of them."""

from mira_ltmemory.store.search.candidates import Candidate, CandidateQuery, Candidates
from mira_ltmemory.store.search.centre import Centre
from mira_ltmemory.store.search.index import index_name, register_model
from mira_ltmemory.store.search.rows import Details, SearchRows
from mira_ltmemory.store.search.voices import Speakers

__all__ = [
    "Candidate",
    "CandidateQuery",
    "Candidates",
    "Centre",
    "Details",
    "SearchRows",
    "Speakers",
    "index_name",
    "register_model",
]
