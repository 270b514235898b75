"""Which messages were processed, by which change set; what waits, what was set aside, and who works on it now."""

from __future__ import annotations

from alembic import op

from mira_ltmemory.migrations.operations import grant, secure

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE ltmemory.batch_states (
    user_id UUID NOT NULL,
    through BIGINT NOT NULL,
    CONSTRAINT pk_batch_states PRIMARY KEY (user_id),
    CONSTRAINT fk_batch_states_user_id_users FOREIGN KEY(user_id) REFERENCES ltmemory.users (id)
);
CREATE TABLE ltmemory.batch_conversations (
    user_id UUID NOT NULL,
    conversation_id UUID NOT NULL,
    lease_owner TEXT,
    lease_until TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_batch_conversations PRIMARY KEY (user_id, conversation_id),
    CONSTRAINT fk_batch_conversations_user_id_users FOREIGN KEY(user_id) REFERENCES ltmemory.users (id)
);
CREATE TABLE ltmemory.batch_messages (
    user_id UUID NOT NULL,
    message_id UUID NOT NULL,
    conversation_id UUID NOT NULL,
    position BIGINT NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    window_limit INTEGER,
    retry_at TIMESTAMP WITH TIME ZONE,
    last_error TEXT,
    change_set_id BIGINT,
    CONSTRAINT pk_batch_messages PRIMARY KEY (user_id, message_id),
    CONSTRAINT fk_batch_messages_user_id_users FOREIGN KEY(user_id) REFERENCES ltmemory.users (id)
);
CREATE INDEX ix_batch_messages_open ON ltmemory.batch_messages (user_id, position) WHERE state <> 'done';
CREATE INDEX ix_batch_messages_conversation ON ltmemory.batch_messages (user_id, conversation_id, position)
    WHERE state <> 'done';
"""


def upgrade() -> None:
    """Make them: all three are about the work, not memory itself."""
    op.execute(TABLES)
    for table in ("batch_states", "batch_conversations", "batch_messages"):
        secure(table)
        grant(table, "SELECT, INSERT, UPDATE, DELETE")
