"""Which embedding model each user's searches use, which one is being filled, and where the models' files lie."""

from __future__ import annotations

from alembic import op

from mira_ltmemory.migrations.operations import grant, secure

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

TABLE = """
ALTER TABLE ltmemory.embedding_models
    ADD COLUMN path TEXT, ADD COLUMN tokenizer TEXT, ADD COLUMN stamp TEXT;
CREATE TABLE ltmemory.user_models (
    user_id UUID NOT NULL,
    model_id SMALLINT NOT NULL,
    state TEXT NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    overlap REAL,
    CONSTRAINT pk_user_models PRIMARY KEY (user_id, model_id),
    CONSTRAINT fk_user_models_user_id_users FOREIGN KEY(user_id) REFERENCES ltmemory.users (id),
    CONSTRAINT fk_user_models_model_id_embedding_models FOREIGN KEY(model_id) REFERENCES ltmemory.embedding_models (id)
);
"""

# The application may not delete vectors; through this it may, those of a model that searches do not use. The owner's
# rights may go past row-level security, so every row is held against the user of the transaction.
DROP = """
CREATE FUNCTION ltmemory.drop_model_vectors(model smallint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ltmemory, pg_temp AS $$
DECLARE
    present uuid := nullif(current_setting('ltmemory.user_id', true), '')::uuid;
    removed bigint;
BEGIN
    IF present IS NULL THEN
        RAISE EXCEPTION 'drop_model_vectors needs the user of the transaction';
    END IF;
    IF EXISTS (
        SELECT FROM ltmemory.user_models u WHERE u.user_id = present AND u.model_id = model AND u.state = 'active'
    ) THEN
        RAISE EXCEPTION 'the vectors of the model in use are not dropped';
    END IF;
    DELETE FROM ltmemory.vectors v WHERE v.user_id = present AND v.model_id = model;
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END
$$;
REVOKE ALL ON FUNCTION ltmemory.drop_model_vectors(smallint) FROM PUBLIC;
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ltmemory_app') THEN
        GRANT EXECUTE ON FUNCTION ltmemory.drop_model_vectors(smallint) TO ltmemory_app;
    END IF;
END
$$;
"""


def upgrade() -> None:
    """Add the table, the files of models, and the function."""
    op.execute(TABLE)
    secure("user_models")
    grant("user_models", "SELECT, INSERT, UPDATE, DELETE")
    op.execute(DROP)
