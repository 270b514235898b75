"""Erasure: what holds a text or came from it is shown first, then taken out of memory and its history for good."""

from __future__ import annotations

import logging
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID, uuid4

from mira_ltmemory.errors import Conflict, InvalidArgument, ReadOnly, StoreError
from mira_ltmemory.protocols import Actor, Change, Clock, Filter, Kind
from mira_ltmemory.services.embeddings import EmbeddingService
from mira_ltmemory.services.erasure_plan import (
    ErasurePlan,
    ErasureReceipt,
    digest_of,
    receipt_from_json,
)
from mira_ltmemory.services.erasure_search import Found, find, lines_shown, rows_shown
from mira_ltmemory.services.search import TieredSearcher
from mira_ltmemory.services.search.tiers import COLD, HOT
from mira_ltmemory.services.text import require_text
from mira_ltmemory.store.analysis import forget_words
from mira_ltmemory.store.erasable import CONVERSATION, GRAPH_TABLES, HELD, LINKS, TOMBSTONES, is_vocabulary
from mira_ltmemory.store.erasure import BlockText, clean_up
from mira_ltmemory.store.models import content_hash
from mira_ltmemory.store.scan import Place, has_letters, what_goes
from mira_ltmemory.store.unit_of_work import SqlUnitOfWork, Store

TOOL = "forget"
MAX_SUBJECT_CHARS = 200
MAX_CHOICES = 20

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Done:
    """What an erasure has done so far."""

    counts: Counter[str] = field(default_factory=Counter)
    touched: set[int] = field(default_factory=set)
    tables: set[str] = field(default_factory=set)


class ErasureService:
    """Erases from the memory of one user in two steps: ``preview`` shows, ``erase`` does what was shown.

    What is erased leaves no version to undo, restore or look back to, and no capture or import brings it back.
    ``forget`` forgets what this process keeps of such texts.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        searcher: TieredSearcher,
        embeddings: EmbeddingService,
        forget: Callable[[Callable[[str], bool]], object],
    ) -> None:
        self._store = store
        self._clock = clock
        self._searcher = searcher
        self._embeddings = embeddings
        self._forget = forget

    def preview(
        self,
        *,
        subject: str | None = None,
        ids: Sequence[UUID] | None = None,
        query: str | None = None,
        blocks: bool = False,
        with_sources: bool = False,
    ) -> ErasurePlan:
        """Show what an erasure would take away, and change nothing. Give one of ``subject``, ``ids`` and ``query``.

        ``subject`` finds every row whose text holds it as whole words, in any case; ``ids`` name messages, passages,
        conversations (with all their messages) and blocks (all their text). Both take along what came from those
        rows; ``with_sources`` also what they came from. ``blocks`` says that the text is to go from core memory
        too. ``query`` only searches: the hits are shown, to be previewed by their ids.
        Raises ``InvalidArgument`` where an id is unknown or nothing is named.
        """
        if sum(given is not None for given in (subject, ids, query)) != 1:
            raise InvalidArgument("Name what is to be erased by exactly one of subject, ids and query.")
        if query is not None:
            return self._choices(require_text("query", query))
        wanted = ErasurePlan(
            user_id=self._store.user_id,
            subject=None if subject is None else _subject(subject),
            ids=tuple(_ids(ids)),
            blocks=blocks,
            with_sources=with_sources,
        )
        with self._store.read() as unit:
            return _shown(unit, wanted, _find(unit, wanted))

    def erase(self, plan: ErasurePlan, *, vacuum: bool = False) -> ErasureReceipt:
        """Erase what a plan shows, in one transaction, and look whether the text is gone.

        ``vacuum`` rewrites the tables afterwards, so that their files no longer hold the rows: it locks each table for
        as long as that takes. Raises ``InvalidArgument`` for a plan that shows nothing or is another user's,
        ``Conflict`` where there is more by now than it showed, and ``ReadOnly`` where a block must not be changed.
        """
        self._require_usable(plan)
        receipt_id = uuid4()
        done = _Done()
        with self._store.write(Change(Actor.USER, TOOL)) as unit:
            found = _find(unit, plan)
            _require_shown(plan, _shown(unit, plan, found))
            if plan.blocks:
                _require_writable(unit, found)
            _erase_rows(unit, found, done, receipt_id, self._clock)
            _drop_held(unit, found, done)
            _erase_values(unit, found, done, blocks=plan.blocks)
            receipt = self._receipt(unit, plan, found, done, receipt_id)
            unit.erasure.note(receipt.as_json(), done.touched)
        # After the commit: an edit that was held meanwhile would bring the text back, and what was shown is kept.
        self._forget(found.needle.holds)
        self._embeddings.forget()
        self._searcher.forget()
        forget_words()
        logger.info("erased by receipt %s: %s", receipt_id, dict(done.counts))
        return self._clean_up(receipt, done.tables, vacuum=vacuum)

    def receipts(self) -> list[ErasureReceipt]:
        """Every receipt that was kept, newest first."""
        with self._store.read() as unit:
            return [receipt_from_json(kept) for kept in unit.erasure.receipts()]

    def _choices(self, query: str) -> ErasurePlan:
        hits = [
            hit
            for kind in (Kind.MESSAGE, Kind.PASSAGE)
            for hit in self._searcher.search(
                kind, query, Filter(include_ended=True, tiers=(HOT, COLD)), MAX_CHOICES
            ).hits
        ]
        return ErasurePlan(user_id=self._store.user_id, query=query, choices=tuple(hits))

    def _require_usable(self, plan: ErasurePlan) -> None:
        if plan.user_id != self._store.user_id:
            raise InvalidArgument("This plan was made for another user; nothing was changed.")
        if plan.query is not None:
            raise InvalidArgument(
                "A query only finds; nothing was changed. Preview the ids of the hits that are to be erased."
            )
        if plan.empty:
            raise InvalidArgument(f"{plan.summary} Nothing was changed.")

    def _receipt(
        self, unit: SqlUnitOfWork, plan: ErasurePlan, found: Found, done: _Done, receipt_id: UUID
    ) -> ErasureReceipt:
        proof = None if plan.subject is None else secrets.token_hex(32)
        erased = found.every_id()
        remaining = Counter(place.name for place in unit.scan.places(found.needle) if not is_vocabulary(place))
        remaining.update(unit.scan.mentions(sorted(erased), beside={TOMBSTONES}) if erased else {})
        return ErasureReceipt(
            id=receipt_id,
            change_set_id=unit.change_set_id,
            erased_at=self._clock.now(),
            counts=dict(done.counts),
            ids={kind: tuple(sorted(ids)) for kind, ids in found.rows.items() if ids},
            columns=unit.scan.columns(),
            remaining=dict(remaining),
            digest=None if plan.subject is None or proof is None else digest_of(plan.subject, proof),
            proof=proof,
            notes=tuple(_notes(found, plan)),
        )

    def _clean_up(self, receipt: ErasureReceipt, tables: Iterable[str], *, vacuum: bool) -> ErasureReceipt:
        try:
            clean_up(self._store.database, tables, vacuum=vacuum)
        except StoreError as error:
            # The erasure is committed: its receipt has to come back whatever happens now.
            logger.warning("erased, but the tables could not be tidied up: %s", error)
            what = "VACUUM and ANALYZE" if vacuum else "ANALYZE"
            told = (
                f"{what} could not be run as the owner of the tables: {error} Postgres's statistics may hold samples."
            )
            return replace(receipt, notes=(*receipt.notes, told))
        return replace(receipt, vacuumed=vacuum)


def _find(unit: SqlUnitOfWork, plan: ErasurePlan) -> Found:
    return find(unit, subject=plan.subject, ids=plan.ids, with_sources=plan.with_sources)


def _shown(unit: SqlUnitOfWork, plan: ErasurePlan, found: Found) -> ErasurePlan:
    places = Counter(f"{place.live_table}.{place.column}" for place in found.places)
    if found.links:
        places[LINKS] = len(found.links)
    return replace(
        plan,
        rows=rows_shown(unit, found.rows, plan.subject),
        lines=lines_shown(unit, found),
        places=dict(places),
        kept=rows_shown(unit, found.kept, plan.subject),
        notes=tuple(_notes(found, plan)),
    )


def _notes(found: Found, plan: ErasurePlan) -> list[str]:
    notes = list(dict.fromkeys(found.notes))
    if found.blocks and not plan.blocks:
        notes.append("Text of core memory blocks stays: preview with blocks to have those lines go too.")
    if found.left:
        listed = ", ".join(sorted({place.name for place in found.left}))
        notes.append(f"It stands where this version cannot erase: {listed}.")
    return notes


def _subject(subject: str) -> str:
    require_text("subject", subject, limit=MAX_SUBJECT_CHARS)
    if not has_letters(subject):
        raise InvalidArgument("subject holds no letter or digit; give a name or words that stand in the texts.")
    return subject.strip()


def _ids(ids: Sequence[UUID] | None) -> Sequence[UUID]:
    if ids is None:
        return ()
    wrong = [id for id in ids if not isinstance(id, UUID)]
    if wrong or not ids:
        told = f"not {str(wrong[0])[:60]!r}" if wrong else "and at least one"
        raise InvalidArgument(f"ids must be the UUIDs of rows, {told}.")
    return ids


def _require_shown(plan: ErasurePlan, now: ErasurePlan) -> None:
    if now.empty:
        raise InvalidArgument("What the plan shows is gone by now; nothing was changed.")
    shown = {(row.kind, row.id) for row in plan.rows}
    more = [row for row in now.rows if (row.kind, row.id) not in shown]
    known = {(line.block_id, line.text) for line in plan.lines}
    lines = [line for line in now.lines if (line.block_id, line.text) not in known] if plan.blocks else []
    if more or lines:
        raise Conflict(
            f"Since the preview, {len(more)} rows and {len(lines)} lines of blocks came to hold it; "
            "nothing was changed. Preview again."
        )


def _require_writable(unit: SqlUnitOfWork, found: Found) -> None:
    labels = unit.erasure.read_only_blocks(sorted(found.blocks))
    if labels:
        raise ReadOnly(
            f"The text stands in read-only blocks ({', '.join(labels)}), which nothing may change; nothing was "
            "changed. Take them out of core_memory_read_only first, or erase without blocks."
        )


def _erase_rows(unit: SqlUnitOfWork, found: Found, done: _Done, receipt_id: UUID, clock: Clock) -> None:
    """Erase whole rows with links, versions and all that was computed from them. Tombstones keep them away."""
    links = found.links.union(unit.erasure.links(found.every_id()))
    _erase_table(unit, LINKS, links, done, "links")
    for kind, table in ((Kind.MESSAGE, "messages"), (Kind.PASSAGE, "passages")):
        ids = sorted(found.rows.get(kind.value, {}))
        if not ids:
            continue
        hashes = {content_hash(text) for text in unit.erasure.texts(kind.value, ids)} if kind is Kind.PASSAGE else ()
        _erase_table(unit, table, ids, done, table)
        # After the rows: a worker that adds a vector holds its row until it commits.
        vectors, words, queued = unit.erasure.erase_derived(kind, ids)
        done.counts.update({"vectors": vectors, "indexed texts": words, "queued texts": queued})
        done.tables |= {
            "vectors",
            "token_vectors",
            "pending_embeddings",
            "word_documents",
            "word_terms",
            "word_blocks",
            "uses",
            "cold_texts",
            "batch_messages",
        }
        unit.erasure.bury(kind.value, ids, receipt_id, clock.now())
        unit.erasure.bury_texts(hashes, receipt_id, clock.now())
    for kind, table in GRAPH_TABLES.items():
        ids = sorted(found.rows.get(kind.value, {}))
        _erase_table(unit, table, ids, done, table)
        if kind is Kind.ENTITY and ids:
            vectors, _, queued = unit.erasure.erase_derived(kind, ids)
            done.counts.update({"vectors": vectors, "queued texts": queued})
            done.tables |= {"vectors", "token_vectors", "pending_embeddings"}
    # Its keys do not tell which text was a query that held the erased one: all of it goes.
    unit.embedding_cache.clear()
    done.tables |= {"embedding_caches", "cached_embeddings"}
    conversations = sorted(found.rows.get(CONVERSATION, {}))
    _erase_table(unit, "conversations", conversations, done, "conversations")
    unit.batches.erase(conversations)
    unit.erasure.bury(CONVERSATION, conversations, receipt_id, clock.now())


def _drop_held(unit: SqlUnitOfWork, found: Found, done: _Done) -> None:
    if found.held:
        done.counts["held edits"] += unit.held.drop(found.held)
        done.tables.add(HELD)


def _erase_table(unit: SqlUnitOfWork, table: str, ids: Iterable[UUID], done: _Done, name: str) -> None:
    wanted = sorted(ids)
    if wanted:
        erased = unit.erasure.erase_rows(table, wanted)
        done.counts.update({name: len(wanted), "earlier versions": erased.versions})
        done.touched |= erased.change_sets
        done.tables |= {table, f"{table}_versions"}


def _erase_values(unit: SqlUnitOfWork, found: Found, done: _Done, *, blocks: bool) -> None:
    """Take the text out of rows that stay: present ones first, whose change makes one version more."""
    _erase_places(unit, found, found.places, done)
    if blocks:
        _erase_table(unit, "blocks", found.labelled, done, "blocks")
        _erase_places(
            unit, found, [place for place in found.block_places if place.key["id"] not in found.labelled], done
        )
        _erase_lines(unit, found, done)

    def again(table: str) -> bool:
        live = table.removesuffix("_versions")
        return table != live and (live == "conversations" or (blocks and live == "blocks"))

    late = [place for place in unit.scan.places(found.needle, again) if not is_vocabulary(place)]
    _erase_places(unit, found, late, done, counted=False)


def _erase_places(
    unit: SqlUnitOfWork, found: Found, places: Iterable[Place], done: _Done, *, counted: bool = True
) -> None:
    for place in places:
        unit.erasure.erase_in_place(place, what_goes(place, found.needle))
        done.tables.add(place.table)
        done.counts["values"] += counted


def _erase_lines(unit: SqlUnitOfWork, found: Found, done: _Done) -> None:
    """Take lines out of blocks and of their earlier versions."""
    ids = sorted(found.blocks - found.labelled)
    if not ids:
        return
    versions = unit.erasure.block_texts(ids)
    done.counts["block lines"] += len({(each.id, line) for each in versions for line in _gone(each, found)})
    before: dict[UUID, list[str]] = {}
    for version in versions:
        gone = _gone(version, found)
        if gone != before.get(version.id, []):
            done.touched.add(version.made_by)  # it brought or took such a line: it cannot be undone as it was
        before[version.id] = gone
    for present in (True, False):
        # Read again: the change of the present version has left its old text as one version more.
        for version in unit.erasure.block_texts(ids):
            numbers = found.lines_of(version)
            if numbers and (version.ended_by is None) == present:
                unit.erasure.erase_in_place(version.place, {"lines": numbers})
    done.tables |= {"blocks", "blocks_versions"}
    done.counts["blocks edited"] += len(ids)


def _gone(version: BlockText, found: Found) -> list[str]:
    lines = version.content.split("\n")
    return [lines[number - 1] for number in found.lines_of(version)]
