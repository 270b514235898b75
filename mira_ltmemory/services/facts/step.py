"""The facts of a window: the model proposes, the messages' own words decide, the store checks again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from typing import Protocol
from uuid import UUID

from mira_ltmemory.protocols import LLM, Category, Filter, Origin, Role, SearchResult, in_zone
from mira_ltmemory.services.asking import ask
from mira_ltmemory.services.batch.drafts import Draft, Drafts, embedded, store_drafts
from mira_ltmemory.services.batch.own_words import grouped, is_said, speaker
from mira_ltmemory.services.batch.window import Window, WindowMessage
from mira_ltmemory.services.embeddings import EmbeddingService
from mira_ltmemory.services.facts.answer import Answer, Proposed, moment
from mira_ltmemory.services.facts.evidence import quoted_in
from mira_ltmemory.services.redaction import Redactor
from mira_ltmemory.services.text import cut, parts_of
from mira_ltmemory.services.untrusted import UntrustedText
from mira_ltmemory.store.models import Passage
from mira_ltmemory.store.unit_of_work import SqlUnitOfWork, Store
from mira_ltmemory.templates import render

MIN_WORDS = 4
"""A window in which less was said is not worth a model's call."""

NEAREST = 8
SHOWN = 20
QUERIES = 4
MESSAGE_CHARS = 12_000
"""What is read of a message at once; windows hold no more than this. A longer message stands alone, and is read in up
to ``MOST_PARTS`` parts."""

MOST_PARTS = 8
CONTEXT_CHARS = 1_000
MEMORY_CHARS = 600
_MAX_TOKENS = 3_000
_CATEGORIES = (Category.NOTE, Category.FACT)
_MARKS = str.maketrans(dict.fromkeys("[](){}|", " "))


class Memories(Protocol):
    """Where the nearest memories are looked for."""

    def search(self, query: str, filter: Filter | None = None, limit: int | None = None) -> SearchResult:
        """Find passages."""
        ...


@dataclass(frozen=True, slots=True)
class Known:
    """A memory that the model was shown, at the version that it was shown."""

    ref: str
    id: UUID
    version: int
    content: str
    said_at: datetime
    valid_from: datetime | None


@dataclass(frozen=True, slots=True)
class Supersedes:
    """What a draft ends, and when; where that is newer than the draft's words, it ends the draft instead."""

    known: tuple[Known, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class Found:
    """What is to be stored of a window, with what each draft supersedes, and what was refused."""

    made: Drafts
    supersedes: Mapping[UUID, Supersedes]
    counts: Mapping[str, int]


class FactStep:
    """Draws facts from windows with a language model.

    A fact is kept only where the words that the model quotes stand in a message that it cites, and where a person or
    the assistant said them, not a tool or a web page. A memory is superseded only at the version that the model saw:
    what somebody edited meanwhile stays as it is.
    """

    name = "facts"

    def __init__(
        self,
        store: Store,
        llm: LLM,
        memories: Memories,
        embeddings: EmbeddingService,
        redactor: Redactor,
        untrusted: UntrustedText,
        zone: tzinfo,
    ) -> None:
        self._store = store
        self._llm = llm
        self._memories = memories
        self._embeddings = embeddings
        self._redactor = redactor
        self._untrusted = untrusted
        self._zone = zone

    def prepare(self, window: Window) -> Found | None:
        """Ask the model and check what it says. Raises ``LLMError``."""
        said = [message for message in window.messages if is_said(message)]
        if sum(len(message.content.split()) for message in said) < MIN_WORDS:
            return None
        counts: Counter[str] = Counter()
        checked: list[tuple[Draft, Supersedes | None]] = []
        first = 0
        for part in _parts(window, counts):
            known = self._nearest([message for message in part.messages if is_said(message)])
            facts = ask(
                self._llm,
                system=render("facts_system"),
                prompt=self._prompt(part, known),
                answer=Answer,
                max_tokens=_MAX_TOKENS,
            ).facts
            checked += self._checked(part, known, facts, first, counts)
            first += len(facts)
        made = embedded([draft for draft, _ in checked], self._embeddings)
        return Found(made, {draft.id: ends for draft, ends in checked if ends is not None}, counts)

    def store(self, unit: SqlUnitOfWork, window: Window, prepared: Found) -> Mapping[str, int]:
        """Store the facts and end what they supersede."""
        counts = Counter(prepared.counts)
        stored = store_drafts(unit, prepared.made, self._store.clock.now())
        counts["facts_added"] += len(stored)
        counts["facts_skipped"] += len(prepared.made.drafts) - len(stored)
        for draft in stored:
            ends = prepared.supersedes.get(draft.id)
            for known in ends.known if ends is not None else ():
                at = _end(known, draft, ends.at if ends is not None else draft.said_at)
                if unit.passages.end(known.id, at, version=known.version, note={"superseded_by": str(draft.id)}):
                    counts["facts_superseded"] += 1
                else:
                    counts["conflicts"] += 1
        return counts

    def _nearest(self, said: Sequence[WindowMessage]) -> list[Known]:
        """The present memories nearest to what was said, each once."""
        found: dict[UUID, None] = {}
        for group in list(grouped(said))[:QUERIES]:
            query = "\n".join(message.content for message in group)
            hits = self._memories.search(query, Filter(categories=_CATEGORIES), NEAREST).hits
            found.update(dict.fromkeys(hit.id for hit in hits))
        with self._store.read() as unit:
            rows = [row for id in list(found)[:SHOWN] if (row := unit.passages.get(id)) is not None]
        return [_known(f"a{number}", row) for number, row in enumerate(rows, 1)]

    def _prompt(self, window: Window, known: Sequence[Known]) -> str:
        return render(
            "facts_window",
            memories=[
                {
                    "ref": each.ref,
                    "date": self._day(each.valid_from or each.said_at),
                    "content": each.content[:MEMORY_CHARS],
                }
                for each in known
            ],
            context=[self._shown("-", message, CONTEXT_CHARS) for message in window.context],
            messages=[self._shown(str(number), message) for number, message in enumerate(window.messages, 1)],
        )

    def _shown(self, number: str, message: WindowMessage, limit: int = MESSAGE_CHARS) -> dict[str, str]:
        return {
            "number": number,
            "time": f"{in_zone(message.said_at, self._zone):%Y-%m-%d %H:%M, %A}",
            "speaker": _plain(speaker(message)),
            "role": message.role.value if message.trusted else f"{message.origin.value}, not said by anybody",
            "content": cut(message.content, limit),
        }

    def _day(self, at: datetime) -> str:
        return f"{in_zone(at, self._zone):%Y-%m-%d}"

    def _checked(
        self, window: Window, known: Sequence[Known], proposed: Sequence[Proposed], first: int, counts: Counter[str]
    ) -> Iterator[tuple[Draft, Supersedes | None]]:
        by_ref = {each.ref: each for each in known}
        for index, fact in enumerate(proposed, first):
            if fact.action == "nothing":
                continue
            cited = [window.messages[number - 1] for number in fact.messages if 1 <= number <= len(window.messages)]
            evidence = quoted_in(fact.quote, [message for message in cited if is_said(message)])
            ended = fact.supersedes if fact.action == "supersede" else []
            unknown = len(cited) != len(fact.messages) or any(ref not in by_ref for ref in ended)
            if evidence is None or unknown or self._repeats_untrusted(fact, evidence):
                counts["facts_refused"] += 1
                continue
            yield self._draft(window, index, fact, evidence, cited, [by_ref[ref] for ref in dict.fromkeys(ended)])

    def _repeats_untrusted(self, fact: Proposed, evidence: WindowMessage) -> bool:
        """Whether the assistant only repeated what a tool or a web page said."""
        return evidence.role is not Role.USER and bool(self._untrusted.sources([evidence.content, fact.text]))

    def _draft(
        self,
        window: Window,
        index: int,
        fact: Proposed,
        evidence: WindowMessage,
        cited: Sequence[WindowMessage],
        ended: Sequence[Known],
    ) -> tuple[Draft, Supersedes | None]:
        begins = evidence.said_at if fact.valid_from is None else moment(fact.valid_from, self._zone)
        ends = None if fact.valid_until is None else moment(fact.valid_until, self._zone)
        later = [each for each in ended if each.said_at > evidence.said_at]
        if later:  # said before what it would supersede: the newer words hold, and this held until then
            ends = min(each.valid_from or each.said_at for each in later)
        draft = Draft(
            id=window.row_id(self._store.user_id, self.name, index),
            content=self._redactor.redact(" ".join(fact.text.split()))[0],
            category=Category.FACT,
            said_at=evidence.said_at,
            origin=Origin.USER if evidence.role is Role.USER else evidence.origin,
            sources=tuple(dict.fromkeys(message.id for message in cited if is_said(message))),
            valid_from=begins,
            valid_until=ends,
            confidence=fact.confidence,
            meta={"quote": fact.quote.strip(), "model": self._llm.name},
        )
        earlier = tuple(each for each in ended if each not in later)
        return draft, Supersedes(earlier, begins) if earlier else None


def _parts(window: Window, counts: Counter[str]) -> Iterator[Window]:
    """The window as it is, or a message that is too long for one prompt, part by part."""
    message = window.messages[0]
    if len(window.messages) > 1 or len(message.content) <= MESSAGE_CHARS:
        yield window
        return
    parts = parts_of(message.content, MESSAGE_CHARS, MOST_PARTS)
    if sum(map(len, parts)) < len(message.content):
        counts["messages_cut"] += 1
    for part in parts:
        yield replace(window, messages=(replace(message, content=part),))


def _plain(name: str) -> str:
    """A name that cannot pose as a mark or a part of one: it stands outside of the fence."""
    return " ".join(name.translate(_MARKS).split())[:60]


def _known(ref: str, row: Passage) -> Known:
    return Known(ref, row.id, row.version, row.content, row.said_at, row.valid_from)


def _end(known: Known, draft: Draft, at: datetime) -> datetime:
    """When a superseded memory ended: when the new one began, but not before it began itself."""
    began = known.valid_from or known.said_at
    return at if at >= began else max(began, draft.said_at)
