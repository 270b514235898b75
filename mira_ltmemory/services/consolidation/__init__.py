"""Consolidation: memory is kept small, in order and true, in one run a day that can be undone whole."""

from mira_ltmemory.services.consolidation.engine import Consolidated, ConsolidationEngine

__all__ = ["Consolidated", "ConsolidationEngine"]
