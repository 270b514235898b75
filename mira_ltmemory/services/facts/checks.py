"""What of a model's answer is kept: each fact held against the messages, the pages and the memories that were shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from uuid import UUID

from mira_ltmemory.protocols import Category, Origin
from mira_ltmemory.services.batch.drafts import Draft
from mira_ltmemory.services.batch.own_words import is_said
from mira_ltmemory.services.batch.window import Window, WindowMessage
from mira_ltmemory.services.facts.answer import Proposed, end_of, moment
from mira_ltmemory.services.facts.evidence import is_own, quoted_in
from mira_ltmemory.services.facts.known import Known
from mira_ltmemory.services.facts.unsaid import unsaid
from mira_ltmemory.services.redaction import Redactor
from mira_ltmemory.services.untrusted import UntrustedText

STEP = "facts"


@dataclass(frozen=True, slots=True)
class Supersedes:
    """What a draft ends, and when."""

    known: tuple[Known, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class Checked:
    """A fact that stands the checks, and what it was read from."""

    index: int
    fact: Proposed
    evidence: WindowMessage
    cited: tuple[WindowMessage, ...]
    ended: tuple[Known, ...]


class Checks:
    """Holds facts against what was said. ``model`` is the name of the model that found them."""

    def __init__(self, user_id: UUID, model: str, redactor: Redactor, untrusted: UntrustedText, zone: tzinfo) -> None:
        self._user_id = user_id
        self._model = model
        self._redactor = redactor
        self._untrusted = untrusted
        self._zone = zone

    def kept(
        self, window: Window, known: Sequence[Known], proposed: Sequence[Proposed], first: int, counts: Counter[str]
    ) -> Iterator[Checked]:
        """The facts that were said, numbered from ``first``; the others are counted as refused."""
        if all(fact.action == "nothing" for fact in proposed):
            return
        by_ref = {each.ref: each for each in known}
        pages = _Pages(window, known, self._untrusted)
        for index, fact in enumerate(proposed, first):
            if fact.action == "nothing":
                continue
            numbers = dict.fromkeys(fact.messages)
            cited = [window.messages[number - 1] for number in numbers if 1 <= number <= len(window.messages)]
            spoken = tuple(message for message in cited if is_said(message))
            evidence = quoted_in(fact.quote, spoken, fact.text)
            refs = dict.fromkeys(fact.supersedes) if fact.action == "supersede" else {}
            unknown = len(cited) != len(numbers) or any(ref not in by_ref for ref in refs)
            if evidence is None or unknown or pages.say(fact.text, evidence, spoken):
                counts["facts_refused"] += 1
                continue
            yield Checked(index, fact, evidence, spoken, tuple(by_ref[ref] for ref in refs))

    def drafted(self, window: Window, checked: Checked, counts: Counter[str]) -> tuple[Draft, Supersedes | None]:
        """The passage of a fact, and what it ends; what it names and may not end is counted as a conflict.

        A fact ends nothing that is newer than its own words: it held until then itself. What the user kept ends only
        by the user's words, and no memory ends of which the model saw a part.
        """
        fact, said_at = checked.fact, checked.evidence.said_at
        stated = None if fact.valid_from is None else moment(fact.valid_from, self._zone)
        ends = None if fact.valid_until is None else end_of(fact.valid_until, self._zone)
        over = ends if ends is not None and ends <= said_at else None
        begins = stated if stated is not None or over is not None else said_at
        newer = [each for each in checked.ended if each.said_at > said_at]
        if newer:
            since = min(each.valid_from or each.said_at for each in newer)
            ends = since if ends is None else min(ends, since)
        if begins is not None and ends is not None:
            ends = max(begins, ends)
        draft = Draft(
            id=window.row_id(self._user_id, STEP, checked.index),
            content=self._redactor.redact(" ".join(fact.text.split()))[0],
            category=Category.FACT,
            said_at=said_at,
            origin=checked.evidence.origin,
            sources=tuple(message.id for message in checked.cited),
            valid_from=begins,
            valid_until=ends,
            confidence=fact.confidence,
            meta={"quote": fact.quote.strip(), "model": self._model},
        )
        older = [each for each in checked.ended if each not in newer]
        may_end = tuple(
            each for each in older if each.shown_whole and (is_own(checked.evidence) or each.origin is not Origin.USER)
        )
        if len(may_end) < len(older):
            counts["conflicts"] += len(older) - len(may_end)
        return draft, Supersedes(may_end, over or begins or said_at) if may_end else None


class _Pages:
    """The untrusted texts that a window's facts could repeat, and what was said beside them."""

    def __init__(self, window: Window, known: Sequence[Known], untrusted: UntrustedText) -> None:
        shown = [*window.context, *window.messages]
        read = {message.id: message.content for message in shown if not message.trusted}
        self._compared = untrusted.texts(read)
        self._read = list(read.values())
        said = [message for message in shown if is_said(message)]
        self._said = [
            *(message.content for message in said),
            *(message.speaker for message in said if message.speaker),
            *(each.content for each in known),
        ]
        self._repeating: dict[UUID, bool] = {}

    def say(self, text: str, evidence: WindowMessage, cited: Sequence[WindowMessage]) -> bool:
        """Whether a fact, or the assistant's message that it rests on, is a page's and not what the user said."""
        if not is_own(evidence) and self._repeats(evidence):
            return True
        own = "\n".join(message.content for message in cited if is_own(message))
        return bool(self._compared.repeated_in([text], own) or unsaid(text, self._said, self._read))

    def _repeats(self, message: WindowMessage) -> bool:
        if message.id not in self._repeating:
            self._repeating[message.id] = bool(self._compared.repeated_in([message.content]))
        return self._repeating[message.id]
