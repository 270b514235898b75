"""Reads conversations and the questions about them: JSON Lines, one record a line, packed (``.gz``) or not.

``NAME.conversations.jsonl`` holds ``conversation_id`` and ``messages``: a list, in order, of ``id``, ``role``,
``speaker``, ``timestamp`` (ISO 8601) and ``content``. ``NAME.questions.jsonl`` holds ``question_id``,
``conversation_id``, ``question``, ``category`` and ``evidence``: ids of the messages that answer it. A record may
name its ``dataset``; without it the file's name is taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from mira_ltmemory.errors import ImportFileError
from mira_ltmemory.hosts.importers.files import READ_ERRORS, numbered_lines, open_text, reason
from mira_ltmemory.protocols import IncomingMessage, Origin, Role

_CONVERSATIONS = (".conversations.jsonl", ".conversations.jsonl.gz")
_ORIGINS = {Role.USER: Origin.USER, Role.ASSISTANT: Origin.ASSISTANT, Role.TOOL: Origin.TOOL}
_ROLES = frozenset(role.value for role in Role)


class _Message(BaseModel):
    id: str
    role: Role
    content: str
    timestamp: datetime
    speaker: str | None = None


class _Conversation(BaseModel):
    conversation_id: str
    messages: list[_Message]
    dataset: str | None = None


class _Question(BaseModel):
    conversation_id: str
    question: str
    evidence: list[str]
    question_id: str = ""
    category: str = "all"
    dataset: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A question, and the ids of the messages that hold its answer; empty where none does."""

    id: str
    text: str
    category: str
    evidence: frozenset[str]


@dataclass(frozen=True, slots=True)
class Case:
    """A conversation and the questions about it."""

    dataset: str
    conversation_id: str
    messages: tuple[IncomingMessage, ...]
    questions: tuple[Question, ...]


def read_cases(folder: Path, zone: tzinfo) -> list[Case]:
    """Read every pair of files in a folder; times that name no zone are in ``zone``.

    Raises ``ImportFileError`` with file and line for what cannot be read, and where there is nothing.
    """
    if not folder.is_dir():
        raise ImportFileError(f"{folder} is no directory.")
    found: list[Case] = []
    for path in sorted(each for each in folder.iterdir() if each.name.endswith(_CONVERSATIONS)):
        found += _read_pair(path, zone)
    if not found:
        raise ImportFileError(f"{folder} holds no file *.conversations.jsonl or *.conversations.jsonl.gz.")
    return found


def _read_pair(path: Path, zone: tzinfo) -> Iterator[Case]:
    name = path.name.removesuffix(".gz").removesuffix(".conversations.jsonl")
    asked: dict[str, list[Question]] = {}
    for each in _records(_questions_of(path, name), _Question):
        question = Question(each.question_id, each.question, each.category, frozenset(each.evidence))
        asked.setdefault(each.conversation_id, []).append(question)
    for conversation in _records(path, _Conversation):
        messages = tuple(
            _message(conversation.conversation_id, position, each, zone)
            for position, each in enumerate(conversation.messages)
        )
        questions = tuple(asked.get(conversation.conversation_id, ()))
        yield Case(conversation.dataset or name, conversation.conversation_id, messages, questions)


def _questions_of(path: Path, name: str) -> Path:
    for suffix in (".questions.jsonl", ".questions.jsonl.gz"):
        if (file := path.with_name(name + suffix)).is_file():
            return file
    raise ImportFileError(f"{path} has no {name}.questions.jsonl beside it.")


_Record = TypeVar("_Record", bound=BaseModel)


def _records(path: Path, kind: type[_Record]) -> Iterator[_Record]:
    try:
        with open_text(path) as text:
            for number, line in numbered_lines(text):
                try:
                    yield kind.model_validate_json(line)
                except ValidationError as error:
                    first = error.errors()[0]
                    where = ".".join(map(str, first["loc"]))
                    told = f"{where}: {first['msg']}" if where else first["msg"]
                    raise ImportFileError(f"{path}, line {number}: {told}") from None
    except READ_ERRORS as error:
        raise ImportFileError(f"{path} cannot be read: {reason(error)}.") from error


def _message(conversation_id: str, position: int, each: _Message, zone: tzinfo) -> IncomingMessage:
    said_at = each.timestamp if each.timestamp.tzinfo else each.timestamp.replace(tzinfo=zone)
    return IncomingMessage(
        conversation_id=conversation_id,
        external_id=each.id,
        role=each.role,
        content=each.content,
        said_at=said_at,
        origin=_ORIGINS.get(each.role, Origin.IMPORT),
        position=position,
        speaker=None if each.speaker in _ROLES else each.speaker,
    )
