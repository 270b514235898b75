"""Finds names, places, organisations, dates, addresses, handles and links in a text, without a model."""

from __future__ import annotations

from mira_ltmemory.services.graph.extract.finder import extract
from mira_ltmemory.services.graph.extract.found import EntityType, Found
from mira_ltmemory.services.graph.extract.names import is_name
from mira_ltmemory.services.graph.extract.relations import THE_USER, Stated, stated, stated_of_oneself

__all__ = ["THE_USER", "EntityType", "Found", "Stated", "extract", "is_name", "stated", "stated_of_oneself"]
