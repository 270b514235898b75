"""Consolidation: memory is kept small, in order and true, in one run a day that can be undone whole."""
