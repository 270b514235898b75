"""What an erasure would do and what it did, as people see it before and after."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from mira_ltmemory.protocols import Hit, Json
from mira_ltmemory.store.scan import folded

UNREACHABLE = (
    "Postgres's write-ahead log and its archives keep the erased rows until they are recycled.",
    "Backups, dumps, replicas and file system snapshots that were made before keep them until they are replaced.",
    "Before version 18, Postgres's planner keeps samples of a table that became empty until it is analysed with rows.",
    "The database server's log may hold statements or values, depending on its settings.",
    "MIRA's own conversation files, exports and imported files are not touched, nor is what the language model's "
    "provider keeps.",
    "Other processes that have this memory open keep recent texts in memory until they end.",
    "What was erased is kept away by its source: the same text said again, or imported from another source, is stored "
    "as new.",
)
"""What SQL cannot reach; every receipt says so."""

NOT_VACUUMED = (
    "The erased rows are dead but still in the tables' files until Postgres's VACUUM FULL rewrites these: "
    "`mira-ltmemory index vacuum` does."
)
VACUUMED = "The tables were rewritten; freed disk blocks are not overwritten by Postgres."


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasedRow:
    """A row that an erasure takes away with all its versions. ``why`` tells how it was found."""

    kind: str
    id: UUID
    why: str
    excerpt: str
    at: datetime | None
    versions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockLine:
    """A line that a block holds, or held in an earlier version (``present`` is then false)."""

    block_id: UUID
    label: str
    text: str
    present: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasurePlan:
    """What an erasure would take away. Nothing has changed yet.

    ``rows`` go with all their versions, vectors, words and links; ``lines`` go from blocks where ``blocks`` says so;
    ``places`` counts values that lose the text and whose rows stay, by table and column. ``kept`` are rows that stay
    although they are akin: what an erased row came from, or another with the same text. A plan of a query
    holds ``choices`` only: preview the ids of those that are meant.
    """

    user_id: UUID
    subject: str | None = None
    query: str | None = None
    ids: tuple[UUID, ...] = ()
    blocks: bool = False
    with_sources: bool = False
    rows: tuple[ErasedRow, ...] = ()
    lines: tuple[BlockLine, ...] = ()
    places: Mapping[str, int] = field(default_factory=dict)
    kept: tuple[ErasedRow, ...] = ()
    choices: tuple[Hit, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing that it would change."""
        return not (self.rows or self.places or (self.blocks and self.lines))

    @property
    def counts(self) -> dict[str, int]:
        """How many rows of each kind, lines of blocks and values in other rows."""
        counted: dict[str, int] = {}
        for row in self.rows:
            counted[row.kind] = counted.get(row.kind, 0) + 1
        if self.blocks and self.lines:
            counted["block line"] = len(self.lines)
        if self.places:
            counted["value"] = sum(self.places.values())
        return counted

    @property
    def summary(self) -> str:
        """One sentence."""
        if self.choices or self.query is not None:
            return f"{len(self.choices)} rows were found for the query; choose by id what is to be erased."
        if self.empty:
            return f"Nothing is to be erased: {self._what} stands in no message, passage or other row."
        listed = ", ".join(f"{number} {name}{'' if number == 1 else 's'}" for name, number in self.counts.items())
        return f"To be erased for {self._what}: {listed}."

    @property
    def _what(self) -> str:
        return "what was named" if self.subject is None else repr(self.subject)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureReceipt:
    """What an erasure did. It is kept in the journal without ``proof``, and never with the erased text.

    ``counts`` are rows by what they were; ``ids`` the erased rows by kind; ``remaining`` where the text still stands
    after the scan of ``columns`` columns, rows by table and column; empty where it stands nowhere. ``digest`` is that
    of the subject under the key ``proof``, which only this copy has: see ``is_about``.
    """

    id: UUID
    change_set_id: int
    erased_at: datetime
    counts: Mapping[str, int]
    ids: Mapping[str, tuple[UUID, ...]]
    columns: int
    remaining: Mapping[str, int]
    digest: str | None = None
    proof: str | None = field(default=None, repr=False)
    vacuumed: bool = False
    notes: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether the scan found the text nowhere."""
        return not self.remaining

    @property
    def unreachable(self) -> tuple[str, ...]:
        """What this could not erase, in sentences."""
        return (*UNREACHABLE, VACUUMED if self.vacuumed else NOT_VACUUMED)

    def is_about(self, subject: str) -> bool:
        """Whether this receipt, in the copy that was handed out, is that of a subject."""
        if self.digest is None or self.proof is None:
            return False
        return hmac.compare_digest(self.digest, digest_of(subject, self.proof))

    def as_json(self) -> Json:
        """The receipt as the journal keeps it: numbers, ids and names of columns as keys."""
        return {
            "id": str(self.id),
            "change_set": self.change_set_id,
            "erased_at": self.erased_at.isoformat(),
            "counts": dict(self.counts),
            "ids": {kind: [str(id) for id in ids] for kind, ids in self.ids.items()},
            "columns": self.columns,
            "remaining": dict(self.remaining),
            "digest": self.digest,
        }


def receipt_from_json(kept: Json) -> ErasureReceipt:
    """Read a receipt that the journal kept."""
    return ErasureReceipt(
        id=UUID(kept["id"]),
        change_set_id=kept["change_set"],
        erased_at=datetime.fromisoformat(kept["erased_at"]),
        counts=kept["counts"],
        ids={kind: tuple(map(UUID, ids)) for kind, ids in kept["ids"].items()},
        columns=kept["columns"],
        remaining=kept["remaining"],
        digest=kept["digest"],
    )


def digest_of(subject: str, proof: str) -> str:
    """The digest of a subject under a key (hex): without the key, names cannot be tried out against it."""
    return hmac.new(bytes.fromhex(proof), folded(subject).strip().encode("utf-8"), hashlib.sha256).hexdigest()


def excerpt(text: str, subject: str | None, length: int = 160) -> str:
    """The beginning of a text, or the part around the subject."""
    at = text.casefold().find(subject.casefold()) if subject else 0
    start = max(0, at - length // 3)
    cut = text[start : start + length]
    return ("..." if start else "") + cut + ("..." if start + length < len(text) else "")
