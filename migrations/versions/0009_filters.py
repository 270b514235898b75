"""What filters are answered from: tags in a table of their own, and indexes over the columns with few values."""

from __future__ import annotations

from alembic import op

from mira_ltmemory.migrations.operations import grant, secure

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TABLE = """
CREATE TABLE ltmemory.passage_tags (
    user_id UUID NOT NULL,
    tag_hash UUID NOT NULL,
    passage_id UUID NOT NULL,
    CONSTRAINT pk_passage_tags PRIMARY KEY (user_id, tag_hash, passage_id),
    CONSTRAINT fk_passage_tags_user_id_users FOREIGN KEY (user_id) REFERENCES ltmemory.users (id)
);
CREATE FUNCTION ltmemory.tag_hash(tag text) RETURNS uuid LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN encode(substring(sha256(convert_to(tag, 'UTF8')) FROM 1 FOR 16), 'hex')::uuid;
"""

# By statement, so that an import of many passages costs one insert. A tag's hash, because an index takes no long text.
TRIGGERS = """
CREATE FUNCTION ltmemory.keep_tags() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM ltmemory.passage_tags t USING (
            SELECT o.user_id, o.id, ltmemory.tag_hash(tag) AS tag_hash FROM old_rows o CROSS JOIN unnest(o.tags) tag
        ) g WHERE t.user_id = g.user_id AND t.tag_hash = g.tag_hash AND t.passage_id = g.id;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO ltmemory.passage_tags (user_id, tag_hash, passage_id)
        SELECT n.user_id, ltmemory.tag_hash(tag), n.id FROM new_rows n CROSS JOIN unnest(n.tags) tag
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER keep_tags_of_new AFTER INSERT ON ltmemory.passages REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION ltmemory.keep_tags();
CREATE TRIGGER keep_tags_of_changed AFTER UPDATE ON ltmemory.passages
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION ltmemory.keep_tags();
CREATE TRIGGER keep_tags_of_gone AFTER DELETE ON ltmemory.passages REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION ltmemory.keep_tags();
"""

# Forced row-level security would hide every row from an owner who is no superuser.
FILL = """
ALTER TABLE ltmemory.passages NO FORCE ROW LEVEL SECURITY;
INSERT INTO ltmemory.passage_tags (user_id, tag_hash, passage_id)
SELECT p.user_id, ltmemory.tag_hash(tag), p.id FROM ltmemory.passages p CROSS JOIN unnest(p.tags) tag
ON CONFLICT DO NOTHING;
ALTER TABLE ltmemory.passages FORCE ROW LEVEL SECURITY;
"""

# Few values each: an index of such columns is small, and Postgres 18 skips through those that a filter leaves open.
INDEXES = """
CREATE INDEX ix_messages_user_id_role_origin ON ltmemory.messages (user_id, role, origin);
CREATE INDEX ix_passages_user_id_category_tier_origin ON ltmemory.passages (user_id, category, tier, origin);
"""


def upgrade() -> None:
    """Make the table, fill it, and keep it filled."""
    op.execute(TABLE)
    op.execute(FILL)
    op.execute(TRIGGERS)
    secure("passage_tags")
    grant("passage_tags", "SELECT, INSERT, DELETE")
    op.execute(INDEXES)
