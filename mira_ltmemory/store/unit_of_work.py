"""Transactions of one user: a reading one, or a writing one that is exactly one change set."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from uuid import UUID

from sqlalchemy import Connection, text
from sqlmodel import Session

from mira_ltmemory.errors import InvalidArgument
from mira_ltmemory.protocols import Change, Clock, Json
from mira_ltmemory.store.batches import BatchRows
from mira_ltmemory.store.blocks import BlockRows
from mira_ltmemory.store.calibrations import CalibrationRows
from mira_ltmemory.store.cold import ColdRows
from mira_ltmemory.store.consolidation import ConsolidationRows
from mira_ltmemory.store.context import ContextRows
from mira_ltmemory.store.database import Database, foreign_errors
from mira_ltmemory.store.embedding_cache import EmbeddingCacheRows
from mira_ltmemory.store.embedding_models import ModelRows
from mira_ltmemory.store.erasure import ErasureRows
from mira_ltmemory.store.graph import GraphRows
from mira_ltmemory.store.graph_reads import GraphReads
from mira_ltmemory.store.held import HeldRows
from mira_ltmemory.store.history import HistoryRows
from mira_ltmemory.store.jobs import JobRows
from mira_ltmemory.store.journal import JournalRows
from mira_ltmemory.store.messages import MessageRows
from mira_ltmemory.store.passages import PassageRows
from mira_ltmemory.store.reading import SharedReading
from mira_ltmemory.store.review import ReviewRows
from mira_ltmemory.store.scan import ScanRows
from mira_ltmemory.store.search import SearchRows
from mira_ltmemory.store.search.canaries import CanaryRows
from mira_ltmemory.store.search.past import PastRows
from mira_ltmemory.store.snapshots import SnapshotRows
from mira_ltmemory.store.storable import storable
from mira_ltmemory.store.summaries import SummaryRows
from mira_ltmemory.store.tokens import TokenRows
from mira_ltmemory.store.uses import UseRows
from mira_ltmemory.store.vectors import VectorRows
from mira_ltmemory.store.words import WordRows

_BECOME_USER = text("SELECT set_config('ltmemory.user_id', CAST(:user_id AS text), true)")

# Taken before the clock is asked: the times of change sets then run in the order of their numbers.
_WAIT_FOR_TURN = text("SELECT 1 FROM ltmemory.user_states WHERE user_id = :user_id FOR UPDATE")

_IS_CHANGE_SET = text("SELECT 1 FROM ltmemory.change_sets WHERE user_id = :user_id AND id = :id")

# The update locks the user's row until the commit: change sets of one user are numbered in the order
# in which they commit, which now() would not give.
_BEGIN_CHANGE_SET = text(
    """
    WITH next AS (
        UPDATE ltmemory.user_states SET last_change_set_id = last_change_set_id + 1
        WHERE user_id = :user_id RETURNING last_change_set_id AS id
    ), made AS (
        INSERT INTO ltmemory.change_sets (user_id, id, parent_id, undoes, actor, tool, reason, created_at, metadata)
        SELECT :user_id, id, :parent, :undoes, :actor, :tool, :reason, :now, CAST(:metadata AS jsonb)
        FROM next RETURNING id
    )
    SELECT id, set_config('ltmemory.change_set_id', id::text, true) FROM made
    """
)


class SqlUnitOfWork:
    """One transaction, with the rows of each part of memory at hand."""

    def __init__(self, connection: Connection, user_id: UUID) -> None:
        self.connection = connection
        self.user_id = user_id
        self._session: Session | None = None
        self._change_set_id: int | None = None
        self.blocks = BlockRows(self)
        self.held = HeldRows(self)
        self.messages = MessageRows(self)
        self.passages = PassageRows(self)
        self.graph = GraphRows(self)
        self.context = ContextRows(self)
        self.graph_reads = GraphReads(self)
        self.review = ReviewRows(self)
        self.vectors = VectorRows(self)
        self.models = ModelRows(self)
        self.tokens = TokenRows(self)
        self.embedding_cache = EmbeddingCacheRows(self)
        self.calibrations = CalibrationRows(self)
        self.words = WordRows(self)
        self.search = SearchRows(self)
        self.canaries = CanaryRows(self)
        self.journal = JournalRows(self)
        self.history = HistoryRows(self)
        self.past = PastRows(self)
        self.snapshots = SnapshotRows(self)
        self.jobs = JobRows(self)
        self.batches = BatchRows(self)
        self.erasure = ErasureRows(self)
        self.scan = ScanRows(self)
        self.uses = UseRows(self)
        self.cold = ColdRows(self)
        self.summaries = SummaryRows(self)
        self.consolidation = ConsolidationRows(self)

    @property
    def session(self) -> Session:
        """Objects in this transaction, made when first asked for: most transactions need none."""
        if self._session is None:
            self._session = Session(self.connection, expire_on_commit=False)
        return self._session

    def begin_change_set(self, number: int) -> None:
        """Let this transaction be the change set of that number."""
        self._change_set_id = number

    def flush(self) -> None:
        """Send what was done to objects."""
        if self._session is not None:
            self._session.flush()

    def close(self) -> None:
        """Let go of the objects."""
        if self._session is not None:
            self._session.close()
            self._session = None

    @property
    def change_set_id(self) -> int:
        """The change set of this transaction. Raises ``RuntimeError`` in a reading one."""
        if self._change_set_id is None:
            raise RuntimeError("a reading transaction has no change set: open it with Store.write")
        return self._change_set_id


class Store:
    """Opens transactions for one user of a database.

    ``redact`` returns a text without its secrets; the journal's reasons and tools go through it.
    """

    def __init__(
        self, database: Database, user_id: UUID, clock: Clock, redact: Callable[[str], str] | None = None
    ) -> None:
        self.database = database
        self.user_id = user_id
        self.clock = clock
        self._redact = redact
        self._shared = SharedReading(self._transaction)
        self._ensure_user()

    def redact(self, text: str) -> str:
        """Return a text without its secrets."""
        return text if self._redact is None else self._redact(text)

    def clean(self, change: Change) -> Change:
        """Return a change as the journal keeps it: storable, and without secrets. Raises ``InvalidArgument``."""
        for name, value in (("tool", change.tool), ("reason", change.reason)):
            if value is not None and not isinstance(value, str):
                raise InvalidArgument(f"{name} must be text, not {type(value).__name__}.")
        tool, reason = (
            None if value is None else self.redact(storable(value)) for value in (change.tool, change.reason)
        )
        return replace(change, tool=tool, reason=reason)

    def read(self) -> AbstractContextManager[SqlUnitOfWork]:
        """A transaction that changes no memory; inside of `reading`, the one of this thread."""
        return self._shared.joined() if self._shared.wanted else self._transaction()

    def reading(self) -> AbstractContextManager[None]:
        """Let all that this thread reads in the block share one transaction.

        Each statement sees what is committed by then. A write ends the shared transaction first, and so does `rest`;
        the next read opens another.
        """
        return self._shared.scope()

    def rest(self) -> None:
        """Hold no shared transaction for now: what follows takes long, as the work of a model does."""
        self._shared.rest()

    @contextmanager
    def upkeep(self) -> Iterator[SqlUnitOfWork]:
        """A transaction that writes only what is derived from memory: vectors, queues, the state of jobs."""
        self.rest()
        with self._transaction() as unit:
            yield unit

    @contextmanager
    def write(self, change: Change, metadata: Json | None = None) -> Iterator[SqlUnitOfWork]:
        """A transaction that is one change set; an error inside leaves neither rows nor journal entry.

        ``metadata`` is what the journal notes beside the change. Raises ``InvalidArgument`` where the parent of the
        change is no change set.
        """
        change = self.clean(change)
        self.rest()
        with self._transaction() as unit:
            self._require_parent(unit.connection, change.parent)
            unit.connection.execute(_WAIT_FOR_TURN, {"user_id": self.user_id})
            parameters = {
                "user_id": self.user_id,
                "parent": change.parent,
                "undoes": change.undoes,
                "actor": change.actor.value,
                "tool": change.tool,
                "reason": change.reason,
                "now": self.clock.now(),
                "metadata": json.dumps(metadata or {}),
            }
            unit.begin_change_set(unit.connection.execute(_BEGIN_CHANGE_SET, parameters).one().id)
            yield unit

    def _require_parent(self, connection: Connection, parent: object) -> None:
        if parent is None:
            return
        if isinstance(parent, bool) or not isinstance(parent, int):
            raise InvalidArgument(f"parent must be the number of a change set, not {type(parent).__name__}.")
        known = 0 < parent < 2**63
        if not known or connection.execute(_IS_CHANGE_SET, {"user_id": self.user_id, "id": parent}).scalar() is None:
            named = parent if abs(parent) < 2**63 else "with so large a number"
            raise InvalidArgument(f"There is no change set {named}, which is to be the parent of this one.")

    @contextmanager
    def _transaction(self) -> Iterator[SqlUnitOfWork]:
        with foreign_errors(), self.database.engine.begin() as connection:
            connection.execute(_BECOME_USER, {"user_id": self.user_id})
            unit = SqlUnitOfWork(connection, self.user_id)
            try:
                yield unit
                unit.flush()
            finally:
                unit.close()

    def _ensure_user(self) -> None:
        with self._transaction() as unit:
            row = {"user_id": self.user_id}
            there = text("SELECT 1 FROM ltmemory.user_states WHERE user_id = :user_id")
            if unit.connection.execute(there, row).scalar() is None:
                for table, column in (("users", "id"), ("user_states", "user_id")):
                    insert = f"INSERT INTO ltmemory.{table} ({column}) VALUES (:user_id) ON CONFLICT DO NOTHING"
                    unit.connection.execute(text(insert), row)
