"""What a host gets when the memory cannot be opened."""

from __future__ import annotations

from collections.abc import Sequence

from mira_ltmemory.config import MemoryConfig
from mira_ltmemory.errors import ConfigError, LtMemoryError, StoreUnavailable, one_line
from mira_ltmemory.protocols import (
    IncomingMessage,
    Job,
    Provider,
    Tool,
)
from mira_ltmemory.providers import MemoryStatusProvider
from mira_ltmemory.services.problems import Problems

_SAID = 400
"""Characters of an error in the status: what mends it must not be cut off behind it."""


def _mend(error: LtMemoryError) -> str:
    """Say what to do about it."""
    if isinstance(error, ConfigError):
        return "Correct the setting, then restart."
    if isinstance(error, StoreUnavailable):
        return "See that the server of LT_MEMORY_DATABASE_URL runs and lets this user in, then restart."
    return "Mend that, then restart; `mira-ltmemory status` says whether it works."


class DegradedMemory:
    """What is left when the memory cannot be opened: a status in the prompt that says so."""

    def __init__(self, settings: MemoryConfig | None, error: LtMemoryError) -> None:
        self.settings = settings or MemoryConfig.model_construct()
        self.error = error
        self.problems = Problems()
        subject = "memory settings" if isinstance(error, ConfigError) else "long-term memory"
        self.problems.set(subject, f"off: {one_line(error, _SAID)} {_mend(error)}")

    def tools(self) -> list[Tool]:
        """None: nothing could be stored."""
        return []

    def providers(self) -> list[Provider]:
        """The status alone, where it is switched on."""
        if not self.settings.providers.memory_status:
            return []
        return [MemoryStatusProvider(None, self.problems, self.settings.zone)]

    def jobs(self) -> list[Job]:
        """None."""
        return []

    def capture(self, messages: Sequence[IncomingMessage]) -> list[IncomingMessage]:
        """Store nothing, and say so by returning nothing."""
        return []

    def record_problem(self, subject: str, text: str) -> None:
        """Show a problem in the prompt's memory status."""
        self.problems.set(subject, text)

    def clear_problem(self, subject: str) -> None:
        """Show it no longer."""
        self.problems.clear(subject)

    def close(self) -> None:
        """Nothing is open."""
