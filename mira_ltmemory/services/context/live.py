"""The conversation that the host holds at this moment: what the model sees anyway."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from mira_ltmemory.protocols import IncomingMessage, Origin, Role
from mira_ltmemory.services.untrusted import no_messages

_WHOLE = 1_000
_QUESTIONS = 500
_ENDS = 150
_QUESTION = re.compile(r"[^.!?。！？\n]{8,300}[?？]")


class LiveConversation:
    """Reads the host's live messages. ``messages`` is set by whoever attaches the memory to a host."""

    def __init__(self) -> None:
        self.messages: Callable[[], Sequence[IncomingMessage]] = no_messages


def last_of_user(messages: Sequence[IncomingMessage]) -> IncomingMessage | None:
    """The user's last message that says anything: the results of tools and reminders are not the user's."""
    for one in reversed(messages):
        if one.role is Role.USER and one.origin is Origin.USER and one.content.strip():
            return one
    return None


def as_query(text: str) -> str:
    """What to look for: a message as it is, or of a long one what it asks, with its beginning and its end.

    A pasted document would drown the question about it.
    """
    if len(text) <= _WHOLE:
        return text
    asked = " ".join(match.group().strip() for match in _QUESTION.finditer(text[-20_000:]))[-_QUESTIONS:]
    return f"{text[:_ENDS].strip()}\n{asked}\n{'' if asked else text[-2 * _ENDS :].strip()}".strip()
