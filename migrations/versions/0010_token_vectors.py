"""Vectors of the words of texts, beside the vectors of the texts, and the space that they are in."""

from __future__ import annotations

from alembic import op

from mira_ltmemory.migrations.operations import grant, secure

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# Gone with its vector, by whatever way that goes. Bytes that look random are not worth compressing.
TABLE = """
CREATE TABLE ltmemory.token_vectors (
    user_id UUID NOT NULL,
    kind TEXT NOT NULL,
    row_id UUID NOT NULL,
    model_id SMALLINT NOT NULL,
    content_hash UUID NOT NULL,
    tokens BYTEA NOT NULL,
    CONSTRAINT pk_token_vectors PRIMARY KEY (user_id, kind, row_id, model_id, content_hash),
    CONSTRAINT fk_token_vectors_user_id_vectors FOREIGN KEY (user_id, kind, row_id, model_id, content_hash)
        REFERENCES ltmemory.vectors (user_id, kind, row_id, model_id, content_hash) ON DELETE CASCADE
);
ALTER TABLE ltmemory.token_vectors ALTER COLUMN tokens SET STORAGE EXTERNAL;
"""


def upgrade() -> None:
    """Add the table, and the space to the models."""
    op.execute("ALTER TABLE ltmemory.embedding_models ADD COLUMN token_space BYTEA")
    op.execute(TABLE)
    secure("token_vectors")
    grant("token_vectors", "SELECT, INSERT")
