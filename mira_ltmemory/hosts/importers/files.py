"""Finds conversation files and gives their text: compressed or not, and in whatever encoding they are."""

from __future__ import annotations

import gzip
import io
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from mira_ltmemory.hosts.importers.records import ImportProblem

SUFFIXES = (".json", ".jsonl", ".ndjson", ".json.gz", ".jsonl.gz", ".ndjson.gz")
BAD_BYTES = re.compile("[\udc80-\udcff]")
READ_ERRORS = (OSError, EOFError, zlib.error, UnicodeError)
"""What reading a file may raise: it is gone, is cut off, is no gzip, or is no text."""


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


def is_lines(path: Path) -> bool:
    """Whether the name says JSON Lines."""
    return path.name.lower().removesuffix(".gz").endswith((".jsonl", ".ndjson"))


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """Open for reading text. Bytes that are no UTF-8 come as lone surrogates, which ``BAD_BYTES`` finds."""
    with path.open("rb") as raw:
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
    if isinstance(error, EOFError | zlib.error):
        return "the compressed file is cut off or damaged"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).rstrip(".") or type(error).__name__
