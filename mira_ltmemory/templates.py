"""Renders the Jinja templates of the ``prompts`` room. What memory holds goes in as it is, inside a fence."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def fence(content: str) -> str:
    """Return a mark that ``content`` does not hold, so that it cannot close its own fence.

    It depends on the content alone: the same content renders to the same text, and content that holds
    its own mark would have to hold its own hash.
    """
    mark = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    while mark in content:
        mark = hashlib.sha256((mark + content).encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return mark


@cache
def _environment() -> Environment:
    # Autoescape stays off: the model edits what it reads, and an escaped quote would never match.
    environment = Environment(
        loader=PackageLoader("mira_ltmemory", "prompts"),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
    environment.filters["fence"] = fence
    return environment


def render(template: str, **values: Any) -> str:
    """Render ``prompts/<template>.j2``. A value that the template names and ``values`` lack raises."""
    return _environment().get_template(f"{template}.j2").render(**values)
