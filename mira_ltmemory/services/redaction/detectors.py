"""All the detectors; importing this module compiles their patterns."""

from __future__ import annotations

from mira_ltmemory.services.redaction import blocks, context, numbers, tokens
from mira_ltmemory.services.redaction.findings import Finding
from mira_ltmemory.services.redaction.values import lower_same_length


def detect(text: str) -> list[Finding]:
    """Everything in `text` that a detector takes for a secret; findings may overlap."""
    lowered = lower_same_length(text)
    return [finding for module in (blocks, tokens, context, numbers) for finding in module.find(text, lowered)]
