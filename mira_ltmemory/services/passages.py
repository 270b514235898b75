"""Archival memory: passages that the model stores on purpose and finds by meaning and by words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

from mira_ltmemory.config import MemoryConfig
from mira_ltmemory.errors import Erased, InvalidArgument
from mira_ltmemory.protocols import Actor, Category, Change, Clock, Filter, Hit, Kind, Origin, SearchResult
from mira_ltmemory.services.embeddings import EmbeddingService
from mira_ltmemory.services.redaction import Redactor
from mira_ltmemory.services.search import TieredSearcher
from mira_ltmemory.services.search.searcher import MAX_LIMIT
from mira_ltmemory.services.search.tiers import HOT
from mira_ltmemory.services.text import require_text
from mira_ltmemory.services.untrusted import UntrustedText, link, noted
from mira_ltmemory.store.models import Passage, content_hash
from mira_ltmemory.store.unit_of_work import SqlUnitOfWork, Store
from mira_ltmemory.store.vectors import PendingText

MAX_TAGS = 32
MAX_TAG_CHARS = 64


@dataclass(frozen=True, slots=True)
class InsertedPassage:
    """What an insert did. ``known`` tells that the same text was there already; its tags were then joined."""

    id: UUID
    tags: tuple[str, ...]
    change_set_id: int | None
    known: bool
    embedded: bool
    redacted: tuple[str, ...] = ()


class PassageManager:
    """Stores and searches the archival passages of one user."""

    def __init__(
        self,
        store: Store,
        settings: MemoryConfig,
        clock: Clock,
        redactor: Redactor,
        embeddings: EmbeddingService,
        searcher: TieredSearcher,
        untrusted: UntrustedText,
    ) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._redactor = redactor
        self._embeddings = embeddings
        self._searcher = searcher
        self._untrusted = untrusted

    def insert(self, content: str, tags: Sequence[str] = (), change: Change | None = None) -> InsertedPassage:
        """Store a passage and embed it at once. Raises ``RefusedEdit`` and ``StoreError``."""
        require_text("content", content, limit=self._settings.max_archival_chars)
        wanted = self._without_secrets(clean_tags(tags))
        text, redactions = self._redactor.redact(content)
        kinds = tuple(dict.fromkeys(redaction.kind for redaction in redactions))
        known = self._known(text)
        if known is not None and set(wanted) <= set(known.tags) and known.tier == HOT:
            return InsertedPassage(known.id, tuple(known.tags), None, known=True, embedded=True, redacted=kinds)
        # Embedded before the transaction begins: no connection is held while the model works.
        embedded = None if known is not None else self._embeddings.embed_now([text])
        by_model = change is not None and change.actor is not Actor.USER
        sources = self._untrusted.sources([text]) if by_model and known is None else ()
        with self._store.write(change or Change(Actor.USER, "archival_memory_insert"), noted(sources)) as unit:
            present = unit.passages.with_content(content_hash(text), self._clock.now())
            if present:
                row = present[0]
                row.tags = list(dict.fromkeys([*row.tags, *wanted]))
                row.tier = HOT  # said again: it comes back into the indexes
                unit.passages.add([row])
                unit.cold.thaw(Kind.PASSAGE, [row.id], self._settings.max_embedded_chars)
            else:
                if change is not None and change.actor is not Actor.USER:
                    _refuse_erased(unit, content_hash(text))
                row = self._row(unit, text, wanted, change)
                unit.passages.add([row])
                link(unit, Kind.PASSAGE, row.id, sources, Origin(row.origin))
                unit.words.add(Kind.PASSAGE, [(row.id, text)])
                if embedded is None:
                    unit.vectors.enqueue(Kind.PASSAGE, [row.id])
                else:
                    item = PendingText(Kind.PASSAGE, row.id, row.content_hash, text)
                    unit.vectors.add([item], embedded.vectors, embedded.model_id, embedded.tokens)
            return InsertedPassage(
                id=row.id,
                tags=tuple(row.tags),
                change_set_id=unit.change_set_id,
                known=bool(present),
                embedded=bool(present) or embedded is not None,
                redacted=kinds,
            )

    def search(self, query: str, filter: Filter | None = None, limit: int | None = None) -> SearchResult:
        """Find passages by meaning and words, best first, at most ``limit`` (1 to 50).

        A filter that names no categories leaves at most half of the places to windows, which are the conversation's
        own words, as long as there is anything else among the best ``2 * limit``.
        """
        filter = filter or Filter()
        limit = limit or self._settings.max_search_results
        mixed = not filter.categories
        result = self._searcher.search(
            Kind.PASSAGE,
            query,
            replace(filter, tags=self._without_secrets(filter.tags)),
            max(limit, min(2 * limit, MAX_LIMIT)) if mixed else limit,
            min_cosine=self._settings.similarity_threshold,
        )
        return replace(result, hits=_with_room(result.hits, limit)) if mixed else result

    def pack_words(self) -> int:
        """Move what was indexed lately into the packed word index, which is read faster; return how much."""
        with self._store.upkeep() as unit:
            return unit.words.pack(Kind.PASSAGE)

    def count(self) -> int:
        """How many passages are stored."""
        with self._store.read() as unit:
            return unit.passages.count()

    def _without_secrets(self, tags: Sequence[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self._redactor.redact(tag)[0] for tag in tags))

    def _known(self, text: str) -> Passage | None:
        with self._store.read() as unit:
            return next(iter(unit.passages.with_content(content_hash(text), self._clock.now())), None)

    def _row(self, unit: SqlUnitOfWork, text: str, tags: Sequence[str], change: Change | None) -> Passage:
        by_model = change is not None and change.actor is not Actor.USER
        return Passage(
            user_id=unit.user_id,
            id=uuid4(),
            change_set_id=unit.change_set_id,
            origin=(Origin.ASSISTANT if by_model else Origin.USER).value,
            content=text,
            content_hash=content_hash(text),
            tags=list(tags),
            said_at=self._clock.now(),
        )


def _with_room(hits: Sequence[Hit], limit: int) -> tuple[Hit, ...]:
    """The best hits in their order, with no more windows than half of them while others fit."""
    windows = [hit for hit in hits if hit.category == Category.WINDOW]
    others = len(hits) - len(windows)
    kept = {hit.id for hit in windows[: max((limit + 1) // 2, limit - others)]}
    return tuple([hit for hit in hits if hit.category != Category.WINDOW or hit.id in kept][:limit])


def _refuse_erased(unit: SqlUnitOfWork, text_hash: UUID) -> None:
    erased_at = unit.erasure.text_erased(text_hash)
    if erased_at is not None:
        raise Erased(
            f"This text was erased at the user's request on {erased_at.date().isoformat()} and is not stored again; "
            "nothing was changed. Only the user may store it anew."
        )


def clean_tags(tags: object, field: str = "tags") -> tuple[str, ...]:
    """Return tags without blanks and repeats, in their order. Raises ``InvalidArgument``."""
    if tags is None:
        return ()
    if isinstance(tags, str) or not isinstance(tags, Sequence):
        raise InvalidArgument(f'{field} must be a list of texts, such as ["travel", "2024"].')
    if len(tags) > MAX_TAGS:
        raise InvalidArgument(f"{field} holds {len(tags)} tags; at most {MAX_TAGS} are possible.")
    cleaned: dict[str, None] = {}
    for tag in tags:
        cleaned[require_text(field, tag, limit=MAX_TAG_CHARS).strip()] = None
    return tuple(cleaned)
