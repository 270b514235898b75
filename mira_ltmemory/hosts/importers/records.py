"""What an import reports: problems with their place, and a summary of what was done."""

from __future__ import annotations

from dataclasses import dataclass, field

from mira_ltmemory.errors import ImportFileError


@dataclass(frozen=True, slots=True)
class ImportProblem:
    """Something in a file that was not as expected. A ``remark`` tells of it; anything else lost something."""

    source: str
    line: int | None
    text: str
    remark: bool = False

    def __str__(self) -> str:
        place = self.source if self.line is None else f"{self.source}, line {self.line}"
        return f"{place}: {self.text}"

    @property
    def error(self) -> ImportFileError:
        """The problem as an error, for those who want to stop at it."""
        return ImportFileError(str(self))


@dataclass(slots=True)
class ImportSummary:
    """Numbers of one import. ``new`` messages were stored now; ``known`` ones were there already.

    ``recalled`` messages are memory shown again, which is never stored.
    """

    files: int = 0
    conversations: int = 0
    read: int = 0
    new: int = 0
    known: int = 0
    recalled: int = 0
    problems: list[ImportProblem] = field(default_factory=list)

    @property
    def errors(self) -> list[ImportProblem]:
        """The problems that lost something."""
        return [problem for problem in self.problems if not problem.remark]

    @property
    def remarks(self) -> list[ImportProblem]:
        """The problems that lost nothing."""
        return [problem for problem in self.problems if problem.remark]
