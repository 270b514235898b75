"""The parts of the prompt inside whole turns of the small host: the twin of what is asserted of the real MIRA."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

import mira_ltmemory
from mira_ltmemory.hosts.local import HostConfig, Reply, ScriptedModel, initialize_system, run_turn, shutdown


@pytest.mark.parametrize(
    ("update_managers", "expected"),
    [(True, [["Greta"], ["Greta"], ["Olaf"], []]), (False, [[], ["Greta"], ["Greta"], ["Olaf"]])],
    ids=["3e1a230", "23a3a17"],
)
def test_the_prompt_shows_what_is_relevant_to_the_message_that_it_answers(
    tmp_path: Path, postgres_dir: Path, update_managers: bool, expected: list[list[str]]
) -> None:
    with ScriptedModel() as model:
        config = HostConfig.for_folder(tmp_path, base_url=model.url, api_key="none")
        config.automation.scheduler = False
        config.conversation.update_managers = update_managers
        system = initialize_system(config)
        installation = mira_ltmemory.install(system, data_dir=postgres_dir, user_name=f"user-{uuid.uuid4()}")
        try:
            installation.memory.archival.insert("Greta keeps bees near Lund and sells heather honey.")
            installation.memory.archival.insert("Olaf restores church organs in Malmö.")
            model.add(Reply(tool_calls=[("core_memory_append", {"label": "human", "content": "Likes honey."})]))
            for text in ("Who keeps bees and sells heather honey?", "Who restores church organs in Malmö?", "Thanks"):
                model.add("I see.")
                run_turn(system, text)
            parts = [
                one.system.partition("# Relevant memories")[2].partition("[end memories")[0] for one in model.requests
            ]
            assert [[name for name in ("Greta", "Olaf") if name in part] for part in parts] == expected
        finally:
            installation.close()
            shutdown(system)
        assert "Relevant memories" not in system["working_memory"].get_prompt_content()
