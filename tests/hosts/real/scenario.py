"""A conversation, its tools and its jobs in the real MIRA, with the one line added."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from stage import FOUND, dynamic, install, our_rows, perform, run_due, start_mira, stored, tell, turn


def conversation(model: Any) -> None:
    from mira_ltmemory.hosts.local import Reply

    system = start_mira(model.url)
    installation = install(system)
    ours = set(installation.host._tools.names)
    system["conversation"].max_history = 2
    # A workflow asks the model on its own account what data and tools it needs.
    model.when(lambda body: "tools" not in body, "{}")
    edit = ("core_memory_append", {"label": "human", "content": "Has a cat called Ada."})
    refused = ("core_memory_append", {"label": "human", "content": "x" * 5000})
    wrong = ("core_memory_append", {"label": "nobody", "content": "token key"})
    unknown = ("core_memory_append", {"lable": "human"})
    model.add(Reply("<thought_process>A cat.</thought_process>", [edit]), "Noted. <topic_changed=true/>")
    turn(system, "My cat is called Ada.")
    FOUND["edit"] = ["Ada" in dynamic(one).split("Core memory")[-1] for one in model.requests]
    for call in (refused, wrong, unknown):
        model.add(Reply(tool_calls=[call]), "No.")
        turn(system, "Try this.", stream=call is wrong)
    FOUND["refused"] = "Error Analysis" in dynamic(model.requests[-1]) or "xxxx" in dynamic(model.requests[-1])
    topics = ["What is the weather in Bonn?", "Turn on the lamp", "Remind me tomorrow at nine", "Hi", "Thanks", "Bye"]
    for text in topics:
        model.add(f"About: {text} <topic_changed=true/>")
        turn(system, text)
    model.add("<need_tool />", "Still nothing.")
    turn(system, "Do something odd")
    after_need = model.requests[-1].tools
    FOUND["need_tool"] = [len(after_need) > len(ours), sorted(name for name in after_need if "jobs" in name)]
    manager = system["workflow_manager"]
    workflow = next(iter(manager.workflows))
    edit = ("core_memory_append", {"label": "human", "content": "In a workflow."})
    model.add(Reply(f"<workflow_start:{workflow} />", [edit]))
    model.add("Step one.")
    turn(system, "Start it")
    FOUND["workflow"] = [manager.get_active_workflow() is not None, system["tool_relevance_engine"].suspended]
    model.add("Still in it.", "Cancelled. <workflow_cancel/>", "After it.")
    for text in ("Next", "Cancel", "What now?"):
        turn(system, text)
    requests = [one for one in model.requests if "# Core memory" in dynamic(one)]
    FOUND["tools"] = [len(requests), sum(ours <= set(one.tools) for one in requests)]
    FOUND["missing"] = [sorted(ours - set(one.tools)) for one in requests if not ours <= set(one.tools)]
    FOUND["schemas"] = next({"schema": one.tools["conversation_search"]} for one in requests[:1])
    model.add("The very last word.")
    turn(system, "Goodbye")
    installation.close()
    FOUND["kept"] = len(system["conversation"].messages)
    reopened = install(system)
    FOUND["stored"] = stored(reopened.memory)
    reopened.close()


def relevance(model: Any) -> None:
    """What the prompt of each request shows about the message that it answers."""
    system = start_mira(model.url)
    installation = install(system)
    installation.memory.archival.insert("Greta keeps bees near Lund and sells heather honey.")
    installation.memory.archival.insert("Olaf restores church organs in Malmö.")
    for text in ("Who keeps bees and sells heather honey?", "Who restores church organs in Malmö?", "Thanks"):
        model.add("I see.")
        turn(system, text)
    parts = [dynamic(one).partition("# Relevant memories")[2].partition("[end memories")[0] for one in model.requests]
    FOUND["shown"] = [[name for name in ("Greta", "Olaf") if name in part] for part in parts]
    installation.close()
    FOUND["left"] = "Relevant memories" in system["working_memory"].get_prompt_content()


def jobs(model: Any) -> None:
    system = start_mira(model.url)
    engine = system["automation_engine"]
    installation = install(system)
    rows = our_rows(engine)
    FOUND["armed"] = [[row["operation"], row["next_execution_time"], row["tool_name"], row["status"]] for row in rows]
    row = next(row for row in rows if row["operation"] == "process_conversations")
    engine.update_automation(row["id"], {"next_execution_time": datetime.now(UTC) - timedelta(seconds=1)})
    executions = run_due(engine, row["id"])
    FOUND["executions"] = [[one["status"], one["error"]] for one in executions]
    FOUND["result"] = engine.get_execution_details(executions[0]["id"]).result
    FOUND["rearmed"] = engine.get_automation(row["id"]).next_execution_time.isoformat()
    FOUND["expected"] = installation.memory.runner.next_run_at("process_conversations").replace(tzinfo=None).isoformat()
    FOUND["visible"] = sorted(name for name in system["tool_repo"].enabled_tools if "jobs" in name)
    installation.close()
    off = {"process_conversations": False, "health_check": {"cron": "15 4 * * *"}}
    again = install(system, automations=off)
    FOUND["retimed"] = [[row["operation"], row["next_execution_time"]] for row in our_rows(engine)]
    FOUND["zone"] = again.memory.settings.timezone
    again.close()


def downtime(model: Any) -> None:
    """Hours go by without MIRA; it starts before the plugin, so what is overdue fails; then the plugin comes."""
    from sqlalchemy import text

    system = start_mira(model.url)
    engine = system["automation_engine"]
    first = install(system)
    first.memory.runner.run("process_conversations")
    with first.memory.store.upkeep() as unit:
        for column in ("last_started_at", "last_finished_at", "last_success_at"):
            shift = text(f"UPDATE ltmemory.jobs SET {column} = {column} - interval '5 hours' WHERE user_id = :u")
            unit.session.connection().execute(shift, {"u": first.memory.store.user_id})
    first.close()
    row = next(row for row in our_rows(engine) if row["operation"] == "process_conversations")
    engine.update_automation(row["id"], {"next_execution_time": datetime.now(UTC) - timedelta(hours=5)})
    FOUND["before"] = [one["status"] for one in run_due(engine, row["id"])]
    second = install(system)
    FOUND["after"] = [one["status"] for one in run_due(engine, row["id"])]
    due = engine.get_automation(row["id"]).next_execution_time.replace(tzinfo=UTC)
    FOUND["next_is_later"] = due > datetime.now(UTC)
    second.close()


WITHOUT_MODEL = {"weekly_review": False, "consolidate_memory": False}
"""Jobs that ask the model are off where a scenario is about the engine."""


def threads(model: Any) -> None:
    """Jobs run while a turn reads the tools and the prompt, over and over."""
    import threading

    system = start_mira(model.url)
    engine = system["automation_engine"]
    installation = install(system, automations=WITHOUT_MODEL)
    FOUND["raised"], over = [], threading.Event()

    def run_jobs() -> None:
        while not over.is_set():
            for row in our_rows(engine):
                engine._execute_automation_safely(row["id"])

    worker = threading.Thread(target=run_jobs)
    worker.start()
    looks, end = 0, time.monotonic() + 5
    while time.monotonic() < end:
        looks += 1
        try:
            system["tool_repo"].get_all_tool_definitions()
            system["working_memory"].get_prompt_content()
            if looks % 50 == 0:
                system["working_memory"].update_all_managers()
        except RuntimeError as error:
            FOUND["raised"].append(str(error))
    over.set()
    worker.join()
    every = [engine.get_executions(row["id"], limit=9999)["executions"] for row in our_rows(engine)]
    runs = [one["status"] for executions in every for one in executions]
    FOUND["looks"], FOUND["runs"], FOUND["statuses"] = looks, len(runs), sorted(set(runs))
    installation.close()


def history(model: Any) -> None:
    """The user clears the conversation, another is put in its place, and the process dies without a save."""
    import conversation as theirs  # type: ignore[import-not-found]  # noqa: TID251

    system = start_mira(model.url)
    installation = install(system)
    model.add("One.", "Two.", "Three.")
    turn(system, "First")
    system["conversation"].clear_history()
    turn(system, "Second")
    parts = ("llm_bridge", "tool_repo", "tool_relevance_engine", "workflow_manager", "working_memory")
    system["conversation"] = theirs.Conversation("another", "Hello.", **{part: system[part] for part in parts})
    turn(system, "Third")
    FOUND["stored"] = stored(installation.memory)
    tell()
    os._exit(0)


def jobs_without_tools(model: Any) -> None:
    system = start_mira(model.url)
    engine = system["automation_engine"]
    from mira_ltmemory.config import ToolSwitches

    installation = install(system, tools=dict.fromkeys(ToolSwitches.model_fields, False), automations=WITHOUT_MODEL)
    seen = []
    installation.memory.runner.before = lambda: (
        system["tool_repo"].enable_all_tools(),
        seen.append([one["name"] for one in system["tool_repo"].get_all_tool_definitions()]),
    )
    for row in engine.get_automations(limit=100)["automations"]:
        engine._execute_automation_safely(row["id"])
        FOUND.setdefault("executions", []).extend(
            [one["status"], one["error"]] for one in engine.get_executions(row["id"])["executions"]
        )
    model.add("<need_tool />", "Fine.")
    turn(system, "Hello")
    shown = [*seen, *(one.tools for one in model.requests)]
    FOUND["offered"] = sorted({name for names in shown for name in names if "ltmemory" in name})
    FOUND["looked"] = len(seen)
    installation.close()


def degraded(model: Any) -> None:
    system = start_mira(model.url)
    installation = install(system, database_url="postgresql://nobody@127.0.0.1:9/none")
    model.add("Hello.")
    turn(system, "Hi")
    FOUND["prompt"] = dynamic(model.requests[-1])
    FOUND["tools"] = sorted(name for name in model.requests[-1].tools if "memory" in name)
    installation.close()


def config(model: Any) -> None:
    os.environ["AGENT_MEMORY__MAX_SEARCH_RESULTS"] = "7"
    system = start_mira(model.url)
    installation = install(system)
    from config import config as theirs  # type: ignore[import-not-found]

    FOUND["published"] = [theirs.ltmemory.max_search_results, theirs.get("ltmemory.timezone"), theirs.system.timezone]
    FOUND["section"] = hasattr(theirs, "memory")
    FOUND["same"] = installation.host.config is theirs
    model.add("An answer.")
    reply = installation.host.llm.complete([{"role": "user", "content": "Hi"}], system="Be kind.")
    theirs.api.provider = "ollama"
    ours = set(installation.host._tools.names)
    shown = [one for one in system["tool_repo"].get_all_tool_definitions() if one["name"] in ours]
    FOUND["ollama"] = [len(shown), sum(one["openai_schema"]["function"]["name"] == one["name"] for one in shown)]
    FOUND["llm"] = [reply.text, reply.output_tokens > 0, reply.stop_reason]
    installation.close()


if __name__ == "__main__":
    perform(globals())
