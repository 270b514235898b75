"""Whether a quote stands in what was said. Case and white space do not matter; nothing else is forgiven."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from mira_ltmemory.services.batch.window import WindowMessage

MIN_CHARS = 8
"""A shorter quote is evidence only where it is all that a message says."""


def normalised(text: str) -> str:
    """A text in lower case, with single spaces."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def quoted_in(quote: str, messages: Sequence[WindowMessage]) -> WindowMessage | None:
    """The first of the messages that holds the quote: those of people first, then those of the assistant."""
    wanted = normalised(quote).strip(" \"'“”„«»")
    if not wanted:
        return None
    for message in sorted(messages, key=lambda message: message.role != "user"):
        said = normalised(message.content)
        if wanted in said and (len(wanted) >= MIN_CHARS or wanted == said.strip(" .!?")):
            return message
    return None
