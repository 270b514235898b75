"""Memories with a token planted in every place that takes a user's text, and a search of the whole database for it."""

from __future__ import annotations

import unicodedata
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.pool import NullPool

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.protocols import Actor, Change, IncomingMessage, Kind, Origin, Role
from mira_ltmemory.store.models import (
    Entity,
    EntityAlias,
    EntityMerge,
    Mention,
    Relation,
    content_hash,
)

BY_MODEL = Change(Actor.MODEL, "test")

SPELLINGS = ("{0}", "{0} says hello", "with {0}'s cake", "A ({0})!", "日本{0}は", "one\ntwo {0}\nthree")
PLACES = (
    "message", "speaker", "metadata", "metadata key", "message id", "conversation id", "title", "derived",
    "passage", "tag", "passage metadata", "block", "old block", "old passage", "undone message", "reason",
    "run metadata", "snapshot", "snapshot note", "job error", "job report", "link metadata",
    "entity", "entity alias", "old alias", "relation", "mention metadata",
)  # fmt: skip

planted = st.lists(
    st.tuples(st.sampled_from(PLACES), st.sampled_from(SPELLINGS), st.sampled_from(("as is", "upper", "decomposed"))),
    min_size=1,
    max_size=10,
)


def spelled(token: str, spelling: str, form: str) -> str:
    """The token in one of its spellings: all are the same word."""
    forms = {"as is": token, "upper": token.upper(), "decomposed": unicodedata.normalize("NFD", token)}
    return spelling.format(forms[form])


@dataclass
class Garden:
    """Plants text into one memory, and knows what of it has to survive."""

    memory: MemoryManager
    token: str
    number: int = 0
    kept_messages: set[str] = field(default_factory=set)
    kept_passages: set[str] = field(default_factory=set)
    kept_lines: set[str] = field(default_factory=set)
    captured: list[IncomingMessage] = field(default_factory=list)

    def next(self) -> str:
        self.number += 1
        return f"{self.token.lower()[-6:]}n{self.number}"

    def say(self, content: str, **more: object) -> UUID:
        values: dict[str, object] = {
            "conversation_id": f"talk-{self.number % 3}",
            "external_id": f"id-{self.next()}",
            "role": Role.USER,
            "content": content,
            "said_at": self.memory.clock.now(),
            "origin": Origin.USER,
            **more,
        }
        message = IncomingMessage(**values)  # type: ignore[arg-type]
        self.captured.append(message)
        self.memory.capture([message])
        with self.memory.store.read() as unit:
            key = unit.messages.conversation_key(message.conversation_id)
            return unit.messages.message_key(key, message.external_id)

    def keep(self) -> None:
        """Say and store what has nothing to do with the token."""
        word = self.next()
        self.kept_messages.add(f"plain words about kiwi{word}")
        self.say(f"plain words about kiwi{word}")
        self.kept_passages.add(f"a passage on plum{word}")
        self.memory.archival.insert(f"a passage on plum{word}", ["fruit"])
        self.kept_lines.add(f"likes {word}")
        self.memory.blocks.append("human", f"likes {word}", BY_MODEL)

    def plant(self, place: str, text_: str) -> None:
        """Put the text where the place says."""
        memory, word = self.memory, self.next()
        match place:
            case "message":
                self.say(text_)
            case "speaker":
                self.say(f"spoken {word}", speaker=text_)
            case "metadata":
                self.say(f"noted {word}", metadata={"a": [{"b": text_}]})
            case "metadata key":
                self.say(f"keyed {word}", metadata={text_: 1})
            case "message id":
                self.say(f"named {word}", external_id=f"{text_} {word}")
            case "conversation id":
                self.kept_messages.add(f"in a named talk {word}")
                self.say(f"in a named talk {word}", conversation_id=f"talk {text_} {word}")
            case "title":
                self.kept_messages.add(f"in a titled talk {word}")
                self.say(f"in a titled talk {word}", conversation_id=word)
                for title in (text_, "harmless", f"again {text_}"):
                    self._title(word, title)
            case "derived":
                source = self.say(text_)
                first = memory.archival.insert(f"a summary that does not say it {word}").id
                second = memory.archival.insert(f"a summary of the summary {word}").id
                self.link(first, Kind.MESSAGE, source)
                self.link(second, Kind.PASSAGE, first)
            case "link metadata":
                passage = memory.archival.insert(f"linked passage {word}").id
                self.kept_passages.add(f"linked passage {word}")
                self.kept_messages.add(f"linked message {word}")
                self.link(passage, Kind.MESSAGE, self.say(f"linked message {word}"), note=text_)
            case "passage":
                memory.archival.insert(f"{text_} {word}")
            case "tag":
                memory.archival.insert(f"tagged {word}", [text_.replace("\n", " ")[:60]])
            case "passage metadata":
                self._set("passages", memory.archival.insert(f"marked {word}").id, "metadata", f'{{"x": "{word}"}}')
                self._set_json(memory.archival.insert(f"marked too {word}").id, text_)
            case "old passage":
                id = memory.archival.insert(f"{text_} {word}").id
                self._set("passages", id, "content", f"edited {word}")
            case "undone message":
                self.say(f"{text_} {word}")
                memory.history.undo(memory.history.log(1)[0].id, Change(Actor.USER, "undo"))
            case "block":
                memory.blocks.append("human", text_, BY_MODEL)
            case "old block":
                memory.blocks.append("human", f"{text_} {word}", BY_MODEL)
                memory.blocks.replace("human", f"{text_} {word}", "", BY_MODEL)
            case "reason":
                memory.blocks.append("human", f"for a reason {word}", Change(Actor.MODEL, "test", f"because {text_}"))
            case "run metadata":
                with memory.store.write(BY_MODEL, {"notes": {"who": [text_]}}):
                    pass
            case "entity" | "entity alias" | "old alias" | "relation" | "mention metadata":
                self._graph(place, text_.replace("\n", " "), word)
            case "snapshot":
                memory.snapshots.create(f"{text_} {word}".replace("\n", " "), "a note")
            case "snapshot note":
                memory.snapshots.create(f"before {word}", text_)
            case "job error" | "job report":
                column, value = ("last_error", text_) if place == "job error" else ("last_report", None)
                with memory.store.upkeep() as unit:
                    unit.jobs.declare(word, "0 0 * * *", "UTC", memory.clock.now())
                    unit.jobs.execute(
                        f"UPDATE ltmemory.jobs SET {column} = "
                        + (":value" if value else "jsonb_build_object('summary', CAST(:report AS text))")
                        + " WHERE user_id = :user_id AND name = :name",
                        value=value, report=text_, name=word,
                    )  # fmt: skip
            case _:
                memory.blocks.append("human", f"nothing planted {word}", BY_MODEL)

    def link(self, row: UUID, source_kind: Kind, source: UUID, note: str | None = None) -> None:
        with self.memory.store.write(BY_MODEL) as unit:
            unit.passages.execute(
                "INSERT INTO ltmemory.sources (user_id, id, version, change_set_id, origin, metadata, kind, row_id, "
                "source_kind, source_id) VALUES (:user_id, gen_random_uuid(), 1, :change, 'assistant', "
                "jsonb_build_object('note', CAST(:note AS text)), 'passage', :row, :kind, :source)",
                change=unit.change_set_id, note=note, row=row, kind=source_kind.value, source=source,
            )  # fmt: skip

    def _graph(self, place: str, text_: str, word: str) -> None:
        """Two entities, one of them merged into the other, and a relation; the text stands where the place says."""
        message = self.say(f"a message that is kept {word}")
        self.kept_messages.add(f"a message that is kept {word}")
        names = (text_ if place == "entity" else f"Anna {word}", f"Berg {word}")
        with self.memory.store.write(BY_MODEL) as unit:
            common: dict[str, Any] = {
                "user_id": unit.user_id, "change_set_id": unit.change_set_id, "origin": Origin.USER.value,
            }  # fmt: skip
            first, second = (
                Entity(**common, id=uuid4(), type="person", name=name, content=name, content_hash=content_hash(name))
                for name in names
            )
            alias = text_ if place in ("entity alias", "old alias") else names[0]
            link = EntityAlias(**common, id=uuid4(), entity_id=first.id, alias=alias, key=alias.casefold())
            kept = {"x": text_ if place == "mention metadata" else word}
            unit.graph.add([
                first, second, link,
                Mention(**common, id=uuid4(), entity_id=first.id, source_kind="message", source_id=message, start_at=0,
                        end_at=4, said_at=self.memory.clock.now(), confidence=1.0, method="rule", meta=kept),
                Relation(**common, id=uuid4(), subject_id=first.id, object_id=second.id, confidence=1.0, inferred=False,
                         predicate=text_ if place == "relation" else "knows"),
                EntityMerge(**common, id=uuid4(), entity_id=first.id, into_id=second.id, verdict="same"),
            ])  # fmt: skip
            unit.vectors.enqueue(Kind.ENTITY, [first.id, second.id])
        if place == "old alias":
            self._set("entity_aliases", link.id, "alias", f"edited {word}")

    def _title(self, conversation: str, title: str) -> None:
        with self.memory.store.write(BY_MODEL) as unit:
            unit.messages.execute(
                "UPDATE ltmemory.conversations SET title = :title WHERE user_id = :user_id AND external_id = :id",
                title=title,
                id=conversation,
            )

    def _set(self, table: str, id: UUID, column: str, value: str) -> None:
        with self.memory.store.write(BY_MODEL) as unit:
            unit.passages.execute(
                f"UPDATE ltmemory.{table} SET {column} = :value WHERE user_id = :user_id AND id = :id",
                value=value,
                id=id,
            )

    def _set_json(self, id: UUID, value: str) -> None:
        with self.memory.store.write(BY_MODEL) as unit:
            unit.passages.execute(
                "UPDATE ltmemory.passages SET metadata = jsonb_build_object('x', CAST(:value AS text)) "
                "WHERE user_id = :user_id AND id = :id",
                value=value,
                id=id,
            )


def flat(value: str) -> str:
    """A text so that every spelling of a word is the same."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKC", value).casefold())


def everything(url: str, user_id: UUID | None) -> Iterator[tuple[str, str]]:
    """Every row of a user (none: rows of nobody) as text, and bytes as they are, with its table; read by raw SQL."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        for table, owned in _tables(connection):
            if owned == (user_id is not None):
                where = "WHERE user_id = :user_id" if owned else ""
                for column, kind in _columns(connection, table):
                    shown = f"encode({column}, 'escape')" if kind == "bytea" else f"{column}::text"
                    shown = f"to_jsonb({column})::text" if kind == "text[]" else shown
                    rows = connection.execute(
                        text(f"SELECT {shown} FROM ltmemory.{table} {where}"), {"user_id": user_id}
                    )
                    yield from ((f"{table}.{column}", value) for (value,) in rows if value is not None)
    engine.dispose()


def statistics(url: str) -> list[str]:
    """What the planner remembers of the values of the schema's columns."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT concat_ws(' ', most_common_vals::text, histogram_bounds::text, most_common_elems::text) "
                "FROM pg_stats WHERE schemaname = 'ltmemory'"
            )
        ).all()
    engine.dispose()
    return [row[0] for row in rows]


def found_in(url: str, user_id: UUID | None, token: str) -> list[str]:
    """Where the token stands, in any spelling."""
    wanted = flat(token)
    escaped = "".join(chr(byte) if 31 < byte < 127 else f"\\{byte:03o}" for byte in token.encode())
    return [place for place, value in everything(url, user_id) if wanted in flat(value) or escaped in value]


def _tables(connection: Connection) -> list[tuple[str, bool]]:
    rows = connection.execute(
        text(
            "SELECT c.relname, EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'user_id') "
            "FROM pg_class c WHERE c.relnamespace = 'ltmemory'::regnamespace AND c.relkind IN ('r', 'p')"
        )
    )
    return [(row[0], row[1]) for row in rows]


def _columns(connection: Connection, table: str) -> list[tuple[str, str]]:
    rows = connection.execute(
        text(
            "SELECT quote_ident(attname), format_type(atttypid, NULL) FROM pg_attribute "
            "WHERE attrelid = CAST(:table AS regclass) AND attnum > 0 AND NOT attisdropped"
        ),
        {"table": f"ltmemory.{table}"},
    )
    return [(row[0], row[1]) for row in rows]


def contents(memory: MemoryManager, kind: str) -> list[str]:
    with memory.store.read() as unit:
        rows = unit.messages.execute(f"SELECT content FROM ltmemory.{kind} WHERE user_id = :user_id ORDER BY content")
        return [row.content for row in rows]


def check_one_garden(
    memory: MemoryManager, other: MemoryManager, admin: str, plants: list[tuple[str, str, str]]
) -> None:
    """Plant, erase, look everywhere; what else is there must be there still. The proofs run this too."""
    token = f"Zörk{uuid.uuid4().hex[:8]}"
    garden, neighbour = Garden(memory, token), Garden(other, token)
    neighbour.plant("message", f"{token} is theirs")
    neighbour.plant("passage", f"{token} is theirs too")
    garden.keep()
    for place, spelling, form in plants:
        garden.plant(place, spelled(token, spelling, form))
    garden.keep()
    memory.process_pending()
    other.process_pending()
    theirs = sorted(everything(admin, other.store.user_id))
    assert found_in(admin, memory.store.user_id, token)
    plan = memory.erasure.preview(subject=token.upper(), blocks=True)
    receipt = memory.erasure.erase(plan)
    assert receipt.remaining == {}
    assert found_in(admin, memory.store.user_id, token) == []
    assert found_in(admin, None, token) == []
    assert sorted(everything(admin, other.store.user_id)) == theirs
    assert memory.capture(garden.captured) == []
    assert set(contents(memory, "messages")) >= garden.kept_messages
    assert set(contents(memory, "passages")) >= garden.kept_passages
    assert set(memory.blocks.get("human").content.split("\n")) >= garden.kept_lines
    for kept in garden.kept_messages:
        assert kept in [hit.content for hit in memory.recall.search(kept, limit=5).hits]
    for kept in garden.kept_passages:
        assert kept in [hit.content for hit in memory.archival.search(kept, limit=5).hits]
    assert memory.erasure.preview(subject=token, blocks=True).empty
