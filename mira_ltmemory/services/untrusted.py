"""Finds text of tools and web pages in what the model is about to write into core memory.

What is found: a run of at least 40 characters, or a whole line of at least 20, that stands verbatim in one of
the newest messages of origin tool or web; upper and lower case and white space do not matter. What is not
found: a paraphrase, a translation, shorter pieces, escaped text (JSON in JSON), and messages older than the
newest 1,000 of the user.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from mira_ltmemory.protocols import IncomingMessage, Origin
from mira_ltmemory.services.block_history import may_be_label
from mira_ltmemory.store.unit_of_work import Store

UNTRUSTED = (Origin.TOOL, Origin.WEB)

_RUN = 40
_SEED = _RUN // 2
_LINE = 20
_AMONG = 1000
_MESSAGES = 50
_CHARS = 100_000
_SOURCES = 20

_SPACE = re.compile(r"\s+")


def no_messages() -> Sequence[IncomingMessage]:
    """The live messages where no host tells them."""
    return ()


class UntrustedText:
    """Compares text with the newest tool and web messages of one user.

    ``live`` tells the messages that the host holds and that may not be captured yet: a tool's answer and the
    edit that it brought about are often of the same turn.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.live: Callable[[], Sequence[IncomingMessage]] = no_messages

    def sources(self, texts: Iterable[str], label: str) -> tuple[str, ...]:
        """Ids of the messages whose text ``texts`` repeat, newest first, at most 20.

        What the block ``label`` holds already does not count: moving it about brings nothing new in.
        """
        given = [text for text in texts if len(text.strip()) >= _LINE]
        if not given:
            return ()
        live = [message for message in self.live() if message.origin in UNTRUSTED][-_MESSAGES:]
        with self._store.read() as unit:
            block = unit.blocks.get(label) if may_be_label(label) else None
            present = _folded("" if block is None else block.content)
            stored = unit.messages.newest_of(UNTRUSTED, among=_AMONG, limit=_MESSAGES, chars=_CHARS)
            messages = {
                unit.messages.message_key(
                    unit.messages.conversation_key(message.conversation_id), message.external_id
                ): message.content[:_CHARS]
                for message in reversed(live)
            }
        messages.update((key, content) for key, content in stored if key not in messages)
        found = [
            str(message_id)
            for message_id, content in messages.items()
            if any(_repeats(text, content, present) for text in given)
        ]
        return tuple(found[:_SOURCES])


def _repeats(text: str, message: str, present: str) -> bool:
    folded = _folded(message)
    whole = set(_lines(message))
    if any(line in whole and line not in present for line in _lines(text)):
        return True
    return any(run.strip() not in present for run in _runs(_folded(text), folded))


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


def _folded(text: str) -> str:
    return _SPACE.sub(" ", text).strip().casefold()


def _lines(text: str) -> list[str]:
    lines = (_folded(line.strip().lstrip("-*•>#0123456789.) ")) for line in text.split("\n"))
    return [line for line in lines if len(line) >= _LINE]
