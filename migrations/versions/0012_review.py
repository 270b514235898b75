"""Indexes for the review: the reports in the journal, and the insights among all passages."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create both."""
    op.execute("CREATE INDEX ix_change_sets_review ON ltmemory.change_sets (user_id, id) WHERE metadata ? 'review'")
    op.execute("CREATE INDEX ix_passages_insight ON ltmemory.passages (user_id, said_at) WHERE category = 'insight'")


def downgrade() -> None:
    """Drop both."""
    op.execute("DROP INDEX ltmemory.ix_passages_insight, ltmemory.ix_change_sets_review")
