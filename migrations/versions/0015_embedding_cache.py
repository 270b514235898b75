"""Vectors of queries, so that a later process need not embed them again: by a key that only the user's secret makes."""

from __future__ import annotations

from alembic import op

from mira_ltmemory.migrations.operations import grant, secure

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE ltmemory.embedding_caches (
    user_id UUID NOT NULL,
    secret BYTEA NOT NULL,
    hits BIGINT NOT NULL,
    misses BIGINT NOT NULL,
    since TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_embedding_caches PRIMARY KEY (user_id),
    CONSTRAINT fk_embedding_caches_user_id_users FOREIGN KEY (user_id) REFERENCES ltmemory.users (id)
);
CREATE TABLE ltmemory.cached_embeddings (
    user_id UUID NOT NULL,
    model_id SMALLINT NOT NULL,
    text_key UUID NOT NULL,
    vector BYTEA NOT NULL,
    tokens BYTEA,
    places BYTEA,
    used_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_cached_embeddings PRIMARY KEY (user_id, model_id, text_key),
    CONSTRAINT fk_cached_embeddings_user_id_users FOREIGN KEY (user_id) REFERENCES ltmemory.users (id),
    CONSTRAINT fk_cached_embeddings_model_id_embedding_models FOREIGN KEY (model_id)
        REFERENCES ltmemory.embedding_models (id)
);
"""


def upgrade() -> None:
    """Add the tables."""
    op.execute(TABLES)
    for table in ("embedding_caches", "cached_embeddings"):
        secure(table)
        grant(table, "SELECT, INSERT, UPDATE, DELETE")
