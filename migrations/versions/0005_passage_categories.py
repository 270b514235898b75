"""What a passage is, how sure it is and until when it holds; triggers of versions that know columns by name."""

from __future__ import annotations

from alembic import op

from mira_ltmemory.migrations.operations import add_columns

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

JOURNALED = ("blocks", "conversations", "messages", "passages", "sources")

RENAME = "ALTER TABLE ltmemory.{table} RENAME COLUMN valid_to TO valid_until"

# As before, where the trigger names no columns; a column that is added later stands behind ended_by in the twin.
KEEP_VERSION = """
CREATE OR REPLACE FUNCTION ltmemory.keep_version() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    present bigint := nullif(current_setting('ltmemory.change_set_id', true), '')::bigint;
BEGIN
    IF present IS NULL THEN
        RAISE EXCEPTION 'table % is journaled: changes need a change set', TG_TABLE_NAME;
    END IF;
    IF OLD.change_set_id <> present THEN
        IF TG_NARGS = 0 THEN
            EXECUTE format('INSERT INTO ltmemory.%I SELECT ($1).*, $2', TG_TABLE_NAME || '_versions')
                USING OLD, present;
        ELSE
            EXECUTE format('INSERT INTO ltmemory.%I (%s, ended_by) SELECT %2$s, $2 FROM (SELECT ($1).*) r',
                TG_TABLE_NAME || '_versions', TG_ARGV[0]) USING OLD, present;
        END IF;
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    IF NEW.user_id <> OLD.user_id OR NEW.id <> OLD.id THEN
        RAISE EXCEPTION 'the key of a row in % never changes', TG_TABLE_NAME;
    END IF;
    NEW.change_set_id := present;
    NEW.version := OLD.version + (OLD.change_set_id <> present)::int;
    RETURN NEW;
END
$$;
"""

# Few passages are ended: a search counts them by this, and so knows how many it leaves out.
ENDED = """
CREATE INDEX ix_passages_ended ON ltmemory.passages (user_id, valid_until) WHERE valid_until IS NOT NULL
"""


def upgrade() -> None:
    """Add the columns."""
    op.execute(KEEP_VERSION)
    for table in JOURNALED:
        op.execute(RENAME.format(table=table))
        op.execute(RENAME.format(table=f"{table}_versions"))
    add_columns("passages", category="TEXT DEFAULT 'note' NOT NULL", confidence="REAL")
    op.execute(ENDED)
