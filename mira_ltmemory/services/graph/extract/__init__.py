"""Finds names, places, organisations, dates, addresses, handles and links in a text, without a model."""

from __future__ import annotations

from mira_ltmemory.services.graph.extract.finder import extract
from mira_ltmemory.services.graph.extract.found import EntityType, Found

__all__ = ["EntityType", "Found", "extract"]
