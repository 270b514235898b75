"""Asking a language model: within a run's budget, and for answers of a given form."""

from mira_ltmemory.services.asking.answers import answers, ask
from mira_ltmemory.services.asking.budget import MeteredLLM, RunBudget, Usage

__all__ = ["MeteredLLM", "RunBudget", "Usage", "answers", "ask"]
