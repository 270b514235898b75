"""Alembic's entry: runs the migrations inside the transaction of the connection that was handed over."""

from __future__ import annotations

from alembic import context
from sqlalchemy import text

connection = context.config.attributes["connection"]
metadata = context.config.attributes["metadata"]


def include_name(name: str | None, type_: str, _parents: object) -> bool:
    """Look at our own schema only, and not at the indexes that are made for each embedding model at run time."""
    if type_ == "index":
        return not (name or "").startswith("hnsw_vectors_")
    return type_ != "schema" or name == metadata.schema


connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {metadata.schema}"))
context.configure(
    connection=connection,
    target_metadata=metadata,
    include_schemas=True,
    include_name=include_name,
    version_table="alembic_version",
    version_table_schema=metadata.schema,
    compare_type=True,
    compare_server_default=True,
)
context.run_migrations()
