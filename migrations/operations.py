"""What several migrations do alike: keep users apart, keep versions, grant to the application.

Migrations that are released call these: change what they do only by a new function beside them.
"""

from __future__ import annotations

from alembic import op

# Forced, and inline: a sub-select around current_setting hides the selectivity from the planner, and
# without nullif the next transaction on the connection would fail on ''::uuid.
POLICY = """
ALTER TABLE ltmemory.{table} ENABLE ROW LEVEL SECURITY;
ALTER TABLE ltmemory.{table} FORCE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON ltmemory.{table}
    USING (user_id = nullif(current_setting('ltmemory.user_id', true), '')::uuid)
    WITH CHECK (user_id = nullif(current_setting('ltmemory.user_id', true), '')::uuid);
"""

VERSIONS = """
CREATE TABLE ltmemory.{table}_versions (
    LIKE ltmemory.{table},
    ended_by BIGINT NOT NULL,
    CONSTRAINT pk_{table}_versions PRIMARY KEY (user_id, id, ended_by)
);
CREATE TRIGGER keep_version BEFORE UPDATE OR DELETE ON ltmemory.{table}
    FOR EACH ROW EXECUTE FUNCTION ltmemory.keep_version();
"""

COLUMNS = """
SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
WHERE attrelid = 'ltmemory.{table}'::regclass AND attnum > 0 AND NOT attisdropped
"""

NAMED_TRIGGER = """
DROP TRIGGER keep_version ON ltmemory.{table};
CREATE TRIGGER keep_version BEFORE UPDATE OR DELETE ON ltmemory.{table}
    FOR EACH ROW EXECUTE FUNCTION ltmemory.keep_version('{columns}');
"""

GRANT = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ltmemory_app') THEN
        GRANT {rights} ON ltmemory.{table} TO ltmemory_app;
    END IF;
END
$$;
"""


def secure(table: str) -> None:
    """Keep the users of a table apart, the owner included."""
    op.execute(POLICY.format(table=table))


def keep_versions(table: str) -> None:
    """Give a journaled table its twin of earlier versions and the trigger that fills it."""
    op.execute(VERSIONS.format(table=table))
    secure(f"{table}_versions")


def add_columns(table: str, **columns: str) -> None:
    """Add columns (name and definition) to a journaled table and its twin; the trigger then keeps them too."""
    for each in (table, f"{table}_versions"):
        for name, definition in columns.items():
            op.execute(f"ALTER TABLE ltmemory.{each} ADD COLUMN {name} {definition}")
    names = op.get_bind().exec_driver_sql(COLUMNS.format(table=table)).scalar_one()
    op.execute(NAMED_TRIGGER.format(table=table, columns=names))


def grant(table: str, rights: str) -> None:
    """Let the application role, where there is one, do to a table what it needs to."""
    op.execute(GRANT.format(table=table, rights=rights))
