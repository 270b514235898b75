"""Finds text of tools and web pages in what the model is about to write into core or archival memory.

What is found: a run of at least 40 characters, or a whole line of at least 20, that stands verbatim in one of
the newest messages of origin tool or web, or in one of the newest 200 passages that repeated such text: what
comes back through archival memory is as untrusted as before. Upper and lower case and white space do not matter.
Beside what an edit brings, the text around the change is looked at as it would stand in the block: pieces that make
up a run only together are found. What is not found: a paraphrase, a translation, shorter pieces, escaped text (JSON
in JSON), and messages older than the newest 1,000 of the user, but for those that are processed with what is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid5

from mira_ltmemory.errors import RefusedEdit
from mira_ltmemory.protocols import IncomingMessage, Kind, Origin
from mira_ltmemory.services.block_history import may_be_label
from mira_ltmemory.services.text import folded
from mira_ltmemory.store.models import Source
from mira_ltmemory.store.unit_of_work import SqlUnitOfWork, Store

UNTRUSTED = (Origin.TOOL, Origin.WEB)

_RUN = 40
_SEED = _RUN // 2
_LINE = 20
_AMONG = 1000
_MESSAGES = 50
_CHARS = 100_000
_SOURCES = 20
_PASSAGES = 200
_AROUND = 200


def no_messages() -> Sequence[IncomingMessage]:
    """The live messages where no host tells them."""
    return ()


def noted(sources: Sequence[str]) -> dict[str, list[str]]:
    """What the journal notes of a change that repeats untrusted text; nothing where it repeats none."""
    return {"untrusted_source": list(sources)} if sources else {}


def link(unit: SqlUnitOfWork, kind: Kind, row_id: UUID, sources: Sequence[str], origin: Origin) -> None:
    """Record which messages and passages a row came from: those that are stored, and each once."""
    ids = list(dict.fromkeys(UUID(source) for source in sources))
    if not ids:
        return
    stored = dict.fromkeys(unit.messages.stored(ids), Kind.MESSAGE)
    stored.update(dict.fromkeys(unit.passages.stored(ids), Kind.PASSAGE))
    known = unit.passages.sources_of(kind, row_id)
    unit.passages.add_sources(
        Source(
            user_id=unit.user_id,
            id=uuid5(row_id, f"{kind.value} from {id}"),
            change_set_id=unit.change_set_id,
            origin=origin.value,
            kind=kind.value,
            row_id=row_id,
            source_kind=stored[id].value,
            source_id=id,
        )
        for id in ids
        if id in stored and id not in known
    )


class UntrustedText:
    """Compares text with the newest tool and web messages of one user, and with the passages made from such.

    ``live`` tells the messages that the host holds and that may not be captured yet: a tool's answer and the
    edit that it brought about are often of the same turn.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.live: Callable[[], Sequence[IncomingMessage]] = no_messages

    def sources(
        self, texts: Iterable[str], label: str = "", result: Callable[[str], str] | None = None
    ) -> tuple[str, ...]:
        """Ids of the messages, newest first, and passages whose text ``texts`` repeat, at most 20.

        What the block ``label`` holds already does not count: moving it about brings nothing new in. ``result`` tells
        what a text of the block would become; it may refuse.
        """
        given = [text for text in texts if text.strip()]
        if not given:
            return ()
        live = self._live()
        with self._store.read() as unit:
            block = unit.blocks.get(label) if may_be_label(label) else None
            before = "" if block is None else block.content
            given = [text for text in [*given, *_together(given, before, result)] if len(text.strip()) >= _LINE]
            if not given:
                return ()
            compared = _compared(unit, live, {})
        return compared.repeated_in(given, before)

    def texts(self, also: Mapping[UUID, str] | None = None) -> UntrustedTexts:
        """What is compared with, gathered once for many texts; ``also`` are further untrusted messages by id."""
        live = self._live()
        with self._store.read() as unit:
            return _compared(unit, live, also or {})

    def _live(self) -> list[IncomingMessage]:
        return [message for message in self.live() if message.origin in UNTRUSTED][-_MESSAGES:]


@dataclass(frozen=True, slots=True)
class UntrustedTexts:
    """Untrusted texts by id, newest first: folded, and their lines."""

    texts: Mapping[UUID, tuple[str, frozenset[str]]]

    def repeated_in(self, given: Iterable[str], present: str = "") -> tuple[str, ...]:
        """Ids of those that the given texts repeat, at most 20. What ``present`` holds already does not count."""
        asked = [(folded(text), _lines(text)) for text in given if len(text.strip()) >= _LINE]
        held = folded(present)
        found = [str(key) for key, text in self.texts.items() if any(_repeats(*each, *text, held) for each in asked)]
        return tuple(found[:_SOURCES])


def _compared(unit: SqlUnitOfWork, live: Sequence[IncomingMessage], also: Mapping[UUID, str]) -> UntrustedTexts:
    texts = {
        unit.messages.message_key(
            unit.messages.conversation_key(message.conversation_id), message.external_id
        ): message.content
        for message in reversed(live)
    }
    stored = unit.messages.newest_of(UNTRUSTED, among=_AMONG, limit=_MESSAGES, chars=_CHARS)
    for key, content in [*also.items(), *stored, *unit.passages.of_untrusted(limit=_PASSAGES)]:
        texts.setdefault(key, content)
    return UntrustedTexts(
        {key: (folded(content[:_CHARS]), frozenset(_lines(content[:_CHARS]))) for key, content in texts.items()}
    )


def _together(given: Sequence[str], before: str, result: Callable[[str], str] | None) -> list[str]:
    """The pieces as one text, and what is new in the block with the text around it."""
    joined = [" ".join(given), "".join(given)] if len(given) > 1 else []
    if result is None:
        return joined
    try:
        after = result(before)
    except RefusedEdit:  # the edit itself will tell
        return joined
    start = _same(before, after)
    end = _same(before[start:][::-1], after[start:][::-1])
    first = after.rfind("\n", 0, max(0, start - _AROUND)) + 1
    last = after.find("\n", min(len(after), len(after) - end + _AROUND))
    return [*joined, after[first : len(after) if last < 0 else last]]


def _same(one: str, other: str) -> int:
    """With how many characters two texts begin alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((number for number, (a, b) in pairs if a != b), min(len(one), len(other)))


def _repeats(text: str, lines: Sequence[str], said: str, whole: frozenset[str], present: str) -> bool:
    if any(line in whole and line not in present for line in lines):
        return True
    return any(run.strip(" .,;:!?") not in present for run in _runs(text, said))


def _runs(text: str, message: str) -> Iterator[str]:
    """The pieces of ``text``, at least 40 characters long, that stand in ``message``.

    Each such piece covers a seed of 20 characters that begins at a multiple of 20.
    """
    for start in range(0, len(text) - _SEED + 1, _SEED):
        seed = text[start : start + _SEED]
        at = message.find(seed)
        while at >= 0:
            before, after = start, start + _SEED
            while before > 0 and at - (start - before) > 0 and text[before - 1] == message[at - (start - before) - 1]:
                before -= 1
            end = at + _SEED
            while after < len(text) and end < len(message) and text[after] == message[end]:
                after, end = after + 1, end + 1
            if after - before >= _RUN:
                yield text[before:after]
                break
            at = message.find(seed, at + 1)


def _lines(text: str) -> list[str]:
    lines = (folded(line.strip().lstrip("-*•>#0123456789.) ")) for line in text.split("\n"))
    return [line for line in lines if len(line) >= _LINE]
