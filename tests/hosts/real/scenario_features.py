"""Every feature off alone, all of one kind off, and all off; ``BOOT_HOST=local`` plays it with the small host."""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import Any

from scenario_boot import say, start
from stage import FOUND, dynamic, perform

GROUPS = ("tools", "providers", "automations")
CORE = {"core_memory_append", "core_memory_replace", "memory_insert", "memory_rethink"}


class Errors(logging.Handler):
    """Keeps what is logged as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(record.getMessage())


def matrix(model: Any) -> None:
    """The combinations come from the test, which reads them off the settings' own classes."""
    system = start(model)
    errors = Errors()
    logging.getLogger("mira_ltmemory").addHandler(errors)
    for name, switches in json.loads(os.environ["FEATURES"]).items():
        errors.told.clear()
        FOUND[name] = {**one(system, model, switches), "errors": list(errors.told)}


def one(system: dict[str, Any], model: Any, switches: dict[str, Any]) -> dict[str, Any]:
    import mira_ltmemory

    settings = {"user_name": sys.argv[3], "data_dir": sys.argv[2], "retention_days": 365}
    installation = mira_ltmemory.install(system, **settings, **switches)
    model.add("Hello.")
    say(system, "Hi")
    request = model.requests[-1]
    rows = system["automation_engine"].get_automations(limit=200)["automations"]
    categories = {item["category"] for item in system["working_memory"]._memory_items.values()}
    config = system["tool_repo"].config if os.environ.get("BOOT_HOST") == "local" else sys.modules["config"].config
    definitions = {}
    for provider in ("anthropic", "ollama"):
        was, config.api.provider = config.api.provider, provider
        ours = {tool.name for tool in installation.host.tools}
        every = system["tool_repo"].get_all_tool_definitions()
        definitions[provider] = [definition for definition in every if definition["name"] in ours]
        config.api.provider = was
    found = {
        "reply": system["conversation"].messages[-1].content,
        "prompt": "\n".join(
            item["content"]
            for item in system["working_memory"]._memory_items.values()
            if item["category"].startswith("ltmemory_")
        ),
        "shown": sorted(category for category in categories if category.startswith("ltmemory_")),
        "in_request": "ltmemory" in dynamic(request) or "# Core memory" in dynamic(request),
        "offered": sorted({tool.name for tool in installation.host.tools}),
        "tools": sorted(request.tools),
        "providers": [provider.name for provider in installation.memory.providers()],
        "rows": sorted(row["operation"] for row in rows if row["name"].startswith("Long-term")),
        "definitions": definitions,
    }
    installation.close()
    return found


def core_alone(model: Any) -> None:
    """Core memory with everything else off: no model file, and nothing of what search needs is loaded."""
    import mira_ltmemory
    from mira_ltmemory.config import AutomationSettings, ProviderSwitches, ToolSwitches
    from mira_ltmemory.hosts.local import Reply

    system = start(model)
    heavy = ("onnxruntime", "transformers", "tokenizers", "torch", "networkx", "scipy")
    before = {name for name in heavy if name in sys.modules}
    settings: dict[str, Any] = {
        "tools": {name: name in CORE for name in ToolSwitches.model_fields},
        "providers": {name: name == "core_memory" for name in ProviderSwitches.model_fields},
        "automations": dict.fromkeys(AutomationSettings.model_fields, False),
        "user_name": sys.argv[3],
        "data_dir": sys.argv[2],
    }
    if os.environ.get("NO_MODEL"):
        settings["onnx_model_path"] = "/none.onnx"
    installation = mira_ltmemory.install(system, **settings)
    edits = [
        ("core_memory_append", {"label": "human", "content": "Has a cat called Ada."}),
        ("core_memory_replace", {"label": "human", "old_content": "a cat", "new_content": "an old cat"}),
        ("memory_insert", {"label": "human", "new_str": "Lives in Bonn.", "insert_line": 0}),
        ("memory_rethink", {"label": "system", "new_memory": "Be brief."}),
    ]
    for edit in edits:
        model.add(Reply(tool_calls=[edit]), "Done.")
        say(system, "Go on")
    model.add("Bye.")
    say(system, "Bye")
    last = model.requests[-1]
    FOUND["tools"] = sorted(name for name in last.tools if name in ToolSwitches.model_fields)
    FOUND["edited"] = [text in dynamic(last) for text in ("Has an old cat called Ada.", "Lives in Bonn.", "Be brief.")]
    FOUND["other_parts"] = "# Memory status" in dynamic(last)
    installation.close()
    FOUND["loaded"] = sorted({name for name in heavy if name in sys.modules} - before)


if __name__ == "__main__":
    perform(globals())
