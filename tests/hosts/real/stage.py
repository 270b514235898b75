"""What the scenarios share. They run in a copy of the real MIRA: ``python scenario_X.py NAME DATA_DIR USER``.

Starts MIRA with its own ``main.initialize_system`` and prints what came of a scenario as JSON. MIRA's own
lt_memory, which refuses to start without a database, is answered for from outside unless a scenario has it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import types
from pathlib import Path
from typing import Any

# The folder of this script must not be where MIRA's imports look first.
sys.path[0] = str(Path.cwd())

FOUND: dict[str, Any] = {}


def answer_for_lt_memory() -> None:
    package, integration = types.ModuleType("lt_memory"), types.ModuleType("lt_memory.integration")
    integration.check_lt_memory_requirements = lambda: {"database_url": True}  # type: ignore[attr-defined]
    integration.initialize_lt_memory = lambda *_: {"manager": object()}  # type: ignore[attr-defined]
    sys.modules |= {"lt_memory": package, "lt_memory.integration": integration}


def start_mira(url: str, conversation: str | None = None, *, own_memory: bool = False) -> dict[str, Any]:
    os.environ |= {"ANTHROPIC_API_KEY": "none", "ANTHROPIC_BASE_URL": url, "AGENT_API__RATE_LIMIT_RPM": "60000"}
    if not own_memory:
        answer_for_lt_memory()
    import main

    args = argparse.Namespace(config=None, conversation=conversation, log_level=None, stream_mode=None)
    system: dict[str, Any] = main.initialize_system(args)
    return system


def turn(system: dict[str, Any], text: str, *, stream: bool = False) -> None:
    """One turn as MIRA's command line does it."""
    system["time_manager"].update_datetime_info()
    system["reminder_manager"].update_reminder_info()
    system["working_memory"].update_all_managers()
    system["conversation"].generate_response(text, stream=stream, stream_callback=lambda token: None)


def install(system: dict[str, Any], **settings: Any) -> Any:
    import mira_ltmemory

    return mira_ltmemory.install(system, user_name=sys.argv[3], data_dir=sys.argv[2], **settings)


def dynamic(request: Any) -> str:
    """The part of the system prompt that MIRA's working memory makes."""
    return str(request.system)


def stored(memory: Any) -> list[list[str]]:
    from sqlalchemy import text

    with memory.store.read() as unit:
        rows = unit.session.connection().execute(
            text("SELECT role, content FROM ltmemory.messages WHERE user_id = :u ORDER BY said_at, position"),
            {"u": memory.store.user_id},
        )
        return [list(row) for row in rows]


def our_rows(engine: Any) -> list[Any]:
    rows = engine.get_automations(limit=100)["automations"]
    return [row for row in rows if row["name"].startswith("Long-term")]


def run_due(engine: Any, row_id: str) -> list[Any]:
    """Let the engine look once, and return the row's executions when all have ended, newest first."""
    before = len(engine.get_executions(row_id, limit=100)["executions"])
    engine._process_due_automations()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        executions: list[Any] = engine.get_executions(row_id, limit=100)["executions"]
        ended = all(one["status"] in ("completed", "failed") for one in executions)
        if len(executions) > before and ended and row_id not in engine.active_automations:
            break
        time.sleep(0.1)
    return executions


def perform(scenarios: dict[str, Any]) -> None:
    """Run the scenario that the command line names, with a scripted model behind a real address."""
    from mira_ltmemory.hosts.local import ScriptedModel

    with ScriptedModel() as scripted:
        scenarios[sys.argv[1]](scripted)
    tell()


def tell() -> None:
    print("FOUND " + json.dumps(FOUND, default=str))
    sys.stdout.flush()
