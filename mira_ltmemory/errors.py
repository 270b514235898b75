"""Every error that this package raises on purpose, as one tree.

LtMemoryError
├── ConfigError                a setting is unknown or impossible
├── StoreError                 the database said no
│   ├── StoreUnavailable       it cannot be reached
│   ├── EmbeddedServerError    the embedded Postgres cannot run here
│   ├── SchemaError            it holds a schema that this version cannot use
│   └── IsolationError         the role would see other users' rows
├── EmbeddingError             the embedding model cannot be used
├── LLMError                   the language model gave no usable answer
│   ├── LLMUnavailable         not now: unreachable, busy or broken off
│   ├── LLMRejected            not like this: key, model or request is refused
│   ├── LLMBadAnswer           what it said is not what was asked for
│   └── BudgetSpent            the run may not ask it any more
├── ImportFileError            a conversation file cannot be read
├── HostError                  the host lacks something that the plugin needs
└── RefusedEdit                an ordinary mistake; nothing was changed
    ├── InvalidArgument        a value is malformed; names the field
    ├── UnknownLabel           no such core memory block
    ├── OverLimit              the text would not fit
    ├── NoMatch                the text to replace is absent
    ├── AmbiguousMatch         the text to replace stands in several places
    ├── ReadOnly               the block may not be changed
    ├── Conflict               somebody else changed it first
    ├── NeedsConfirmation      a person has to confirm the edit first
    ├── UnknownSnapshot        no such snapshot
    ├── NotKept                memory of that moment was vacuumed
    ├── Erased                 it was erased for good at the user's request
    └── UndoConflict           later changes depend on what is to be undone

A class's docstring is its default message. Foreign errors (SQLAlchemy, psycopg2, onnxruntime,
httpx) become one of these at the boundary that they came from, and nowhere else.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping


def one_line(text: object, limit: int = 600) -> str:
    """Return a text on one line and within ``limit`` characters, so that a foreign error cannot pose as a heading."""
    line = " ".join(str(text).split())
    return line if len(line) <= limit else f"{line[:limit]} ..."


class LtMemoryError(Exception):
    """The memory could not do what was asked."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or inspect.getdoc(type(self)) or type(self).__name__)


class ConfigError(LtMemoryError):
    """A setting is unknown or impossible."""


class StoreError(LtMemoryError):
    """The database refused the operation; nothing was changed."""


class StoreUnavailable(StoreError):
    """The database cannot be reached; nothing was changed. Check that it runs, then try again."""


class EmbeddedServerError(StoreError):
    """The embedded Postgres cannot run here."""


class SchemaError(StoreError):
    """The database holds a schema that this version of mira-ltmemory cannot use."""


class IsolationError(StoreError):
    """The database role bypasses row-level security, so users would not be kept apart."""


class EmbeddingError(LtMemoryError):
    """The embedding model cannot be used."""


class LLMError(LtMemoryError):
    """The language model gave no usable answer."""


class LLMUnavailable(LLMError):
    """The language model does not answer now. ``retry_after`` is how many seconds its server asks to wait."""

    def __init__(self, message: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class LLMRejected(LLMError):
    """The language model's server refuses the request: check address, model and key."""


class LLMBadAnswer(LLMError):
    """The language model's answer is not what was asked for."""


class BudgetSpent(LLMError):
    """The run has used up its time or its tokens; the next one goes on."""


class ImportFileError(LtMemoryError):
    """The conversation file cannot be read."""


class HostError(LtMemoryError):
    """The host lacks something that the plugin needs."""


class RefusedEdit(LtMemoryError):
    """The request was refused and nothing was changed."""


class InvalidArgument(RefusedEdit):
    """An argument is malformed."""


class UnknownLabel(RefusedEdit):
    """There is no core memory block of that label."""


class OverLimit(RefusedEdit):
    """The text does not fit."""


class NoMatch(RefusedEdit):
    """The text to replace is not in the block."""


class AmbiguousMatch(RefusedEdit):
    """The text to replace stands in more than one place."""


class ReadOnly(RefusedEdit):
    """The block is read-only."""


class Conflict(RefusedEdit):
    """The block was changed since the version that the edit named."""


class NeedsConfirmation(RefusedEdit):
    """The edit is held until a person confirms it; nothing was changed."""


class UnknownSnapshot(RefusedEdit):
    """There is no snapshot of that name."""


class NotKept(RefusedEdit):
    """Memory as it was then is not kept: earlier versions were vacuumed."""


class Erased(RefusedEdit):
    """What this needs was erased for good at the user's request; nothing was changed."""


class UndoConflict(RefusedEdit):
    """Later changes depend on the change set that is to be undone; ``blocking`` lists them, ``reasons`` says why."""

    def __init__(self, change_set_id: int, reasons: Mapping[int, str]) -> None:
        self.change_set_id = change_set_id
        self.blocking = tuple(sorted(reasons))
        self.reasons = {each: reasons[each] for each in self.blocking}
        listed = "".join(f"\n  {each} {reasons[each]}" for each in self.blocking[:20])
        more = f"\n  and {len(reasons) - 20} more" if len(reasons) > 20 else ""
        super().__init__(
            f"Change set {change_set_id} cannot be undone alone: later change sets depend on it.{listed}{more}\n"
            "Nothing was changed. Undo those first, or undo with their dependents."
        )
