"""Answers of a model about what a window says."""

from __future__ import annotations

import json
from typing import Any

NONE = json.dumps({"facts": []})


def fact(text: str, quote: str, *messages: int, **more: Any) -> dict[str, Any]:
    """One fact, as the model proposes it."""
    return {"action": "add", "text": text, "quote": quote, "messages": list(messages) or [1], **more}


def answer(*facts: dict[str, Any]) -> str:
    """The model's whole answer."""
    return json.dumps({"facts": list(facts)})
