"""Cold storage: texts that left the indexes keep a small code of their vector and packed terms, and are scanned."""

from __future__ import annotations

from alembic import op

from mira_ltmemory.migrations.operations import grant, secure

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# Numbers that look random are not worth compressing again.
TABLE = """
CREATE TABLE ltmemory.cold_texts (
    user_id UUID NOT NULL,
    kind TEXT NOT NULL,
    row_id UUID NOT NULL,
    content_hash UUID NOT NULL,
    length INTEGER NOT NULL,
    terms BYTEA NOT NULL,
    model_id SMALLINT,
    code BYTEA,
    CONSTRAINT pk_cold_texts PRIMARY KEY (user_id, kind, row_id),
    CONSTRAINT fk_cold_texts_user_id_users FOREIGN KEY(user_id) REFERENCES ltmemory.users (id),
    CONSTRAINT fk_cold_texts_model_id_embedding_models FOREIGN KEY(model_id) REFERENCES ltmemory.embedding_models (id)
);
ALTER TABLE ltmemory.cold_texts ALTER COLUMN terms SET STORAGE EXTERNAL, ALTER COLUMN code SET STORAGE EXTERNAL;
"""

# The application may not delete vectors; through this it may, where the cold row keeps a code in their place. The
# owner's rights may go past row-level security, so every row is held against the user of the transaction.
DROP_FROZEN = """
CREATE FUNCTION ltmemory.drop_frozen_vectors() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ltmemory, pg_temp AS $$
DECLARE
    present uuid := nullif(current_setting('ltmemory.user_id', true), '')::uuid;
    removed bigint;
BEGIN
    IF present IS NULL THEN
        RAISE EXCEPTION 'drop_frozen_vectors needs the user of the transaction';
    END IF;
    DELETE FROM ltmemory.vectors v USING ltmemory.cold_texts c
    WHERE c.user_id = present AND c.code IS NOT NULL AND v.user_id = present AND v.kind = c.kind
        AND v.row_id = c.row_id AND v.content_hash = c.content_hash;
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END
$$;
REVOKE ALL ON FUNCTION ltmemory.drop_frozen_vectors() FROM PUBLIC;
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ltmemory_app') THEN
        GRANT EXECUTE ON FUNCTION ltmemory.drop_frozen_vectors() TO ltmemory_app;
    END IF;
END
$$;
"""


def upgrade() -> None:
    """Make the table and the function."""
    op.execute(TABLE)
    secure("cold_texts")
    grant("cold_texts", "SELECT, INSERT, UPDATE, DELETE")
    op.execute(DROP_FROZEN)
