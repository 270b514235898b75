"""Single values as import files spell them: moments, roles, texts, metadata."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from zoneinfo import ZoneInfo

from mira_ltmemory.protocols import Origin, Role, is_plausible
from mira_ltmemory.services.text import storable

_ROLES = {
    "user": Role.USER,
    "human": Role.USER,
    "assistant": Role.ASSISTANT,
    "ai": Role.ASSISTANT,
    "bot": Role.ASSISTANT,
    "model": Role.ASSISTANT,
    "tool": Role.TOOL,
    "function": Role.TOOL,
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
}
_ORIGINS = {Role.USER: Origin.USER, Role.ASSISTANT: Origin.ASSISTANT, Role.TOOL: Origin.TOOL}
_DEPTH = 32


def read_moment(value: object, zone: ZoneInfo) -> datetime | None:
    """Return the moment in UTC, or none where ``value`` tells none.

    Takes ISO 8601, RFC 2822, and seconds, milli- or microseconds since 1970. A moment without a zone is
    read in ``zone``. What nobody can have said, such as 0001-01-01, tells none.
    """
    try:
        moment = _moment(value)
        if moment is None:
            return None
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return moment if is_plausible(moment) else None


def _moment(value: object) -> datetime | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _since_epoch(float(value))
    if not isinstance(value, str) or not value.strip():
        return None
    text = value.strip()
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    try:
        return _since_epoch(float(text))
    except ValueError:
        return parsedate_to_datetime(text)


def _since_epoch(number: float) -> datetime:
    if not math.isfinite(number):
        raise ValueError("no finite number")
    for divisor in (1, 1e3, 1e6):
        if abs(number) / divisor < 1e11:
            return datetime.fromtimestamp(number / divisor, UTC)
    raise OverflowError("no moment")


def read_role(value: object) -> tuple[Role, Origin, bool]:
    """Return the role, where its text came from, and whether the role is a known one."""
    known = _ROLES.get(value.strip().lower()) if isinstance(value, str) else None
    if known is None:
        return Role.USER, Origin.IMPORT, False
    return known, _ORIGINS.get(known, Origin.IMPORT), True


def read_text(value: object) -> str:
    """Return text as it is, and anything else as JSON, so that nothing is lost."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def read_id(value: object) -> str | None:
    """Return an id as text; none where there is none."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value).strip() or None


def clean_json(value: Any, depth: int = 0) -> Any:
    """Return metadata that JSONB can hold: NUL, lone surrogates and numbers that are none become text."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict | list) and depth >= _DEPTH:
        return storable(str(value))
    if isinstance(value, dict):
        return {storable(str(key)): clean_json(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [clean_json(item, depth + 1) for item in value]
    return value
