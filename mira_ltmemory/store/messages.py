"""Rows of recall memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID, uuid5

from sqlalchemy import insert, text
from sqlmodel import select

from mira_ltmemory.protocols import Kind, Origin
from mira_ltmemory.store.models import Conversation, Message, PendingEmbedding
from mira_ltmemory.store.rows import Rows, column_values

_EXISTING = text("SELECT id FROM ltmemory.messages WHERE user_id = :user_id AND id = ANY(:ids)")

# The newest messages are taken first, so that the index bounds the work however rare untrusted ones are.
_UNTRUSTED = text(
    "SELECT id, left(content, :chars) AS content FROM ("
    "SELECT id, content, origin, said_at FROM ltmemory.messages WHERE user_id = :user_id "
    "ORDER BY said_at DESC LIMIT :among) newest "
    "WHERE origin = ANY(:origins) ORDER BY said_at DESC LIMIT :limit"
)


class MessageRows(Rows):
    """The user's conversations and messages."""

    def conversation_key(self, external_id: str) -> UUID:
        """The id of a conversation: derived, so that capturing it twice cannot make two."""
        return uuid5(self.user_id, f"conversation:{external_id}")

    def message_key(self, conversation_id: UUID, external_id: str) -> UUID:
        """The id of a message, derived likewise."""
        return uuid5(conversation_id, external_id)

    def known(self, ids: Iterable[UUID]) -> set[UUID]:
        """Which of these messages are stored already."""
        return {row.id for row in self.execute(_EXISTING, ids=list(ids))}

    def ensure_conversation(self, conversation: Conversation) -> None:
        """Insert a conversation unless it is there."""
        own = select(Conversation).where(Conversation.user_id == self.user_id, Conversation.id == conversation.id)
        if self.session.exec(own).one_or_none() is None:
            self.session.add(conversation)
            self.session.flush()

    def add(self, messages: Sequence[Message], pending: Sequence[UUID]) -> None:
        """Insert messages, and enqueue those whose ids are ``pending`` for embedding."""
        if not messages:
            return
        self.connection.execute(insert(Message), [column_values(message) for message in messages])
        queue = [
            {
                "user_id": self.user_id,
                "kind": Kind.MESSAGE.value,
                "row_id": row_id,
                "enqueued_by": self._unit.change_set_id,
            }
            for row_id in pending
        ]
        if queue:
            self.connection.execute(insert(PendingEmbedding), queue)

    def totals(self) -> tuple[int, int, datetime | None, datetime | None]:
        """Conversations, messages, and when the first and the last message was said."""
        row = self.execute(
            "SELECT (SELECT count(*) FROM ltmemory.conversations WHERE user_id = :user_id) AS conversations, "
            "count(*) AS messages, min(said_at) AS oldest, max(said_at) AS newest "
            "FROM ltmemory.messages WHERE user_id = :user_id"
        ).one()
        return row.conversations, row.messages, row.oldest, row.newest

    def last_said_at(self) -> datetime | None:
        """When the newest message was said."""
        newest = "SELECT max(said_at) FROM ltmemory.messages WHERE user_id = :user_id"
        moment: datetime | None = self.execute(newest).scalar()
        return moment

    def count(self) -> int:
        """How many messages are stored."""
        return int(self.execute("SELECT count(*) FROM ltmemory.messages WHERE user_id = :user_id").scalar_one())

    def get(self, message_id: UUID) -> Message | None:
        """One message by id."""
        return self.session.exec(
            select(Message).where(Message.user_id == self.user_id, Message.id == message_id)
        ).one_or_none()

    def stored(self, ids: Sequence[UUID]) -> set[UUID]:
        """Which of these messages are there."""
        rows = self.execute(
            "SELECT id FROM ltmemory.messages WHERE user_id = :user_id AND id = ANY(CAST(:ids AS uuid[]))",
            ids=list(ids),
        )
        return {row.id for row in rows}

    def newest_of(self, origins: Sequence[Origin], *, among: int, limit: int, chars: int) -> list[tuple[UUID, str]]:
        """Id and first ``chars`` characters of the newest messages of these origins, among the ``among`` newest."""
        names = [origin.value for origin in origins]
        rows = self.execute(_UNTRUSTED, origins=names, among=among, limit=limit, chars=chars)
        return [(row.id, row.content) for row in rows]
