"""Small real classes that tests give to constructors."""

from __future__ import annotations

from datetime import datetime, timedelta


class FixedClock:
    """A clock that stands until a test moves it."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment

    def advance(self, **duration: float) -> datetime:
        self.moment += timedelta(**duration)
        return self.moment
