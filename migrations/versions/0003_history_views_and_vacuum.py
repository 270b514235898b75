"""History as views, the vacuum of old versions, and numbers of blocks that never come twice."""

from __future__ import annotations

from alembic import op

from mira_ltmemory.migrations.operations import grant

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

KEPT_FROM = "ALTER TABLE ltmemory.user_states ADD COLUMN kept_from BIGINT DEFAULT 0 NOT NULL"

# Read with the reader's own rights: a view of the owner would show every user's rows to everyone.
HISTORY = """
CREATE VIEW ltmemory.history WITH (security_invoker) AS
SELECT r.user_id, r.kind, r.row_id, r.version, r.label, r.content, r.origin, r.change_set_id, r.ended_by,
    c.created_at AS changed_at, e.created_at AS ended_at, c.actor, c.tool, c.reason, c.parent_id, c.undoes
FROM (
    SELECT user_id, 'block' AS kind, id AS row_id, version, label, content, origin, change_set_id,
        NULL::bigint AS ended_by FROM ltmemory.blocks
    UNION ALL
    SELECT user_id, 'block', id, version, label, content, origin, change_set_id, ended_by FROM ltmemory.blocks_versions
    UNION ALL
    SELECT user_id, 'passage', id, version, NULL, content, origin, change_set_id, NULL FROM ltmemory.passages
    UNION ALL
    SELECT user_id, 'passage', id, version, NULL, content, origin, change_set_id, ended_by FROM ltmemory.passages_versions
    UNION ALL
    SELECT user_id, 'message', id, version, NULL, content, origin, change_set_id, NULL FROM ltmemory.messages
    UNION ALL
    SELECT user_id, 'message', id, version, NULL, content, origin, change_set_id, ended_by FROM ltmemory.messages_versions
) r
JOIN ltmemory.change_sets c ON c.user_id = r.user_id AND c.id = r.change_set_id
LEFT JOIN ltmemory.change_sets e ON e.user_id = r.user_id AND e.id = r.ended_by
"""

SNAPSHOT_ROWS = """
CREATE VIEW ltmemory.snapshot_rows WITH (security_invoker) AS
SELECT s.user_id, s.id AS snapshot_id, s.name, s.moment, h.kind, h.row_id, h.version, h.label, h.content
FROM ltmemory.snapshots s
JOIN ltmemory.history h ON h.user_id = s.user_id AND h.kind IN ('block', 'passage')
    AND h.change_set_id <= s.moment AND (h.ended_by IS NULL OR h.ended_by > s.moment)
"""

# The application may not delete from versions and vectors; through this it may, and nothing else than what no
# moment from the bound on, and no snapshot, shows. The owner's rights may go past row-level security, so the
# function holds every row against the user of the transaction itself. Tables of versions that later migrations
# make are found by their name; a kind's vectors go only where its table says which text each row holds.
VACUUM = """
CREATE FUNCTION ltmemory.vacuum_history(bound bigint) RETURNS TABLE (part text, removed bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    present uuid := nullif(current_setting('ltmemory.user_id', true), '')::uuid;
    newest bigint;
    vector_kind text;
    twin text;
BEGIN
    SELECT u.last_change_set_id INTO newest FROM ltmemory.user_states u WHERE u.user_id = present FOR UPDATE;
    IF newest IS NULL THEN
        RAISE EXCEPTION 'vacuum_history needs the user of the transaction';
    END IF;
    IF bound IS NULL OR bound < 0 OR bound > newest THEN
        RAISE EXCEPTION 'the bound % lies outside the journal, which ends with %', bound, newest;
    END IF;
    UPDATE ltmemory.user_states u SET kept_from = greatest(u.kept_from, bound) WHERE u.user_id = present;
    FOR part IN
        SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'ltmemory'::regnamespace
            AND c.relkind = 'r' AND c.relname LIKE '%\\_versions' ORDER BY c.relname
    LOOP
        EXECUTE format(
            'DELETE FROM ltmemory.%I v WHERE v.user_id = $1 AND v.ended_by <= $2 AND NOT EXISTS ('
            'SELECT FROM ltmemory.snapshots s WHERE s.user_id = $1'
            ' AND v.change_set_id <= s.moment AND v.ended_by > s.moment)', part
        ) USING present, bound;
        GET DIAGNOSTICS removed = ROW_COUNT;
        RETURN NEXT;
    END LOOP;
    part := 'vectors';
    removed := 0;
    FOR vector_kind IN SELECT DISTINCT v.kind FROM ltmemory.vectors v WHERE v.user_id = present LOOP
        twin := CASE vector_kind WHEN 'entity' THEN 'entities' ELSE vector_kind || 's' END;
        IF NOT EXISTS (
            SELECT FROM pg_attribute a WHERE a.attname = 'content_hash' AND NOT a.attisdropped
                AND a.attrelid = to_regclass(format('ltmemory.%I', twin || '_versions'))
        ) THEN
            CONTINUE;
        END IF;
        EXECUTE format(
            'WITH gone AS (DELETE FROM ltmemory.vectors v WHERE v.user_id = $1 AND v.kind = $2'
            ' AND NOT EXISTS (SELECT FROM ltmemory.%1$I r'
            ' WHERE r.user_id = $1 AND r.id = v.row_id AND r.content_hash = v.content_hash)'
            ' AND NOT EXISTS (SELECT FROM ltmemory.%2$I r'
            ' WHERE r.user_id = $1 AND r.id = v.row_id AND r.content_hash = v.content_hash)'
            ' RETURNING 1) SELECT $3 + count(*) FROM gone', twin, twin || '_versions'
        ) INTO removed USING present, vector_kind, removed;
    END LOOP;
    RETURN NEXT;
END
$$;
REVOKE ALL ON FUNCTION ltmemory.vacuum_history(bigint) FROM PUBLIC;
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ltmemory_app') THEN
        GRANT EXECUTE ON FUNCTION ltmemory.vacuum_history(bigint) TO ltmemory_app;
    END IF;
END
$$;
"""

# A block keeps its id when it is made again: its versions go on counting, so that a number names one text.
NUMBER_BLOCKS = """
CREATE FUNCTION ltmemory.number_block() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.version := greatest(NEW.version, 1 + coalesce(
        (SELECT max(v.version) FROM ltmemory.blocks_versions v WHERE v.user_id = NEW.user_id AND v.id = NEW.id), 0));
    RETURN NEW;
END
$$;
CREATE TRIGGER number_block BEFORE INSERT ON ltmemory.blocks
    FOR EACH ROW EXECUTE FUNCTION ltmemory.number_block();
"""


def upgrade() -> None:
    """Make them."""
    op.execute(KEPT_FROM)
    op.execute(HISTORY)
    op.execute(SNAPSHOT_ROWS)
    for view in ("history", "snapshot_rows"):
        grant(view, "SELECT")
    op.execute(VACUUM)
    op.execute(NUMBER_BLOCKS)
