"""The first schema: users, journal, core, recall and archival memory, vectors, jobs.

Later migrations that add a user's table call `secure` for it, and `keep_versions` where it is journaled.
"""

from __future__ import annotations

from alembic import op

from mira_ltmemory.migrations.operations import keep_versions, secure

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

USER_TABLES = (
    "user_states",
    "change_sets",
    "blocks",
    "conversations",
    "messages",
    "passages",
    "sources",
    "vectors",
    "pending_embeddings",
    "word_totals",
    "word_documents",
    "word_terms",
    "word_blocks",
    "jobs",
)
JOURNALED = ("blocks", "conversations", "messages", "passages", "sources")

TABLES = """
CREATE TABLE ltmemory.embedding_models (
    id SMALLINT NOT NULL,
    name TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    dimension INTEGER NOT NULL,
    max_tokens INTEGER NOT NULL,
    active BOOLEAN NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_embedding_models PRIMARY KEY (id),
    CONSTRAINT uq_embedding_models_name_sha256_dimension UNIQUE (name, sha256, dimension)
);
CREATE TABLE ltmemory.users (
    id UUID NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_users PRIMARY KEY (id)
);
CREATE TABLE ltmemory.change_sets (
    user_id UUID NOT NULL,
    id BIGINT NOT NULL,
    parent_id BIGINT,
    undoes BIGINT,
    actor TEXT NOT NULL,
    tool TEXT,
    reason TEXT,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    metadata JSONB NOT NULL,
    CONSTRAINT pk_change_sets PRIMARY KEY (user_id, id),
    CONSTRAINT fk_change_sets_user_id_users FOREIGN KEY(user_id) REFERENCES ltmemory.users (id),
    CONSTRAINT fk_change_sets_user_id_parent_id_change_sets FOREIGN KEY(user_id, parent_id) REFERENCES ltmemory.change_sets (user_id, id),
    CONSTRAINT fk_change_sets_user_id_undoes_change_sets FOREIGN KEY(user_id, undoes) REFERENCES ltmemory.change_sets (user_id, id)
);
CREATE INDEX ix_change_sets_user_id_created_at ON ltmemory.change_sets (user_id, created_at);
CREATE INDEX ix_change_sets_user_id_parent_id ON ltmemory.change_sets (user_id, parent_id);
CREATE INDEX ix_change_sets_user_id_undoes ON ltmemory.change_sets (user_id, undoes);
CREATE TABLE ltmemory.jobs (
    user_id UUID NOT NULL,
    name TEXT NOT NULL,
    cron TEXT NOT NULL,
    timezone TEXT NOT NULL,
    next_run_at TIMESTAMP WITH TIME ZONE,
    last_started_at TIMESTAMP WITH TIME ZONE,
    last_finished_at TIMESTAMP WITH TIME ZONE,
    last_success_at TIMESTAMP WITH TIME ZONE,
    consecutive_failures INTEGER NOT NULL,
    last_error TEXT,
    last_report JSONB,
    lease_owner TEXT,
    lease_until TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_jobs PRIMARY KEY (user_id, name),
    CONSTRAINT fk_jobs_user_id_users FOREIGN KEY(user_id) REFERENCES ltmemory.users (id)
);
CREATE TABLE ltmemory.pending_embeddings (
    user_id UUID NOT NULL,
    kind TEXT NOT NULL,
    row_id UUID NOT NULL,
    enqueued_by BIGINT NOT NULL,
    CONSTRAINT pk_pending_embeddings PRIMARY KEY (user_id, kind, row_id),
    CONSTRAINT fk_pending_embeddings_user_id_users FOREIGN KEY(user_id) REFERENCES ltmemory.users (id)
);
CREATE INDEX ix_pending_embeddings_user_id_kind_enqueued_by ON ltmemory.pending_embeddings (user_id, kind, enqueued_by);
CREATE TABLE ltmemory.user_states (
    user_id UUID NOT NULL,
    last_change_set_id BIGINT DEFAULT 0 NOT NULL,
    CONSTRAINT pk_user_states PRIMARY KEY (user_id),
    CONSTRAINT fk_user_states_user_id_users FOREIGN KEY(user_id) REFERENCES ltmemory.users (id)
);
CREATE TABLE ltmemory.vectors (
    user_id UUID NOT NULL,
    kind TEXT NOT NULL,
    row_id UUID NOT NULL,
    model_id SMALLINT NOT NULL,
    content_hash UUID NOT NULL,
    embedding HALFVEC NOT NULL,
    CONSTRAINT pk_vectors PRIMARY KEY (user_id, kind, row_id, model_id, content_hash),
    CONSTRAINT fk_vectors_user_id_users FOREIGN KEY(user_id) REFERENCES ltmemory.users (id),
    CONSTRAINT fk_vectors_model_id_embedding_models FOREIGN KEY(model_id) REFERENCES ltmemory.embedding_models (id)
);
CREATE TABLE ltmemory.word_totals (
    user_id UUID NOT NULL,
    kind SMALLINT NOT NULL,
    documents BIGINT NOT NULL,
    length BIGINT NOT NULL,
    next_document INTEGER NOT NULL,
    packed INTEGER NOT NULL,
    CONSTRAINT pk_word_totals PRIMARY KEY (user_id, kind),
    CONSTRAINT fk_word_totals_user_id_users FOREIGN KEY(user_id) REFERENCES ltmemory.users (id)
);
CREATE TABLE ltmemory.word_documents (
    user_id UUID NOT NULL,
    kind SMALLINT NOT NULL,
    document INTEGER NOT NULL,
    length INTEGER NOT NULL,
    row_id UUID NOT NULL,
    terms BYTEA NOT NULL,
    CONSTRAINT pk_word_documents PRIMARY KEY (user_id, kind, document),
    CONSTRAINT fk_word_documents_user_id_users FOREIGN KEY(user_id) REFERENCES ltmemory.users (id),
    CONSTRAINT uq_word_documents_user_id_kind_row_id UNIQUE (user_id, kind, row_id)
);
CREATE TABLE ltmemory.word_terms (
    user_id UUID NOT NULL,
    term BIGINT NOT NULL,
    kind SMALLINT NOT NULL,
    documents INTEGER NOT NULL,
    postings BYTEA NOT NULL,
    CONSTRAINT pk_word_terms PRIMARY KEY (user_id, term, kind),
    CONSTRAINT fk_word_terms_user_id_users FOREIGN KEY(user_id) REFERENCES ltmemory.users (id)
);
CREATE TABLE ltmemory.word_blocks (
    user_id UUID NOT NULL,
    term BIGINT NOT NULL,
    kind SMALLINT NOT NULL,
    first_document INTEGER NOT NULL,
    postings BYTEA NOT NULL,
    CONSTRAINT pk_word_blocks PRIMARY KEY (user_id, term, kind, first_document),
    CONSTRAINT fk_word_blocks_user_id_users FOREIGN KEY(user_id) REFERENCES ltmemory.users (id)
);
CREATE TABLE ltmemory.blocks (
    user_id UUID NOT NULL,
    id UUID NOT NULL,
    version INTEGER NOT NULL,
    change_set_id BIGINT NOT NULL,
    origin TEXT NOT NULL,
    valid_from TIMESTAMP WITH TIME ZONE,
    valid_to TIMESTAMP WITH TIME ZONE,
    metadata JSONB NOT NULL,
    label TEXT NOT NULL,
    description TEXT NOT NULL,
    content TEXT NOT NULL,
    char_limit INTEGER NOT NULL,
    read_only BOOLEAN NOT NULL,
    position INTEGER NOT NULL,
    CONSTRAINT pk_blocks PRIMARY KEY (user_id, id),
    CONSTRAINT fk_blocks_user_id_change_set_id_change_sets FOREIGN KEY(user_id, change_set_id) REFERENCES ltmemory.change_sets (user_id, id),
    CONSTRAINT uq_blocks_user_id_label UNIQUE (user_id, label),
    CONSTRAINT ck_blocks_content_fits CHECK (char_length(content) <= char_limit)
);
CREATE TABLE ltmemory.conversations (
    user_id UUID NOT NULL,
    id UUID NOT NULL,
    version INTEGER NOT NULL,
    change_set_id BIGINT NOT NULL,
    origin TEXT NOT NULL,
    valid_from TIMESTAMP WITH TIME ZONE,
    valid_to TIMESTAMP WITH TIME ZONE,
    metadata JSONB NOT NULL,
    external_id TEXT NOT NULL,
    title TEXT,
    CONSTRAINT pk_conversations PRIMARY KEY (user_id, id),
    CONSTRAINT fk_conversations_user_id_change_set_id_change_sets FOREIGN KEY(user_id, change_set_id) REFERENCES ltmemory.change_sets (user_id, id),
    CONSTRAINT uq_conversations_user_id_external_id UNIQUE (user_id, external_id)
);
CREATE TABLE ltmemory.passages (
    user_id UUID NOT NULL,
    id UUID NOT NULL,
    version INTEGER NOT NULL,
    change_set_id BIGINT NOT NULL,
    origin TEXT NOT NULL,
    valid_from TIMESTAMP WITH TIME ZONE,
    valid_to TIMESTAMP WITH TIME ZONE,
    metadata JSONB NOT NULL,
    content TEXT NOT NULL,
    content_hash UUID NOT NULL,
    tags TEXT[] NOT NULL,
    tier TEXT NOT NULL,
    said_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_passages PRIMARY KEY (user_id, id),
    CONSTRAINT fk_passages_user_id_change_set_id_change_sets FOREIGN KEY(user_id, change_set_id) REFERENCES ltmemory.change_sets (user_id, id)
);
CREATE INDEX ix_passages_user_id_change_set_id ON ltmemory.passages (user_id, change_set_id);
CREATE INDEX ix_passages_user_id_content_hash ON ltmemory.passages (user_id, content_hash);
CREATE INDEX ix_passages_user_id_said_at ON ltmemory.passages (user_id, said_at);
CREATE TABLE ltmemory.sources (
    user_id UUID NOT NULL,
    id UUID NOT NULL,
    version INTEGER NOT NULL,
    change_set_id BIGINT NOT NULL,
    origin TEXT NOT NULL,
    valid_from TIMESTAMP WITH TIME ZONE,
    valid_to TIMESTAMP WITH TIME ZONE,
    metadata JSONB NOT NULL,
    kind TEXT NOT NULL,
    row_id UUID NOT NULL,
    source_kind TEXT NOT NULL,
    source_id UUID NOT NULL,
    CONSTRAINT pk_sources PRIMARY KEY (user_id, id),
    CONSTRAINT fk_sources_user_id_change_set_id_change_sets FOREIGN KEY(user_id, change_set_id) REFERENCES ltmemory.change_sets (user_id, id),
    CONSTRAINT uq_sources_user_id_kind_row_id_source_kind_source_id UNIQUE (user_id, kind, row_id, source_kind, source_id)
);
CREATE INDEX ix_sources_user_id_source_kind_source_id ON ltmemory.sources (user_id, source_kind, source_id);
CREATE TABLE ltmemory.messages (
    user_id UUID NOT NULL,
    id UUID NOT NULL,
    version INTEGER NOT NULL,
    change_set_id BIGINT NOT NULL,
    origin TEXT NOT NULL,
    valid_from TIMESTAMP WITH TIME ZONE,
    valid_to TIMESTAMP WITH TIME ZONE,
    metadata JSONB NOT NULL,
    conversation_id UUID NOT NULL,
    external_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    role TEXT NOT NULL,
    speaker TEXT,
    content TEXT NOT NULL,
    content_hash UUID NOT NULL,
    said_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_messages PRIMARY KEY (user_id, id),
    CONSTRAINT fk_messages_user_id_change_set_id_change_sets FOREIGN KEY(user_id, change_set_id) REFERENCES ltmemory.change_sets (user_id, id),
    CONSTRAINT fk_messages_user_id_conversation_id_conversations FOREIGN KEY(user_id, conversation_id) REFERENCES ltmemory.conversations (user_id, id),
    CONSTRAINT uq_messages_user_id_conversation_id_external_id UNIQUE (user_id, conversation_id, external_id)
);
CREATE INDEX ix_messages_user_id_change_set_id ON ltmemory.messages (user_id, change_set_id);
CREATE INDEX ix_messages_user_id_conversation_id_position ON ltmemory.messages (user_id, conversation_id, position);
CREATE INDEX ix_messages_user_id_said_at ON ltmemory.messages (user_id, said_at);
"""

# A row that one change set changes twice, or makes and removes, never was visible: no version is kept.
KEEP_VERSION = """
CREATE FUNCTION ltmemory.keep_version() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    present bigint := nullif(current_setting('ltmemory.change_set_id', true), '')::bigint;
BEGIN
    IF present IS NULL THEN
        RAISE EXCEPTION 'table % is journaled: changes need a change set', TG_TABLE_NAME;
    END IF;
    IF OLD.change_set_id <> present THEN
        EXECUTE format('INSERT INTO ltmemory.%I SELECT ($1).*, $2', TG_TABLE_NAME || '_versions')
            USING OLD, present;
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    IF NEW.user_id <> OLD.user_id OR NEW.id <> OLD.id THEN
        RAISE EXCEPTION 'the key of a row in % never changes', TG_TABLE_NAME;
    END IF;
    NEW.change_set_id := present;
    NEW.version := OLD.version + (OLD.change_set_id <> present)::int;
    RETURN NEW;
END
$$;
"""

# A plain owner may not make roles; its own connections then run as itself, which forced row-level
# security holds too.
APP_ROLE = """
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ltmemory_app') THEN
        CREATE ROLE ltmemory_app NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
    END IF;
    EXECUTE format('GRANT ltmemory_app TO %I', current_user);
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE NOTICE 'role ltmemory_app cannot be made by %: connections run as it', current_user;
    WHEN duplicate_object OR unique_violation THEN
        NULL; -- another database of this cluster made it at the same moment
END
$$;
"""

# Earlier versions, journal and models are only ever added to by the application.
GRANTS = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ltmemory_app') THEN
        GRANT USAGE ON SCHEMA ltmemory TO ltmemory_app;
        GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA ltmemory TO ltmemory_app;
        REVOKE INSERT ON ltmemory.alembic_version, ltmemory.embedding_models FROM ltmemory_app;
        GRANT UPDATE ON ltmemory.user_states, ltmemory.jobs TO ltmemory_app;
        GRANT UPDATE, DELETE ON ltmemory.blocks, ltmemory.conversations, ltmemory.messages,
            ltmemory.passages, ltmemory.sources, ltmemory.pending_embeddings TO ltmemory_app;
        GRANT UPDATE, DELETE ON ltmemory.word_totals, ltmemory.word_documents, ltmemory.word_terms,
            ltmemory.word_blocks TO ltmemory_app;
        GRANT DELETE ON ltmemory.jobs TO ltmemory_app;
    END IF;
END
$$;
"""


def upgrade() -> None:
    """Make everything."""
    extension = op.get_bind().exec_driver_sql("SELECT 1 FROM pg_extension WHERE extname = 'vector'").scalar()
    if extension is None:
        op.execute("CREATE EXTENSION vector SCHEMA public")
    op.execute(APP_ROLE)
    op.execute(TABLES)
    for table in USER_TABLES:
        secure(table)
    op.execute(KEEP_VERSION)
    for table in JOURNALED:
        keep_versions(table)
    op.execute(GRANTS)
