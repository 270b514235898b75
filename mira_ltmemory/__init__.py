"""Long-term memory for MIRA: core, recall and archival memory in Postgres.

`install(system)` attaches the memory to a running MIRA; `open_memory(settings)` gives the same
memory to a Python program with no host. Importing this package loads neither the database
driver nor the embedding model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mira_ltmemory.composition import MemoryManager
    from mira_ltmemory.config import MemoryConfig
    from mira_ltmemory.hooks.installer import Installation

__all__ = ["__version__", "install", "open_memory"]

__version__ = "0.1.0"


def install(system: dict[str, Any], **settings: Any) -> Installation:
    """Attach every plugin of the entry-point group ``mira`` to a running MIRA.

    ``system`` is the dict that MIRA's ``initialize_system`` returns; ``settings`` override every
    other source of configuration. Never raises for a missing database, model or setting: what is
    off is told in the prompt's memory status.
    """
    from mira_ltmemory.hooks.installer import install as install_plugins

    return install_plugins(system, **settings)


def open_memory(settings: MemoryConfig | None = None, **overrides: Any) -> MemoryManager:
    """Open the memory of one user for a program that has no host.

    ``overrides`` are settings by name, as in ``open_memory(user_name="anna")``. Raises
    ``ConfigError`` for an impossible setting and ``StoreError`` where the database cannot be used;
    a configured URL that is wrong never falls back to the embedded server.
    """
    from mira_ltmemory.composition import open_memory as compose

    return compose(settings, **overrides)
