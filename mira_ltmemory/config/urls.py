"""Addresses as people may see them: without what logs in there."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

_SECRET = re.compile(r"pass|key|token|secret|auth|sig|cred", re.IGNORECASE)
_HIDDEN = "hidden"


def shown_database(url: str) -> str:
    """A Postgres URL without its passwords: neither that before the host nor those among the options."""
    from sqlalchemy.engine import make_url  # here: only who shows a URL pays for the import

    parsed = make_url(url)
    options = {name: _HIDDEN if _SECRET.search(name) else value for name, value in parsed.query.items()}
    return parsed.set(query=options).render_as_string(hide_password=True)


def shown_address(url: str) -> str:
    """An HTTP address without user, password and keys: some servers take a key as the user's name alone."""
    parts = urlsplit(url)
    login, at, host = parts.netloc.rpartition("@")
    query = parts.query
    if query:
        named = parse_qsl(query, keep_blank_values=True)
        query = "&".join(f"{quote(name)}={_HIDDEN if _SECRET.search(name) else quote(value)}" for name, value in named)
    return urlunsplit((parts.scheme, f"{'***' if login else ''}{at}{host}", parts.path, query, ""))
