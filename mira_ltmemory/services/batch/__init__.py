"""Batches: captured messages in windows, each processed exactly once by the steps that are switched on."""

from mira_ltmemory.services.batch.own_words import OwnWords
from mira_ltmemory.services.batch.processor import BatchProcessor, BatchReport
from mira_ltmemory.services.batch.window import Window, WindowMessage, WindowStep

__all__ = ["BatchProcessor", "BatchReport", "OwnWords", "Window", "WindowMessage", "WindowStep"]
