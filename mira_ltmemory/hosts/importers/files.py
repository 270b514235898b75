"""Finds conversation files and gives their text: compressed or not, and in whatever encoding they are."""

from __future__ import annotations

import gzip
import io
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from mira_ltmemory.hosts.importers.records import ImportProblem

SUFFIXES = (".json", ".jsonl", ".ndjson", ".json.gz", ".jsonl.gz", ".ndjson.gz", ".zip")
BAD_BYTES = re.compile("[\udc80-\udcff]")
READ_ERRORS = (OSError, EOFError, zlib.error, UnicodeError, zipfile.BadZipFile, NotImplementedError, RuntimeError)
"""What reading a file may raise: it is gone, is cut off, is no gzip, is no text, or is a zip that needs a password."""

_BESIDE = ("user.json", "users.json", "message_feedback.json", "model_comparisons.json", "shared_conversations.json",
           "projects.json", "memories.json", "manifest.json", "group_chats.json", "sora.json")  # fmt: skip
"""What exports hold beside conversations."""


@dataclass(slots=True)
class Source:
    """One text to read: a file, or one inside an archive. ``name`` is told to people, ``file_name`` says what it is.

    ``before`` is the number of bytes of the texts before it in its file, ``total`` that of all.
    """

    name: str
    file_name: str
    open: Callable[[], BinaryIO]
    before: int = 0
    total: int = 0
    raw: BinaryIO | None = None

    def share(self) -> float:
        """What share of its file was read so far, from 0 to 1."""
        read = self.raw.tell() if self.raw is not None and not self.raw.closed else 0
        return min((self.before + read) / self.total, 1.0) if self.total else 0.0


@contextmanager
def sources(path: Path) -> Iterator[Iterator[Source]]:
    """Give the texts of a file: itself, or what an archive holds of conversations. Raises ``READ_ERRORS``."""
    if not path.name.lower().endswith(".zip"):
        yield iter([Source(str(path), path.name, lambda: path.open("rb"), total=path.stat().st_size)])
        return
    with zipfile.ZipFile(path) as archive:
        wanted = [info for info in archive.infolist() if _is_wanted(info)]
        total = sum(info.file_size for info in wanted)
        befores = accumulate((info.file_size for info in wanted), initial=0)
        yield iter([_member(path, archive, *each, total) for each in zip(wanted, befores, strict=False)])


def _is_wanted(info: zipfile.ZipInfo) -> bool:
    name = info.filename.rsplit("/", 1)[-1].lower()
    hidden = name.startswith("._") or "__macosx" in info.filename.lower()
    return name.endswith(SUFFIXES) and not name.endswith(".zip") and name not in _BESIDE and not hidden


def _member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, before: int, total: int) -> Source:
    name = info.filename.rsplit("/", 1)[-1]
    opened = lambda: cast("BinaryIO", archive.open(info))  # noqa: E731
    return Source(f"{path}/{info.filename}", name, opened, before, total)


def find_files(path: Path) -> Iterator[Path | ImportProblem]:
    """Give the file itself, or every conversation file below a directory, by name."""
    if path.is_file():
        yield path
    elif path.is_dir():
        yield from _below(path)
    elif path.exists():
        yield ImportProblem(str(path), None, "is neither a file nor a directory.")
    else:
        yield ImportProblem(str(path), None, "does not exist.")


def _below(root: Path) -> Iterator[Path | ImportProblem]:
    unreadable: list[OSError] = []
    found = 0
    for folder, folders, names in os.walk(root, onerror=unreadable.append):
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            if name.lower().endswith(SUFFIXES) and path.is_file():
                found += 1
                yield path
    for error in unreadable:
        yield ImportProblem(str(error.filename or root), None, f"cannot be listed: {reason(error)}.")
    if not found and not unreadable:
        yield ImportProblem(str(root), None, f"holds no file that ends in {', '.join(SUFFIXES)}.", remark=True)


def is_lines(file_name: str) -> bool:
    """Whether the name says JSON Lines."""
    return file_name.lower().removesuffix(".gz").endswith((".jsonl", ".ndjson"))


def open_text(path: Path) -> AbstractContextManager[TextIO]:
    """Open a file for reading text, as ``open_source`` does."""
    return open_source(Source(str(path), path.name, lambda: path.open("rb")))


@contextmanager
def open_source(source: Source) -> Iterator[TextIO]:
    """Open for reading text. Bytes that are no UTF-8 come as lone surrogates, which ``BAD_BYTES`` finds."""
    with source.open() as raw:
        source.raw = raw
        head = raw.read(4)
        raw.seek(0)
        packed = head.startswith(b"\x1f\x8b")
        binary = cast("BinaryIO", gzip.GzipFile(fileobj=raw)) if packed else raw
        if packed:
            head = _peek(binary)
        encoding, errors = _encoding(head)
        with io.TextIOWrapper(binary, encoding=encoding, errors=errors, newline="\n") as text:
            yield text


def _peek(binary: BinaryIO) -> bytes:
    head = binary.read(4)
    binary.seek(0)
    return head


def _encoding(head: bytes) -> tuple[str, str]:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16", "replace"
    return "utf-8-sig", "surrogateescape"


def numbered_lines(text: TextIO) -> Iterator[tuple[int, str]]:
    """Give every line that is not blank with its number, from 1."""
    for number, line in enumerate(text, 1):
        if line.strip():
            yield number, line


def reason(error: BaseException) -> str:
    """Why a file could not be read, in a few words."""
    if isinstance(error, EOFError | zlib.error | zipfile.BadZipFile):
        return "the compressed file is cut off or damaged"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).rstrip(".") or type(error).__name__
