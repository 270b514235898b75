"""Errors of the small host, and the wrapper that turns foreign exceptions into them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto
from typing import Any, Protocol
from uuid import uuid4

logger = logging.getLogger(__name__)

ERROR_CATEGORY = "error_for_analysis"
REDACTED = "[REDACTED SENSITIVE INFORMATION]"
_SECRET_WORDS = ("token", "bearer", "key", "auth", "password", "secret")


class ErrorCode(Enum):
    """What kind of failure it was."""

    UNKNOWN_ERROR = auto()
    CONFIG_NOT_FOUND = auto()
    FILE_NOT_FOUND = auto()
    API_RESPONSE_ERROR = auto()
    INVALID_INPUT = auto()
    TOOL_NOT_FOUND = auto()
    TOOL_NOT_ENABLED = auto()
    TOOL_DUPLICATE_NAME = auto()
    TOOL_REGISTRATION_ERROR = auto()
    TOOL_CIRCULAR_DEPENDENCY = auto()
    TOOL_EXECUTION_ERROR = auto()
    TOOL_INVALID_INPUT = auto()
    TOOL_INVALID_PARAMETERS = auto()


class AgentError(Exception):
    """Base of the host's errors; it prints as ``[CODE] message``."""

    def __init__(
        self,
        message: str,
        code: ErrorCode = ErrorCode.UNKNOWN_ERROR,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.details = details or {}

    def __str__(self) -> str:
        return f"[{self.code.name}] {self.message}"


class ToolError(AgentError):
    """A tool, the repository or the automation engine refused or failed."""

    def __init__(
        self,
        message: str,
        code: ErrorCode = ErrorCode.TOOL_EXECUTION_ERROR,
        details: dict[str, Any] | None = None,
        retry_with: dict[str, Any] | None = None,
        try_instead: str | None = None,
    ) -> None:
        super().__init__(message, code, details)
        self.retry_with = retry_with
        self.try_instead = try_instead


class ConversationError(AgentError):
    """A turn of the conversation could not be finished."""


class BridgeError(AgentError):
    """The model's server could not be reached, refused, or broke off.

    ``status`` is the HTTP status (``None`` when there was no answer) and ``body`` the answer's text.
    """

    def __init__(self, message: str, status: int | None = None, body: str = "") -> None:
        super().__init__(message, ErrorCode.API_RESPONSE_ERROR, {"status": status, "body": body})
        self.status = status
        self.body = body


class _Notebook(Protocol):
    def add(self, content: str, category: str) -> str: ...


def redact(text: str) -> str:
    """Return the text itself, or a placeholder if it mentions anything that sounds like a secret."""
    lowered = text.lower()
    return REDACTED if any(word in lowered for word in _SECRET_WORDS) else text


@contextmanager
def error_context(component: str, operation: str, error_class: type[AgentError], code: ErrorCode) -> Iterator[None]:
    """Let host errors through and wrap everything else, its text redacted if it looks secret."""
    try:
        yield
    except AgentError:
        raise
    except Exception as exc:
        text = redact(str(exc))
        logger.error("%s failed while %s: %s", component, operation, text)
        raise error_class(f"{component} failed while {operation}: {text}", code, {"original_error": text}) from exc


def note_error(working_memory: _Notebook, error: AgentError) -> None:
    """Leave a note on the error in the system prompt. Nothing in this host ever takes it out again."""
    record = {
        "error_id": str(uuid4()),
        "code": error.code.name,
        "message": error.message,
        "details": error.details,
    }
    body = json.dumps(record, indent=2, default=str)
    working_memory.add(f"# A tool failed\nSay in one sentence what was being tried.\n{body}", ERROR_CATEGORY)
