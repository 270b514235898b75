"""Kills the hourly processing of conversations at chosen points, starts it again, and compares what comes of it.

Each attempt is a process of its own (forked, with its own connections, its own model client and embedder), killed by
SIGKILL at the n-th point: before or after an SQL statement, before a commit, before or after a call of the language
model or the embedding model. A scripted model on loopback answers as a pure function of what it is shown.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import traceback
import uuid
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from doubles import FixedClock
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.pool import NullPool

from mira_ltmemory.composition import open_memory
from mira_ltmemory.config import MemoryConfig
from mira_ltmemory.hosts.local.scripted_model import Reply, ScriptedModel
from mira_ltmemory.llm.openai import OpenAIClient
from mira_ltmemory.protocols import Embedder, EmbeddingModel, IncomingMessage, LLMReply, Origin, Role

USER = uuid.uuid5(uuid.NAMESPACE_URL, "exactly once")
START = datetime(2025, 5, 5, 9, 30, tzinfo=UTC)
COLOURS = ("red", "green", "blue", "amber", "violet")
TOWNS = ("Porto", "Lyon", "Turin", "Ghent", "Graz", "Lund", "Riga")

_MESSAGE = re.compile(r"^\[begin message (\d+) \w+ [^\n]*\]\n(.*?)\n\[end message ", re.DOTALL | re.MULTILINE)
_NUMBERED = re.compile(r"^(\d+)\. said on [^\n]*:\n<\w+>\n(.*?)\n</", re.DOTALL | re.MULTILINE)
_MEMORY = re.compile(r"^\[begin (a\d+) \w+ [^\n]*\]\n(.*?)\n\[end a", re.DOTALL | re.MULTILINE)

# What depends on how often a run began, and not on what it stored; vectors are compared for themselves.
_VOLATILE = frozenset({"change_set_id", "ended_by", "enqueued_by", "document", "through", "lease_until", "lease_owner"})
_CHANCE = {
    "sources": frozenset({"id"}),
    "consolidation_marks": frozenset({"at"}),
    "cold_texts": frozenset({"code", "bits"}),
}
_LEFT_OUT = frozenset(
    {"users", "embedding_models", "alembic_version", "user_states", "change_sets", "jobs", "vectors", "token_vectors",
     "embedding_caches", "cached_embeddings", "word_totals", "word_terms", "word_blocks"}
)  # fmt: skip


def talk(messages: int, per_conversation: int) -> list[IncomingMessage]:
    """Conversations in which the user says things worth keeping, some of which supersede others."""
    found = []
    for number in range(messages):
        conversation, place = divmod(number, per_conversation)
        said = (
            f"My favourite colour is {COLOURS[conversation % len(COLOURS)]} these days.",
            f"I met Friend{number} in {TOWNS[number % len(TOWNS)]} on that day.",
            f"Let us talk about matter {number} for a while.",
        )[place % 3]
        at = START - timedelta(days=30) + timedelta(minutes=90 * conversation + place)
        role = Role.ASSISTANT if place % 5 == 4 else Role.USER
        origin = Origin.ASSISTANT if role is Role.ASSISTANT else Origin.USER
        found.append(
            IncomingMessage(
                conversation_id=f"talk {conversation}", external_id=str(number), role=role, content=said, said_at=at,
                origin=origin,
            )
        )  # fmt: skip
    return found


def answer_to(body: dict[str, Any]) -> Reply:
    """The model: a pure function of the messages and memories that it is shown."""
    prompt = str(body["messages"][-1]["content"])
    answer = _facts_in(prompt) if "# Messages" in prompt else _graph_in(prompt)
    return Reply(json.dumps(answer), input_tokens=len(prompt) // 4, output_tokens=20)


def _graph_in(prompt: str) -> dict[str, Any]:
    entities, relations = [], []
    for number, content in _NUMBERED.findall(prompt):
        if (friend := re.search(r"met (\w+) in (\w+)", content)) is not None:
            entities += [
                {"name": friend[1], "type": "person", "message": int(number)},
                {"name": friend[2], "type": "place", "message": int(number)},
            ]
            said = {"subject": friend[1], "predicate": "was_in", "object": friend[2]}
            relations.append({**said, "message": int(number), "quote": friend[0]})
    return {"entities": entities, "relations": relations}


def _facts_in(prompt: str) -> dict[str, Any]:
    colours = {content: ref for ref, content in _MEMORY.findall(prompt) if "favourite colour" in content}
    facts = []
    for number, content in _MESSAGE.findall(prompt):
        fact = {"action": "add", "messages": [int(number)], "quote": content, "confidence": 0.8}
        if (colour := re.search(r"favourite colour is (\w+)", content)) is not None:
            wanted = f"The user's favourite colour is {colour[1]}."
            others = [ref for known, ref in colours.items() if known != wanted]
            action = {"action": "supersede", "supersedes": others} if others else {}
            facts.append({**fact, **action, "text": wanted})
        elif (friend := re.search(r"met (\w+) in (\w+)", content)) is not None:
            facts.append({**fact, "text": f"The user met {friend[1]} in {friend[2]}."})
    return {"facts": facts}


class Points:
    """Counts points, and dies at one of them."""

    def __init__(self, kill_at: int | None) -> None:
        self.kill_at = kill_at
        self.passed = 0

    def at_statements(self) -> Points:
        """Count every statement of this process twice, and every commit."""
        for name in ("before_cursor_execute", "after_cursor_execute", "commit"):
            event.listen(Engine, name, self)
        return self

    def __call__(self, *_: object) -> None:
        self.passed += 1
        if self.passed == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


class _CountedLLM:
    def __init__(self, llm: OpenAIClient, points: Points) -> None:
        self._llm, self._points, self.name = llm, points, llm.name

    def complete(self, *arguments: Any, **options: Any) -> LLMReply:
        self._points()
        reply = self._llm.complete(*arguments, **options)
        self._points()
        return reply


class CountedEmbedder:
    """Counts the calls of an embedder as points."""

    def __init__(self, embedder: Embedder, points: Points) -> None:
        self._embedder, self._points = embedder, points

    def __getattr__(self, name: str) -> Any:
        return getattr(self._embedder, name)

    @property
    def model(self) -> EmbeddingModel:
        return self._embedder.model

    def embed(self, texts: Sequence[str]) -> Any:
        self._points()
        vectors = self._embedder.embed(texts)
        self._points()
        return vectors


@dataclass
class Interrupted:
    """The processing of one talk in one database. ``embedder`` is made anew in each process."""

    url: str
    model: ScriptedModel | None
    embedder: Callable[[], Embedder]
    attempts: int = 0
    kills: int = 0
    points: int = field(default=0, init=False)

    def settings(self) -> MemoryConfig:
        return MemoryConfig(database_url=self.url, user_id=USER, batch_max_minutes=1000, batch_max_tokens=None)

    def capture(self, messages: Sequence[IncomingMessage]) -> None:
        """Store the talk."""
        assert self._child(lambda: self._capture(messages)) == 0

    def process(self, kill_at: int | None = None) -> bool:
        """Run the hourly job an hour later than the last time; false where it was killed."""
        self.attempts += 1
        read, write = os.pipe()
        code = self._child(lambda: self._job(kill_at, write))
        os.close(write)
        told = os.read(read, 100).decode()
        os.close(read)
        if code == -signal.SIGKILL:
            self.kills += 1
            return False
        assert code == 0, f"the job failed: {code}"
        self.points = int(told)
        return True

    def contents(self) -> dict[str, list[str]]:
        """Every row of the user but for what is volatile, by table."""
        found: dict[str, list[str]] = {}
        with self._reading() as connection:
            tables = connection.execute(
                text(
                    "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
                    "WHERE a.attname = 'user_id' AND c.relkind = 'r' "
                    "AND c.relnamespace = 'ltmemory'::regnamespace ORDER BY 1"
                )
            ).scalars()
            for table in [each for each in tables if each not in _LEFT_OUT]:
                rows = connection.execute(text(f"SELECT to_jsonb(t) FROM ltmemory.{table} t")).scalars()
                left_out = _VOLATILE | _CHANCE.get(table.removesuffix("_versions"), frozenset())
                kept = [{name: value for name, value in row.items() if name not in left_out} for row in rows]
                found[table] = sorted(json.dumps(row, sort_keys=True) for row in kept)
        return found

    def vectors(self) -> dict[str, Any]:
        """Every vector of the user by what it is of."""
        with self._reading() as connection:
            rows = connection.execute(
                text("SELECT kind || ' ' || row_id || ' ' || content_hash, embedding::text FROM ltmemory.vectors")
            ).all()
        return {key: np.array(json.loads(vector)) for key, vector in rows}

    def duplicates(self) -> int:
        """How many passages have the very text of another that holds at present."""
        with self._reading() as connection:
            counted = "SELECT count(*) - count(DISTINCT content) FROM ltmemory.passages WHERE valid_until IS NULL"
            return int(connection.execute(text(counted)).scalar_one())

    def _reading(self) -> Any:
        connection = create_engine(self.url, poolclass=NullPool).connect()
        connection.execute(text("SELECT set_config('ltmemory.user_id', :id, false)"), {"id": str(USER)})
        return connection

    def _capture(self, messages: Sequence[IncomingMessage]) -> None:
        memory = open_memory(self.settings(), clock=FixedClock(START), embedder=self.embedder())
        memory.import_messages(messages, "a talk")
        memory.close()

    def _job(self, kill_at: int | None, write: int) -> None:
        assert self.model is not None
        points = Points(kill_at).at_statements()
        llm = _CountedLLM(OpenAIClient(f"{self.model.url}/v1", "scripted"), points)
        embedder = CountedEmbedder(self.embedder(), points)
        clock = FixedClock(START + timedelta(hours=self.attempts))
        memory = open_memory(self.settings(), clock=clock, embedder=embedder, llm=llm)
        memory.runner.add(next(job for job in memory.jobs() if job.name == "process_conversations"))
        result = memory.runner.run("process_conversations")
        assert result["success"] and not result.get("skipped"), result
        assert result["report"]["counts"]["waiting"] == 0, result
        os.write(write, str(points.passed).encode())

    def _child(self, work: Callable[[], None]) -> int:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # other threads: the child uses none of their locks
            child = os.fork()
        if child == 0:
            try:
                work()
            except BaseException:
                traceback.print_exc(file=sys.__stderr__)
                os._exit(3)
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def compare(disturbed: Interrupted, undisturbed: Interrupted) -> dict[str, float]:
    """Hold two runs against each other; return figures. Raises ``AssertionError`` where they differ."""
    ours, theirs = disturbed.contents(), undisturbed.contents()
    for table, rows in theirs.items():
        assert ours[table] == rows, f"{table} differs: {str(set(ours[table]) ^ set(rows))[:2_000]}"
    assert disturbed.duplicates() == undisturbed.duplicates() == 0
    mine, others = disturbed.vectors(), undisturbed.vectors()
    assert mine.keys() == others.keys()
    cosines = [
        float(mine[key] @ others[key] / (np.linalg.norm(mine[key]) * np.linalg.norm(others[key]))) for key in mine
    ]
    assert min(cosines) > 0.99
    return {"rows": sum(map(len, theirs.values())), "vectors": len(mine), "least cosine": round(min(cosines), 5)}
