"""Imports conversations from files: MIRA's own, and JSON Lines."""

from __future__ import annotations

from mira_ltmemory.hosts.importers.reader import read_conversations, read_file
from mira_ltmemory.hosts.importers.records import ImportProblem, ImportSummary
from mira_ltmemory.hosts.importers.service import import_conversations

__all__ = ["ImportProblem", "ImportSummary", "import_conversations", "read_conversations", "read_file"]
