"""Cold texts get bits to search by; their words move to an index of cold words."""

from __future__ import annotations

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

# Rows that are cold already get their bits and words by the next consolidation, from their codes and texts.
BITS = """
ALTER TABLE ltmemory.cold_texts ADD COLUMN bits VARBIT, DROP COLUMN length, DROP COLUMN terms;
CREATE INDEX ix_cold_texts_user_id_kind_model_id ON ltmemory.cold_texts (user_id, kind, model_id)
    INCLUDE (row_id, bits);
"""


def upgrade() -> None:
    """Change the table and index its bits."""
    op.execute(BITS)
