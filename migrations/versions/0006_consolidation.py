"""What consolidation works with: on which days a memory was shown, and how far each of its steps has come."""

from __future__ import annotations

from alembic import op

from mira_ltmemory.migrations.operations import grant, secure

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE ltmemory.uses (
    user_id UUID NOT NULL,
    kind TEXT NOT NULL,
    row_id UUID NOT NULL,
    day DATE NOT NULL,
    count INTEGER NOT NULL,
    CONSTRAINT pk_uses PRIMARY KEY (user_id, kind, row_id, day),
    CONSTRAINT fk_uses_user_id_users FOREIGN KEY(user_id) REFERENCES ltmemory.users (id)
);
CREATE TABLE ltmemory.consolidation_marks (
    user_id UUID NOT NULL,
    step TEXT NOT NULL,
    through BIGINT NOT NULL,
    row_id UUID NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_consolidation_marks PRIMARY KEY (user_id, step),
    CONSTRAINT fk_consolidation_marks_user_id_users FOREIGN KEY(user_id) REFERENCES ltmemory.users (id)
);
"""


def upgrade() -> None:
    """Make them. Both are derived: no journal, and the application may delete from them."""
    op.execute(TABLES)
    for table in ("uses", "consolidation_marks"):
        secure(table)
        grant(table, "SELECT, INSERT, UPDATE, DELETE")
