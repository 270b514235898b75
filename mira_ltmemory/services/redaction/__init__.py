"""Replaces secrets in text by typed marks such as `[redacted: api key]`, before anything is stored or embedded."""

from __future__ import annotations

from mira_ltmemory.services.redaction.engine import Redaction, Redactor

__all__ = ["Redaction", "Redactor"]
