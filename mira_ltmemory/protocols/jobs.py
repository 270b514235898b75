"""Jobs of the automation engine: what one is, what it is told, and what it reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from mira_ltmemory.protocols.memory import Change

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with a label, the units done and the units in all (0 where unknown)."""


def no_progress(label: str, done: int, total: int) -> None:
    """A progress callback that shows nothing."""


def always() -> bool:
    """Whether a run may go on, where nobody else could have taken it over."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRun:
    """What a job is told when it runs: ``change`` is the parent under which its edits belong.

    ``may_go_on`` tells whether the run is still its own: false once another process has taken it over, because this
    one was not heard of for longer than its lease. A long job asks between its steps, and ends early.
    """

    name: str
    scheduled_for: datetime
    change: Change
    progress: Progress = no_progress
    may_go_on: Callable[[], bool] = always


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReport:
    """What a job did: one sentence, and numbers by name. JSON-able."""

    summary: str
    counts: Mapping[str, int] = field(default_factory=dict)


JobFunction: TypeAlias = Callable[[JobRun], JobReport]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job of the automation engine: ``cron`` has five fields and is read in ``timezone`` (IANA name).

    A ``heavy`` one is put off while the user is there.
    """

    name: str
    cron: str
    timezone: str
    description: str
    run: JobFunction
    heavy: bool = False
