"""Finds out whether a pooled connection still serves, without asking the server each time that it is taken."""

from __future__ import annotations

import select
import time
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import InvalidatePoolError

IDLE_S = 30.0
"""Seconds after which a connection is asked whether it is there: nothing tells of one that was dropped on the way."""

_USED = "used_at"


def watch_pool(engine: Engine) -> None:
    """Replace dead connections as they are taken from the pool.

    A server that ends says so on the connection, which can be seen without a question; one that nothing was heard of
    is asked only after it was idle for a while.
    """

    def given_back(_connection: Any, record: Any) -> None:
        record.info[_USED] = time.monotonic()

    def taken(connection: Any, record: Any, _proxy: Any) -> None:
        used = record.info.get(_USED)
        if used is None or (time.monotonic() - used < IDLE_S and not _heard_of(connection)):
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error

    event.listen(engine, "checkin", given_back)
    event.listen(engine, "checkout", taken)


def _heard_of(connection: Any) -> bool:
    """Whether the server has said anything unasked: that it ends, most likely."""
    try:
        if hasattr(select, "poll"):
            poll = select.poll()
            poll.register(connection.fileno(), select.POLLIN)
            return bool(poll.poll(0))
        return bool(select.select([connection.fileno()], [], [], 0)[0])
    except (OSError, ValueError):
        return True
