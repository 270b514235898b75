"""What is said in the demo about conversations of the user's own: questions made of their own words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mira_ltmemory.demo.script import Turn, call, hits, results, say
from mira_ltmemory.hosts.local import Reply
from mira_ltmemory.protocols import IncomingMessage, Json, Role

_WORD = re.compile(r"[^\W\d_]{5,24}")
_NOTED = re.compile(r"Last looked up: (.+)")
_QUERY_WORDS = 6
_KEPT = 20_000


@dataclass(frozen=True)
class Topic:
    """A message that stands out, and the words that make it do so."""

    content: str
    words: tuple[str, ...]

    @property
    def query(self) -> str:
        """The words, as somebody would type them."""
        return " ".join(self.words)


def pick_topics(messages: Sequence[IncomingMessage], count: int = 2) -> list[Topic]:
    """Return messages of the user that hold words said seldom, the most telling first."""
    bodies = [message for message in messages[:_KEPT] if message.content.strip()]
    said = Counter(word for message in bodies for word in _words(message.content))
    own = [message for message in bodies if message.role is Role.USER] or bodies
    scored = sorted(own, key=lambda message: (-_weight(message.content, said), message.external_id))
    return [_topic(message.content, said) for message in scored[:count] if _words(message.content)]


def own_turns(topics: Sequence[Topic], blocks: Mapping[str, str]) -> list[Turn]:
    """Return a conversation about these topics that fits what core memory holds."""
    if not topics:
        return [_refusal()]
    topic = topics[0]
    return [_look_up(topic, blocks), _correct(topics, blocks), _file(topic), _refusal()]


def _look_up(topic: Topic, blocks: Mapping[str, str]) -> Turn:
    noted = _NOTED.search(blocks.get("human", "")) is not None

    def use(request: Json) -> Reply | str:
        found = next((hit for hit in hits(request) if topic.content[:200] in hit["content"]), None)
        if found is None:
            return say("I looked and did not find it.")
        if noted:
            return say(f"You said it on {found['timestamp'][:10]}.")
        line = f"Last looked up: {topic.words[0]}"
        return call("core_memory_append", label="human", content=line, say=f"You said it on {found['timestamp'][:10]}.")

    return Turn(
        "searches past conversation and notes what was looked up",
        f"Look up what I said about: {topic.query}. Note 'Last looked up: {topic.words[0]}' about me, if nothing is "
        "noted there yet.",
        (call("conversation_search", query=topic.query, limit=10), use, *(() if noted else (say("Noted."),))),
        tools=("conversation_search",) if noted else ("conversation_search", "core_memory_append"),
    )


def _correct(topics: Sequence[Topic], blocks: Mapping[str, str]) -> Turn:
    noted = _NOTED.search(blocks.get("human", ""))
    old = noted.group(1).strip() if noted else topics[0].words[0]
    new = next((topic.words[0] for topic in topics if topic.words[0] != old), f"{old} again")
    change = {"old_content": f"Last looked up: {old}", "new_content": f"Last looked up: {new}"}
    return Turn(
        "replaces on a correction",
        f"Correction: it is 'Last looked up: {new}', not '{old}'. Change your notes.",
        (call("core_memory_replace", label="human", **change), say("Changed.")),
        tools=("core_memory_replace",),
    )


def _file(topic: Topic) -> Turn:
    passage = f"The user said: {topic.content[:1000]}"
    return Turn(
        "inserts into archival memory and finds it again",
        f"File this in your archival memory, tagged imported: {passage}\nThen search your archival memory for: "
        f"{topic.query}.",
        (
            call("archival_memory_insert", content=passage, tags=["imported"]),
            call("archival_memory_search", query=topic.query, tags=["imported"], top_k=3),
            lambda request: say("Filed and found." if hits(request) else "I filed it and do not find it again."),
        ),
        tools=("archival_memory_insert", "archival_memory_search"),
    )


def _refusal() -> Turn:
    text = "This sentence is far too long for a block. " * 60
    return Turn(
        "is refused an edit that does not fit",
        f"Add this to your notes about me: {text}",
        (
            call("core_memory_append", label="human", content=text),
            lambda request: say(_told(request)),
        ),
        refused=("core_memory_append",),
    )


def _told(request: Json) -> str:
    refused = next((answer for answer in results(request) if not answer["success"]), None)
    return f"My notes cannot hold that: {refused['error'].split(';')[0]}." if refused else "It fits."


def _words(text: str) -> list[str]:
    return list(dict.fromkeys(word.lower() for word in _WORD.findall(text[:2000])))


def _weight(text: str, said: Counter[str]) -> float:
    rare = sorted(said[word] for word in _words(text))[:_QUERY_WORDS]
    return sum(1 / count for count in rare) if 40 <= len(text) <= 2000 else 0.0


def _topic(text: str, said: Counter[str]) -> Topic:
    rare = sorted(_words(text), key=lambda word: (said[word], word))[:_QUERY_WORDS]
    kept = [word for word in _words(text) if word in rare]
    return Topic(text, tuple(kept))
