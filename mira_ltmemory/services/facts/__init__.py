"""Facts: what a language model finds said in a window, checked against the words of the messages."""

from mira_ltmemory.services.facts.step import FactStep

__all__ = ["FactStep"]
