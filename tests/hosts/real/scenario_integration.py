"""Attaching in other ways than by the one line: by one import, and beside MIRA's own first memory."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from stage import FOUND, dynamic, install, our_rows, perform, start_mira, stored, turn


def one_import(model: Any) -> None:
    """`main.py` imports our two functions in place of MIRA's; before 3e1a230 it imports none, so they are called."""
    os.environ |= {"LT_MEMORY_USER_NAME": sys.argv[3], "LT_MEMORY_DATA_DIR": sys.argv[2]}
    import lt_memory_is_theirs  # the copy of MIRA says whether it has the import

    system = start_mira(model.url, own_memory=True)
    if lt_memory_is_theirs.ABSENT:
        from config import config  # type: ignore[import-not-found]

        from mira_ltmemory.integration import check_lt_memory_requirements, initialize_lt_memory

        assert all(check_lt_memory_requirements().values())
        parts = (system["working_memory"], system["tool_repo"], system["automation_engine"])
        system["lt_memory"] = initialize_lt_memory(config, *parts)
    components = system["lt_memory"]
    FOUND["keys"] = sorted(components)
    FOUND["types"] = [type(components[key]).__name__ for key in ("manager", "bridge", "tool")]
    FOUND["automations"] = sorted(components["automations"])
    FOUND["rows"] = sorted(row["id"] for row in our_rows(system["automation_engine"]))
    FOUND["row_ids"] = sorted(components["automations"].values())
    tools = {tool.name for tool in components.installation.host.tools}
    edit = ("core_memory_append", {"label": "human", "content": "Has a cat called Ada."})
    from mira_ltmemory.hosts.local import Reply

    model.add(Reply(tool_calls=[edit]), "Noted.", "Fine.", "Good.", "About the weather.")
    for text in ("My cat is called Ada.", "What is the weather in Bonn?", "Remind me tomorrow", "Thanks"):
        turn(system, text)
    FOUND["edit"] = ["Ada" in dynamic(one).split("Core memory")[-1] for one in model.requests[:2]]
    FOUND["complete"] = [tools <= set(one.tools) for one in model.requests]
    again = install(system)
    FOUND["same"] = again is components.installation
    components.installation.close()
    from mira_ltmemory import open_memory

    with_memory = open_memory()
    FOUND["stored"] = stored(with_memory)
    with_memory.close()


def without_uuid_ossp(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> tuple[str, Any]:
    return ("SELECT 1" if "uuid-ossp" in statement else statement), parameters


def own_memory(model: Any) -> None:
    """MIRA's own lt_memory runs, for real, in the database that ours is to use."""
    from sqlalchemy import Engine, create_engine, event, text
    from sqlalchemy.dialects import registry

    from mira_ltmemory.store.embedded import EmbeddedServer

    # MIRA writes postgresql:// and means psycopg2, which SQLAlchemy took it for until 2.1.
    registry.register("postgresql", "sqlalchemy.dialects.postgresql.psycopg2", "dialect")
    # It asks for an extension that the embedded Postgres lacks, and calls nothing of it.
    event.listen(Engine, "before_cursor_execute", without_uuid_ossp, retval=True)
    server = EmbeddedServer.start(Path(sys.argv[2]))
    name = "theirs_" + sys.argv[3].replace("-", "")[-12:]
    maintenance = create_engine(server.url(), isolation_level="AUTOCOMMIT")
    with maintenance.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    url = server.url(database=name).replace("postgresql+psycopg2", "postgresql")
    engine = create_engine(server.url(database=name))
    with engine.begin() as connection:
        connection.execute(text("CREATE EXTENSION vector"))
    os.environ |= {"LT_MEMORY_DATABASE_URL": url, "AGENT_MEMORY__ONNX_TOKENIZER": "onnx"}
    system = start_mira(model.url, own_memory=True)
    theirs = system["lt_memory"]
    theirs["manager"].block_manager.core_memory_append("human", "Kept by MIRA's own memory.")
    turn_before = ["lt_memory" in system["tool_repo"].tools]
    system["working_memory"].update_all_managers()
    turn_before.append("Kept by MIRA's own memory." in system["working_memory"].get_prompt_content())
    FOUND["before"] = turn_before

    def tables() -> dict[str, list[str]]:
        with engine.connect() as connection:
            names = connection.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"))
            return {
                each: [str(row) for row in connection.execute(text(f'SELECT * FROM public."{each}" ORDER BY 1'))]
                for each in names
            }

    before = tables()
    FOUND["tables"] = sorted(before)
    installation = install(system, database_url=url)
    model.add("Hello.", "<need_tool />", "Still nothing.")
    turn(system, "Hi")
    turn(system, "Do something odd")
    FOUND["during"] = [
        any("lt_memory" in one.tools for one in model.requests),
        any("Kept by MIRA's own memory." in dynamic(one) for one in model.requests),
        all("core_memory_append" in one.tools for one in model.requests),
    ]
    FOUND["unchanged"] = tables() == before
    FOUND["their_rows"] = [
        row["name"] for row in system["automation_engine"].get_automations(limit=100)["automations"]
        if row["tool_name"] == "lt_memory"
    ]  # fmt: skip
    FOUND["stored"] = stored(installation.memory)
    installation.close()
    system["working_memory"].update_all_managers()
    FOUND["after"] = [
        "lt_memory" in system["tool_repo"].tools,
        "Kept by MIRA's own memory." in system["working_memory"].get_prompt_content(),
    ]
    engine.dispose()
    theirs["manager"].engine.dispose()
    with maintenance.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    maintenance.dispose()
    server.stop()


if __name__ == "__main__":
    perform(globals())
