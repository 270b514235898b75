"""All that a user's memory consists of, told without ids: two users who did the same have the same."""

from __future__ import annotations

from typing import Any

from sqlalchemy import text

from mira_ltmemory.store.unit_of_work import Store

_QUERIES = {
    "state": "SELECT last_change_set_id, kept_from FROM ltmemory.user_states",
    "journal": "SELECT id, parent_id, undoes, actor, tool, metadata::text FROM ltmemory.change_sets",
    "blocks": "SELECT label, content, version, change_set_id, char_limit FROM ltmemory.blocks",
    "block versions": "SELECT label, content, version, change_set_id, ended_by FROM ltmemory.blocks_versions",
    "passages": "SELECT content, tags::text, version, change_set_id FROM ltmemory.passages",
    "passage versions": "SELECT content, tags::text, version, change_set_id, ended_by FROM ltmemory.passages_versions",
    "conversations": "SELECT external_id, version, change_set_id FROM ltmemory.conversations",
    "conversation versions": "SELECT external_id, version, ended_by FROM ltmemory.conversations_versions",
    "messages": "SELECT external_id, content, version, change_set_id FROM ltmemory.messages",
    "message versions": "SELECT external_id, content, version, change_set_id, ended_by FROM ltmemory.messages_versions",
    "words": "SELECT kind, document, length, terms::text FROM ltmemory.word_documents",
    "word totals": "SELECT kind, documents, length, next_document, packed FROM ltmemory.word_totals",
    "terms": "SELECT kind, term, documents, postings::text FROM ltmemory.word_terms",
    "postings": "SELECT kind, term, first_document, postings::text FROM ltmemory.word_blocks",
    "vectors": "SELECT kind, model_id, content_hash::text, embedding::text FROM ltmemory.vectors",
    "pending": "SELECT kind, enqueued_by FROM ltmemory.pending_embeddings",
    "entities": "SELECT type, name, version, change_set_id FROM ltmemory.entities",
    "aliases": "SELECT alias, key, version, change_set_id FROM ltmemory.entity_aliases",
    "mentions": "SELECT source_id::text, start_at, end_at, method, version, change_set_id FROM ltmemory.mentions",
    "relations": "SELECT predicate, inferred, version, change_set_id FROM ltmemory.relations",
    "merges": "SELECT verdict, version, change_set_id FROM ltmemory.entity_merges",
    "snapshots": "SELECT name, moment FROM ltmemory.snapshots",
    "lost words": (
        "SELECT d.kind, d.document FROM ltmemory.word_documents d WHERE NOT EXISTS (SELECT FROM ltmemory.passages p "
        "WHERE p.id = d.row_id) AND NOT EXISTS (SELECT FROM ltmemory.messages m WHERE m.id = d.row_id)"
    ),
    "rows without words": (
        "SELECT p.content FROM (SELECT id, content FROM ltmemory.passages UNION ALL SELECT id, content "
        "FROM ltmemory.messages) p WHERE NOT EXISTS (SELECT FROM ltmemory.word_documents d WHERE d.row_id = p.id)"
    ),
}


def journal_state(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """Every table of the store's user. Waits for a transaction of that user that still holds its lock."""
    with store.read() as unit:
        unit.session.connection().execute(
            text("SELECT 1 FROM ltmemory.user_states WHERE user_id = :user_id FOR UPDATE"), {"user_id": store.user_id}
        )
    with store.read() as unit:
        # Row-level security leaves this user's rows.
        return {
            name: sorted((tuple(row) for row in unit.session.connection().execute(text(query))), key=repr)
            for name, query in _QUERIES.items()
        }
