"""Named moments of memory, and what was erased from it."""

from __future__ import annotations

from alembic import op

from mira_ltmemory.migrations.operations import grant, secure

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE ltmemory.snapshots (
    user_id UUID NOT NULL,
    id UUID NOT NULL,
    name TEXT NOT NULL,
    note TEXT,
    moment BIGINT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_snapshots PRIMARY KEY (user_id, id),
    CONSTRAINT fk_snapshots_user_id_users FOREIGN KEY (user_id) REFERENCES ltmemory.users (id),
    CONSTRAINT uq_snapshots_user_id_name UNIQUE (user_id, name)
);
CREATE TABLE ltmemory.tombstones (
    user_id UUID NOT NULL,
    kind TEXT NOT NULL,
    row_id UUID NOT NULL,
    receipt_id UUID NOT NULL,
    erased_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_tombstones PRIMARY KEY (user_id, kind, row_id),
    CONSTRAINT fk_tombstones_user_id_users FOREIGN KEY (user_id) REFERENCES ltmemory.users (id)
);
"""


def upgrade() -> None:
    """Make both."""
    op.execute(TABLES)
    for table in ("snapshots", "tombstones"):
        secure(table)
    grant("snapshots", "SELECT, INSERT, DELETE")
    grant("tombstones", "SELECT, INSERT")
