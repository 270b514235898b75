"""Imports files into a memory, in batches, and sums up what happened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias
from zoneinfo import ZoneInfo

from mira_ltmemory.hosts.importers.files import find_files
from mira_ltmemory.hosts.importers.reader import read_file
from mira_ltmemory.hosts.importers.records import ImportProblem, ImportSummary
from mira_ltmemory.protocols import IncomingMessage, Origin, Progress, no_progress

Store: TypeAlias = Callable[[Sequence[IncomingMessage], str], Sequence[IncomingMessage]]
"""Stores messages of a source and returns those that were new, as ``MemoryManager.import_messages`` does."""

BATCH = 512


def import_conversations(
    paths: Sequence[Path],
    store: Store,
    *,
    zone: ZoneInfo | None = None,
    all_branches: bool = False,
    progress: Progress = no_progress,
    tell: Callable[[ImportProblem], None] | None = None,
) -> ImportSummary:
    """Import files and directories; ``tell`` hears of each problem when it is found.

    ``progress`` counts the bytes of files under "importing", and messages under "storing".

    A file that cannot be read is a problem of the summary. Raises what ``store`` raises; what was stored
    before stays, and importing again goes on from there.
    """
    return _Import(store, zone, all_branches, progress, tell).run(paths)


class _Import:
    def __init__(
        self,
        store: Store,
        zone: ZoneInfo | None,
        all_branches: bool,
        progress: Progress,
        tell: Callable[[ImportProblem], None] | None,
    ) -> None:
        self._store = store
        self._zone = zone
        self._all_branches = all_branches
        self._progress = progress
        self._tell = tell
        self._summary = ImportSummary()
        self._conversations: set[str] = set()

    def run(self, paths: Sequence[Path]) -> ImportSummary:
        files = self._find(paths)
        total = sum(size for _path, size in files)
        done = 0
        self._progress("importing", 0, total)
        for path, size in files:
            self._file(path, partial(self._at, done, size, total))
            done += size
            self._progress("importing", done, total)
        if self._summary.read:
            self._progress("storing", self._summary.read, self._summary.read)
        self._summary.conversations = len(self._conversations)
        return self._summary

    def _at(self, done: int, size: int, total: int, share: float) -> None:
        self._progress("importing", done + int(share * size), total)

    def _find(self, paths: Sequence[Path]) -> list[tuple[Path, int]]:
        files: dict[Path, int] = {}
        for path in paths:
            for found in find_files(path):
                if isinstance(found, ImportProblem):
                    self._problem(found)
                else:
                    files.setdefault(found, _size(found))
        return list(files.items())

    def _file(self, path: Path, at: Callable[[float], None]) -> None:
        batch: list[IncomingMessage] = []
        read_before = self._summary.read
        for event in read_file(path, self._zone, all_branches=self._all_branches, at=at):
            if isinstance(event, ImportProblem):
                self._problem(event)
                continue
            batch.append(event)
            if len(batch) >= BATCH:
                self._flush(batch, path)
        self._flush(batch, path)
        if self._summary.read > read_before:
            self._summary.files += 1

    def _flush(self, batch: list[IncomingMessage], path: Path) -> None:
        if not batch:
            return
        new = len(self._store(batch, path.name))
        shown_again = sum(message.origin is Origin.RECALLED for message in batch)
        self._summary.read += len(batch)
        self._summary.new += new
        self._summary.recalled += shown_again
        self._summary.known += len(batch) - new - shown_again
        self._conversations |= {message.conversation_id for message in batch}
        self._progress("storing", self._summary.read, 0)
        batch.clear()

    def _problem(self, problem: ImportProblem) -> None:
        self._summary.problems.append(problem)
        if self._tell is not None:
            self._tell(problem)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
