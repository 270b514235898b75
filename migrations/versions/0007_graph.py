"""The knowledge graph: entities, their names, mentions, relations and merges, in history and snapshots too."""

from __future__ import annotations

from alembic import op

from mira_ltmemory.migrations.operations import grant, keep_versions, secure

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

JOURNALED = ("entities", "entity_aliases", "mentions", "relations", "entity_merges")

TABLES = """
CREATE TABLE ltmemory.entities (
    user_id UUID NOT NULL,
    id UUID NOT NULL,
    version INTEGER NOT NULL,
    change_set_id BIGINT NOT NULL,
    origin TEXT NOT NULL,
    valid_from TIMESTAMP WITH TIME ZONE,
    valid_until TIMESTAMP WITH TIME ZONE,
    metadata JSONB NOT NULL,
    type TEXT NOT NULL,
    name TEXT NOT NULL,
    content TEXT NOT NULL,
    content_hash UUID NOT NULL,
    CONSTRAINT pk_entities PRIMARY KEY (user_id, id),
    CONSTRAINT fk_entities_user_id_change_set_id_change_sets FOREIGN KEY(user_id, change_set_id) REFERENCES ltmemory.change_sets (user_id, id)
);
CREATE INDEX ix_entities_user_id_change_set_id ON ltmemory.entities (user_id, change_set_id);
CREATE TABLE ltmemory.entity_aliases (
    user_id UUID NOT NULL,
    id UUID NOT NULL,
    version INTEGER NOT NULL,
    change_set_id BIGINT NOT NULL,
    origin TEXT NOT NULL,
    valid_from TIMESTAMP WITH TIME ZONE,
    valid_until TIMESTAMP WITH TIME ZONE,
    metadata JSONB NOT NULL,
    entity_id UUID NOT NULL,
    alias TEXT NOT NULL,
    key TEXT NOT NULL,
    CONSTRAINT pk_entity_aliases PRIMARY KEY (user_id, id),
    CONSTRAINT fk_entity_aliases_user_id_change_set_id_change_sets FOREIGN KEY(user_id, change_set_id) REFERENCES ltmemory.change_sets (user_id, id),
    CONSTRAINT fk_entity_aliases_user_id_entity_id_entities FOREIGN KEY(user_id, entity_id) REFERENCES ltmemory.entities (user_id, id),
    CONSTRAINT uq_entity_aliases_user_id_entity_id_key UNIQUE (user_id, entity_id, key)
);
CREATE INDEX ix_entity_aliases_user_id_change_set_id ON ltmemory.entity_aliases (user_id, change_set_id);
CREATE INDEX ix_entity_aliases_user_id_key ON ltmemory.entity_aliases (user_id, key);
CREATE TABLE ltmemory.mentions (
    user_id UUID NOT NULL,
    id UUID NOT NULL,
    version INTEGER NOT NULL,
    change_set_id BIGINT NOT NULL,
    origin TEXT NOT NULL,
    valid_from TIMESTAMP WITH TIME ZONE,
    valid_until TIMESTAMP WITH TIME ZONE,
    metadata JSONB NOT NULL,
    entity_id UUID NOT NULL,
    source_kind TEXT NOT NULL,
    source_id UUID NOT NULL,
    start_at INTEGER NOT NULL,
    end_at INTEGER NOT NULL,
    said_at TIMESTAMP WITH TIME ZONE NOT NULL,
    confidence REAL NOT NULL,
    method TEXT NOT NULL,
    CONSTRAINT pk_mentions PRIMARY KEY (user_id, id),
    CONSTRAINT fk_mentions_user_id_change_set_id_change_sets FOREIGN KEY(user_id, change_set_id) REFERENCES ltmemory.change_sets (user_id, id),
    CONSTRAINT fk_mentions_user_id_entity_id_entities FOREIGN KEY(user_id, entity_id) REFERENCES ltmemory.entities (user_id, id)
);
CREATE INDEX ix_mentions_user_id_change_set_id ON ltmemory.mentions (user_id, change_set_id);
CREATE INDEX ix_mentions_user_id_entity_id_said_at ON ltmemory.mentions (user_id, entity_id, said_at);
CREATE INDEX ix_mentions_user_id_said_at ON ltmemory.mentions (user_id, said_at);
CREATE INDEX ix_mentions_user_id_source_id ON ltmemory.mentions (user_id, source_id);
CREATE TABLE ltmemory.relations (
    user_id UUID NOT NULL,
    id UUID NOT NULL,
    version INTEGER NOT NULL,
    change_set_id BIGINT NOT NULL,
    origin TEXT NOT NULL,
    valid_from TIMESTAMP WITH TIME ZONE,
    valid_until TIMESTAMP WITH TIME ZONE,
    metadata JSONB NOT NULL,
    subject_id UUID NOT NULL,
    predicate TEXT NOT NULL,
    object_id UUID NOT NULL,
    confidence REAL NOT NULL,
    inferred BOOLEAN NOT NULL,
    rule TEXT,
    CONSTRAINT pk_relations PRIMARY KEY (user_id, id),
    CONSTRAINT fk_relations_user_id_change_set_id_change_sets FOREIGN KEY(user_id, change_set_id) REFERENCES ltmemory.change_sets (user_id, id),
    CONSTRAINT fk_relations_user_id_subject_id_entities FOREIGN KEY(user_id, subject_id) REFERENCES ltmemory.entities (user_id, id),
    CONSTRAINT fk_relations_user_id_object_id_entities FOREIGN KEY(user_id, object_id) REFERENCES ltmemory.entities (user_id, id)
);
CREATE INDEX ix_relations_user_id_change_set_id ON ltmemory.relations (user_id, change_set_id);
CREATE INDEX ix_relations_user_id_object_id ON ltmemory.relations (user_id, object_id);
CREATE INDEX ix_relations_user_id_subject_id ON ltmemory.relations (user_id, subject_id);
CREATE TABLE ltmemory.entity_merges (
    user_id UUID NOT NULL,
    id UUID NOT NULL,
    version INTEGER NOT NULL,
    change_set_id BIGINT NOT NULL,
    origin TEXT NOT NULL,
    valid_from TIMESTAMP WITH TIME ZONE,
    valid_until TIMESTAMP WITH TIME ZONE,
    metadata JSONB NOT NULL,
    entity_id UUID NOT NULL,
    into_id UUID NOT NULL,
    verdict TEXT NOT NULL,
    CONSTRAINT pk_entity_merges PRIMARY KEY (user_id, id),
    CONSTRAINT fk_entity_merges_user_id_change_set_id_change_sets FOREIGN KEY(user_id, change_set_id) REFERENCES ltmemory.change_sets (user_id, id),
    CONSTRAINT fk_entity_merges_user_id_entity_id_entities FOREIGN KEY(user_id, entity_id) REFERENCES ltmemory.entities (user_id, id),
    CONSTRAINT fk_entity_merges_user_id_into_id_entities FOREIGN KEY(user_id, into_id) REFERENCES ltmemory.entities (user_id, id),
    CONSTRAINT uq_entity_merges_user_id_entity_id_into_id UNIQUE (user_id, entity_id, into_id)
);
CREATE INDEX ix_entity_merges_user_id_change_set_id ON ltmemory.entity_merges (user_id, change_set_id);
CREATE INDEX ix_entity_merges_user_id_into_id ON ltmemory.entity_merges (user_id, into_id);
"""

# What people read: mentions, names and merges are told with their entities.
HISTORY = """
CREATE OR REPLACE VIEW ltmemory.history WITH (security_invoker) AS
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
    UNION ALL
    SELECT user_id, 'entity', id, version, name, content, origin, change_set_id, NULL FROM ltmemory.entities
    UNION ALL
    SELECT user_id, 'entity', id, version, name, content, origin, change_set_id, ended_by FROM ltmemory.entities_versions
    UNION ALL
    SELECT user_id, 'relation', id, version, predicate, subject_id || ' ' || predicate || ' ' || object_id, origin,
        change_set_id, NULL FROM ltmemory.relations
    UNION ALL
    SELECT user_id, 'relation', id, version, predicate, subject_id || ' ' || predicate || ' ' || object_id, origin,
        change_set_id, ended_by FROM ltmemory.relations_versions
) r
JOIN ltmemory.change_sets c ON c.user_id = r.user_id AND c.id = r.change_set_id
LEFT JOIN ltmemory.change_sets e ON e.user_id = r.user_id AND e.id = r.ended_by
"""

SNAPSHOT_ROWS = """
CREATE OR REPLACE VIEW ltmemory.snapshot_rows WITH (security_invoker) AS
SELECT s.user_id, s.id AS snapshot_id, s.name, s.moment, h.kind, h.row_id, h.version, h.label, h.content
FROM ltmemory.snapshots s
JOIN ltmemory.history h ON h.user_id = s.user_id AND h.kind IN ('block', 'passage', 'entity', 'relation')
    AND h.change_set_id <= s.moment AND (h.ended_by IS NULL OR h.ended_by > s.moment)
"""


def upgrade() -> None:
    """Make them."""
    op.execute(TABLES)
    for table in JOURNALED:
        secure(table)
        keep_versions(table)
        grant(table, "SELECT, INSERT, UPDATE, DELETE")
        grant(f"{table}_versions", "SELECT, INSERT")
    op.execute(HISTORY)
    op.execute(SNAPSHOT_ROWS)
