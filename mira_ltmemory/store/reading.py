"""One reading transaction for several reads of a thread: opening one costs as much as two quick queries."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import Generic, Protocol, TypeVar

from mira_ltmemory.errors import StoreError
from mira_ltmemory.store.database import foreign_errors


class Closable(Protocol):
    """A unit whose objects can be let go of; its transaction goes on."""

    def close(self) -> None:
        """Let go of them."""
        ...


Unit = TypeVar("Unit", bound=Closable)


class SharedReading(threading.local, Generic[Unit]):
    """What the reads of one thread share. Every thread has its own; ``open`` opens a transaction."""

    def __init__(self, open: Callable[[], AbstractContextManager[Unit]]) -> None:
        self._open = open
        self._scopes = 0
        self._readers = 0
        self._unit: Unit | None = None
        self._held = ExitStack()

    @property
    def wanted(self) -> bool:
        """Whether reads of this thread are to share a transaction now."""
        return self._scopes > 0

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Share one transaction in the block. It is opened by the first read, and closed at the end of the block."""
        self._scopes += 1
        try:
            yield
        finally:
            self._scopes -= 1
            if not self._scopes:
                self.rest()

    @contextmanager
    def joined(self) -> Iterator[Unit]:
        """The shared transaction. An error ends it, because it answers no statement after one."""
        self._readers += 1
        try:
            with foreign_errors():
                yield self._current()
        except BaseException as error:
            held, self._held, self._unit = self._held, ExitStack(), None
            with suppress(StoreError):  # that the connection is gone is told by the error itself
                held.__exit__(type(error), error, error.__traceback__)
            raise
        finally:
            self._readers -= 1
            if not self._readers and self._unit is not None:
                self._unit.close()  # the next reader gets its objects as they are by then

    def rest(self) -> None:
        """Hold no transaction for now, unless one is being read."""
        if not self._readers:
            held, self._held, self._unit = self._held, ExitStack(), None
            held.close()

    def _current(self) -> Unit:
        if self._unit is None:
            self._unit = self._held.enter_context(self._open())
        return self._unit
