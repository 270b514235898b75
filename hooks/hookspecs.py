"""The hooks that MIRA's plugins may implement, one sentence each. A hookimpl takes the arguments it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pluggy

from mira_ltmemory.protocols import Host, IncomingMessage, Job, Provider, Tool

PROJECT = "mira"
"""Name of the pluggy project and of the entry-point group."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def configure(host: Host, settings: Mapping[str, Any]) -> None:
    """Read settings (``settings`` are the caller's own) and leave what the plugin opens in ``host.services``."""


@hookspec
def register_tools(host: Host, register: Callable[[Tool], None]) -> None:
    """Call ``register(tool)`` for each tool that the language model is to be offered."""


@hookspec
def register_content_providers(host: Host, register: Callable[[Provider], None]) -> None:
    """Call ``register(provider)`` for each part that the system prompt is to have."""


@hookspec
def register_automations(host: Host, register: Callable[[Job], None]) -> None:
    """Call ``register(job)`` for each job that the automation engine is to run."""


@hookspec
def message_captured(host: Host, message: IncomingMessage) -> None:
    """Take note of a message of the live conversation that was stored for the first time."""


@hookspec
def startup(host: Host) -> None:
    """Begin to work: everything is registered."""


@hookspec
def shutdown(host: Host) -> None:
    """Close what the plugin opened; called last, also when the program ends."""
