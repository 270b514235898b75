"""Keeps the lease of a running job alive, so that a long job is not taken for a dead one."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from mira_ltmemory.errors import StoreError

logger = logging.getLogger(__name__)

_RENEWALS_PER_LEASE = 3


class LeaseKeeper:
    """Renews a lease from a thread of its own. ``renew`` tells whether the lease was still ours."""

    def __init__(self, name: str, renew: Callable[[], bool], lease: timedelta) -> None:
        self._name = name
        self._renew = renew
        self._pause = lease.total_seconds() / _RENEWALS_PER_LEASE
        self._ended = threading.Event()
        self._lost = threading.Event()

    def held(self) -> bool:
        """Whether nobody else has taken the job over, as far as was seen at the last renewal."""
        return not self._lost.is_set()

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Renew while the block runs."""
        thread = threading.Thread(target=self._keep, daemon=True, name=f"lease of {self._name}")
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def _keep(self) -> None:
        while not self._ended.wait(self._pause):
            try:
                if not self._renew():
                    logger.warning("job %s was taken over by another process", self._name)
                    self._lost.set()
                    return
            except StoreError as error:  # the next renewal may still come in time
                logger.warning("the lease of job %s could not be renewed: %s", self._name, error)
