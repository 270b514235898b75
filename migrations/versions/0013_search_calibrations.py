"""How strong a find by chance is in each user's memory: numbers, measured by a job."""

from __future__ import annotations

from alembic import op

from mira_ltmemory.migrations.operations import grant, secure

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

TABLE = """
CREATE TABLE ltmemory.search_calibrations (
    user_id UUID NOT NULL,
    kind TEXT NOT NULL,
    way TEXT NOT NULL,
    mean REAL NOT NULL,
    spread REAL NOT NULL,
    questions INTEGER NOT NULL,
    documents BIGINT NOT NULL,
    measured_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_search_calibrations PRIMARY KEY (user_id, kind, way),
    CONSTRAINT fk_search_calibrations_user_id_users FOREIGN KEY (user_id) REFERENCES ltmemory.users (id)
);
"""


def upgrade() -> None:
    """Add the table."""
    op.execute(TABLE)
    secure("search_calibrations")
    grant("search_calibrations", "SELECT, INSERT, UPDATE, DELETE")
