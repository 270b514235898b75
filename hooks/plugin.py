"""The long-term memory as a plugin of MIRA, like any other: the target of our entry point.

It keeps no state: the memory is ``host.services["ltmemory"]``. Importing it loads nothing heavy.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from mira_ltmemory.errors import LtMemoryError
from mira_ltmemory.hooks.hookspecs import hookimpl
from mira_ltmemory.protocols import Host, Job, Provider, Tool

if TYPE_CHECKING:
    from mira_ltmemory.composition import DegradedMemory, MemoryManager
    from mira_ltmemory.config import MemoryConfig

logger = logging.getLogger(__name__)

SERVICE = "ltmemory"
"""Name in ``host.services`` of the memory: a ``MemoryManager``, or a ``DegradedMemory`` where it cannot be opened."""


@hookimpl
def configure(host: Host, settings: Mapping[str, Any]) -> None:
    """Open the memory, or what is left of it: a MIRA without its memory still starts."""
    host.services[SERVICE] = _open(host, settings)


@hookimpl
def register_tools(host: Host, register: Callable[[Tool], None]) -> None:
    """Offer the memory's tools."""
    for tool in host.services[SERVICE].tools():
        register(tool)


@hookimpl
def register_content_providers(host: Host, register: Callable[[Provider], None]) -> None:
    """Show the memory in the prompt."""
    for provider in host.services[SERVICE].providers():
        register(provider)


@hookimpl
def register_automations(host: Host, register: Callable[[Job], None]) -> None:
    """Have the memory's jobs run."""
    for job in host.services[SERVICE].jobs():
        register(job)


@hookimpl
def shutdown(host: Host) -> None:
    """Close the memory."""
    memory = host.services.get(SERVICE)
    if memory is not None:
        memory.close()


def _open(host: Host, arguments: Mapping[str, Any]) -> MemoryManager | DegradedMemory:
    from mira_ltmemory.composition import degraded, open_memory
    from mira_ltmemory.config import load_config

    settings: MemoryConfig | None = None
    try:
        given = getattr(host, "memory_settings", dict)
        settings = load_config(given(), **arguments)
        publish = getattr(host, "publish", None)
        if publish is not None:
            publish(settings)
        memory = open_memory(settings, host_llm=host.llm)
        memory.attend(host.messages)
        return memory
    except LtMemoryError as error:
        logger.warning("the long-term memory is off: %s", error)
        return degraded(settings, error)
    except Exception as error:  # MIRA starts whatever happens here; the prompt's status says what did
        logger.exception("the long-term memory is off")
        return degraded(settings, LtMemoryError(f"{type(error).__name__}: {error}"))
