"""What an erasure may meet: tables whose rows go whole, columns that are emptied in place, words that mean nothing."""

from __future__ import annotations

from mira_ltmemory.protocols import Kind
from mira_ltmemory.store.scan import Place

CONVERSATION = "conversation"

GRAPH_TABLES = {
    Kind.ALIAS: "entity_aliases",
    Kind.MENTION: "mentions",
    Kind.RELATION: "relations",
    Kind.MERGE: "entity_merges",
    Kind.ENTITY: "entities",
}
"""The graph's kinds and tables, those that others refer to last: so they go."""

ROW_TABLES = {
    Kind.MESSAGE.value: "messages",
    Kind.PASSAGE.value: "passages",
    Kind.BLOCK.value: "blocks",
    CONVERSATION: "conversations",
    **{kind.value: table for kind, table in GRAPH_TABLES.items()},
}
"""The kinds of rows that can be named by their id, and their tables."""

WHOLE_ROWS = {
    "messages": Kind.MESSAGE,
    "passages": Kind.PASSAGE,
    **{table: kind for kind, table in GRAPH_TABLES.items()},
}
"""Tables whose rows go whole where any column holds the text."""

LINKS = "sources"
HELD = "held_edits"

BLOCK_COLUMNS = frozenset({"label", "description", "content", "metadata"})
"""Text of blocks: it goes on request only, content by lines, a label with its whole block."""

IN_PLACE = {
    "conversations": frozenset({"external_id", "title", "metadata"}),
    "change_sets": frozenset({"reason", "metadata"}),
    "snapshots": frozenset({"name", "note"}),
    "jobs": frozenset({"last_error", "last_report"}),
    "batch_messages": frozenset({"last_error"}),
}
"""Columns where the text goes and the row stays."""

VOCABULARY = {
    "change_sets": frozenset({"actor", "tool"}),
    "jobs": frozenset({"name", "cron", "timezone", "lease_owner"}),
    "sources": frozenset({"kind", "source_kind"}),
    "messages": frozenset({"role"}),
    "passages": frozenset({"tier", "category"}),
    "entities": frozenset({"type"}),
    "mentions": frozenset({"source_kind", "method"}),
    "relations": frozenset({"rule"}),
    "entity_merges": frozenset({"verdict"}),
    "pending_embeddings": frozenset({"kind"}),
    "vectors": frozenset({"kind"}),
    "user_models": frozenset({"state"}),
    "uses": frozenset({"kind"}),
    "cold_texts": frozenset({"kind"}),
    "consolidation_marks": frozenset({"step"}),
    "token_vectors": frozenset({"kind"}),
    "search_calibrations": frozenset({"kind", "way"}),
    "tombstones": frozenset({"kind"}),
    "batch_conversations": frozenset({"lease_owner"}),
    "batch_messages": frozenset({"state"}),
    "held_edits": frozenset({"operation"}),
}
"""Columns that hold words of this program only, never a user's: to find the text there means nothing."""

EXEMPT = frozenset({"users", "embedding_models", "alembic_version"})

TOMBSTONES = "tombstones"

TEXT = "passage text"
"""Kind of the tombstone that keeps a passage's text from being stored again; its id is derived from the text."""


def is_vocabulary(place: Place) -> bool:
    """Whether a value is a word of this program, not of the user."""
    if place.table in EXEMPT or place.column == "origin":
        return True
    return place.column in VOCABULARY.get(place.live_table, ())
