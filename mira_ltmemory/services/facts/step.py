"""The facts of a window: the model proposes, the messages' own words decide, the store checks again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from uuid import UUID

from mira_ltmemory.protocols import LLM, in_zone
from mira_ltmemory.services.asking import ask
from mira_ltmemory.services.batch.drafts import Draft, Drafts, embedded, store_drafts
from mira_ltmemory.services.batch.own_words import is_said, speaker
from mira_ltmemory.services.batch.window import Window, WindowMessage
from mira_ltmemory.services.embeddings import EmbeddingService
from mira_ltmemory.services.facts.answer import Answer
from mira_ltmemory.services.facts.checks import STEP, Checks, Supersedes
from mira_ltmemory.services.facts.known import MEMORY_CHARS, Known, Memories, nearest
from mira_ltmemory.services.redaction import Redactor
from mira_ltmemory.services.text import cut, parts_of, word_count
from mira_ltmemory.services.untrusted import UntrustedText
from mira_ltmemory.store.models import content_hash
from mira_ltmemory.store.unit_of_work import SqlUnitOfWork, Store
from mira_ltmemory.templates import render

MIN_WORDS = 3
"""A window in which less was said is not worth a model's call."""

MOST_ENDED = 5
"""One window ends no more memories than this: an answer that ends more is more likely wrong than right."""

MESSAGE_CHARS = 12_000
"""What is read of a message at once; windows hold no more than this. A longer message stands alone, and is read in up
to ``MOST_PARTS`` parts."""

MOST_PARTS = 8
CONTEXT_CHARS = 1_000
_MAX_TOKENS = 3_000
_MARKS = str.maketrans(dict.fromkeys("[](){}|", " "))


@dataclass(frozen=True, slots=True)
class Found:
    """What is to be stored of a window, with what each draft supersedes, and what was refused."""

    made: Drafts
    supersedes: Mapping[UUID, Supersedes]
    counts: Mapping[str, int]


class FactStep:
    """Draws facts from windows with a language model.

    A fact is kept only where the words that the model quotes stand in a message that it cites, where a person or the
    assistant said them, and where its own text is not that of a tool or a web page (`Checks`). A memory is superseded
    only at the version that the model saw: what somebody edited meanwhile stays as it is.
    """

    name = STEP

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
        self._zone = zone
        self._checks = Checks(store.user_id, llm.name, redactor, untrusted, zone)

    def prepare(self, window: Window) -> Found | None:
        """Ask the model and check what it says. Raises ``LLMError``."""
        said = [message for message in window.messages if is_said(message)]
        if sum(word_count(message.content) for message in said) < MIN_WORDS:
            return None
        counts: Counter[str] = Counter()
        checked: list[tuple[Draft, Supersedes | None]] = []
        first = 0
        for part in _parts(window, counts):
            known = nearest(self._store, self._memories, [message for message in part.messages if is_said(message)])
            facts = ask(
                self._llm,
                system=render("facts_system"),
                prompt=self._prompt(part, known),
                answer=Answer,
                max_tokens=_MAX_TOKENS,
            ).facts
            kept = self._checks.kept(part, known, facts, first, counts)
            checked += [self._checks.drafted(part, each, counts) for each in kept]
            first += len(facts)
        made = embedded([draft for draft, _ in checked], self._embeddings)
        return Found(made, {draft.id: ends for draft, ends in checked if ends is not None}, counts)

    def store(self, unit: SqlUnitOfWork, window: Window, prepared: Found) -> Mapping[str, int]:
        """Store the facts and end what they supersede, also where a fact is left out because its text holds already."""
        counts = Counter(prepared.counts)
        now = self._store.clock.now()
        stored = {draft.id for draft in store_drafts(unit, prepared.made, now)}
        counts["facts_added"] += len(stored)
        counts["facts_skipped"] += len(prepared.made.drafts) - len(stored)
        ended: set[UUID] = set()
        for draft in prepared.made.drafts:
            supersedes = prepared.supersedes.get(draft.id)
            holder = draft.id if draft.id in stored else _held(unit, draft, now)
            if supersedes is None or holder is None:
                continue
            for known in supersedes.known:
                if known.id == holder or known.id in ended:
                    continue
                at, note = _end(known, draft, supersedes.at), {"superseded_by": str(holder)}
                if len(ended) < MOST_ENDED and unit.passages.end(known.id, at, version=known.version, note=note):
                    ended.add(known.id)
                else:
                    counts["conflicts"] += 1
        if ended:
            counts["facts_superseded"] += len(ended)
        return counts

    def _prompt(self, window: Window, known: Sequence[Known]) -> str:
        return render(
            "facts_window",
            memories=[
                {
                    "ref": each.ref,
                    "date": self._day(each.valid_from or each.said_at),
                    "content": cut(each.content, MEMORY_CHARS),
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


def _held(unit: SqlUnitOfWork, draft: Draft, now: datetime) -> UUID | None:
    """The passage that says at present what a draft says that was left out; none where that was stored before."""
    held = [row.id for row in unit.passages.with_content(content_hash(draft.content), now)]
    return held[0] if held and draft.id not in held else None


def _end(known: Known, draft: Draft, at: datetime) -> datetime:
    """When a superseded memory ended: when the new one began, but not before it began itself."""
    began = known.valid_from or known.said_at
    return at if at >= began else max(began, draft.said_at)
