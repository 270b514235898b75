"""MIRA starts whatever is wrong with the database, the model, the disk or the home, and says in its prompt what is off.

``BOOT_HOST=local`` plays the same with the small host that the package ships.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from stage import FOUND, dynamic, perform, start_mira, stored, turn

LOCAL = os.environ.get("BOOT_HOST") == "local"


def start(model: Any) -> dict[str, Any]:
    if not LOCAL:
        return start_mira(model.url)
    from mira_ltmemory.hosts.local import HostConfig, initialize_system

    config = HostConfig.for_folder(tempfile.mkdtemp(dir="."), base_url=model.url, api_key="none")
    config.automation.scheduler = False
    return initialize_system(config)


def say(system: dict[str, Any], text: str) -> None:
    if not LOCAL:
        turn(system, text)
        return
    from mira_ltmemory.hosts.local import run_turn

    run_turn(system, text)


def status(request: Any) -> str:
    prompt = dynamic(request)
    return prompt[prompt.find("# Memory status") :] if "# Memory status" in prompt else ""


def boot(model: Any) -> None:
    """One boot after the other, each with what is wrong in the environment."""
    system = start(model)
    for name, environment in json.loads(os.environ["BOOT_FAULTS"]).items():
        before = dict(os.environ)
        os.environ.update(environment)
        os.environ.setdefault("LT_MEMORY_USER_NAME", sys.argv[3])
        FOUND[name] = one_boot(system, model)
        os.environ.clear()
        os.environ.update(before)


def one_boot(system: dict[str, Any], model: Any) -> dict[str, Any]:
    import mira_ltmemory
    from mira_ltmemory.hosts.local import Reply

    installation = mira_ltmemory.install(system)
    if "core_memory_append" in system["tool_repo"].tools:
        model.add(Reply(tool_calls=[("core_memory_append", {"label": "human", "content": "Has a cat called Ada."})]))
    model.add("Hello.", "Good.")
    say(system, "Hi")
    say(system, "Bye")
    said = [message.content for message in system["conversation"].messages if message.role == "assistant"]
    last = model.requests[-1]
    installation.close()
    return {
        "replies": said[-2:],
        "status": status(last),
        "tools": sorted(name for name in last.tools if "memory" in name or "search" in name),
        "edited": "Has a cat called Ada." in dynamic(last),
    }


def full_disk(model: Any) -> None:
    """A cluster on a small disk that is full when MIRA starts, then full while it runs; argument 2 is the disk."""
    import mira_ltmemory

    disk = Path(sys.argv[2])
    settings: dict[str, Any] = {"data_dir": disk / "pg", "user_name": sys.argv[3]}
    mira_ltmemory.open_memory(**settings).close()
    system = start(model)
    fill(disk)
    first = mira_ltmemory.install(system, **settings)
    model.add(*["Fine."] * 9)
    say(system, "While it is full")
    FOUND["at_start"] = status(model.requests[-1])
    first.close()
    (disk / "ballast").unlink()
    second = mira_ltmemory.install(system, **settings)
    say(system, "Mended")
    FOUND["mended"] = status(model.requests[-1])
    fill(disk)
    for number in range(5):
        say(system, f"Long {number}: {os.urandom(60_000).hex()}")
    FOUND["while_running"] = status(model.requests[-1])
    (disk / "ballast").unlink()
    say(system, "Freed")
    FOUND["freed"] = status(model.requests[-1])
    second.host.refresh()
    FOUND["stored"] = [content[:16] for role, content in stored(second.memory) if role == "user"]
    second.close()


def fill(disk: Path) -> None:
    with (disk / "ballast").open("wb", buffering=0) as file:
        for size in (1 << 16, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


if __name__ == "__main__":
    perform(globals())
