"""Edits of a block's text, as pure functions and as values: they return the new text or refuse.

Lines end at a line feed and nowhere else; an empty text has no lines.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

from mira_ltmemory.errors import AmbiguousMatch, InvalidArgument, NoMatch, OverLimit
from mira_ltmemory.services.text import require_text

_SHOWN_LINES = 3
_SHOWN_CHARS = 120
_COMPARED_LINES = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One edit of a block's text. ``new`` is the text that it brings."""

    op: ClassVar[str] = ""
    field: ClassVar[str] = ""
    new: str

    def check(self) -> None:
        """Raise ``InvalidArgument`` naming the field that is malformed."""
        require_text(self.field, self.new)

    def apply(self, text: str) -> str:
        """Return the new text. Raises ``RefusedEdit``."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Append(Edit):
    """Add a line at the end."""

    op: ClassVar[str] = "append"
    field: ClassVar[str] = "content"

    def apply(self, text: str) -> str:
        """Return the text with its new last line."""
        return append(text, self.new)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replace(Edit):
    """Replace the one place where ``old`` stands; an empty ``new`` removes it."""

    op: ClassVar[str] = "replace"
    field: ClassVar[str] = "new_content"
    old: str

    def check(self) -> None:
        """Raise ``InvalidArgument`` naming the field that is malformed."""
        require_text("old_content", self.old, empty=True)
        require_text(self.field, self.new, empty=True)

    def apply(self, text: str) -> str:
        """Return the text with the place replaced. Raises ``NoMatch`` and ``AmbiguousMatch``."""
        return replace(text, self.old, self.new)


@dataclass(frozen=True, slots=True, kw_only=True)
class Insert(Edit):
    """Insert after a line: 0 first, -1 last."""

    op: ClassVar[str] = "insert"
    field: ClassVar[str] = "new_str"
    line: int = -1

    def check(self) -> None:
        """Raise ``InvalidArgument`` naming the field that is malformed."""
        require_text(self.field, self.new)
        if not isinstance(self.line, int) or isinstance(self.line, bool):
            raise InvalidArgument(f"insert_line must be a whole number, not {type(self.line).__name__}.")

    def apply(self, text: str) -> str:
        """Return the text with the new lines. Raises ``InvalidArgument``."""
        return insert(text, self.new, self.line)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rethink(Edit):
    """Write the whole text anew."""

    op: ClassVar[str] = "rethink"
    field: ClassVar[str] = "new_memory"

    def check(self) -> None:
        """Raise ``InvalidArgument`` naming the field that is malformed."""
        require_text(self.field, self.new, empty=True)

    def apply(self, text: str) -> str:
        """Return the new text."""
        return self.new


_NAMES: Mapping[type[Edit], Mapping[str, str]] = {
    Append: {"content": "new"},
    Replace: {"old_content": "old", "new_content": "new"},
    Insert: {"new_str": "new", "insert_line": "line"},
    Rethink: {"new_memory": "new"},
}
_OPTIONAL = "insert_line"


def parse(value: Mapping[str, Any]) -> Edit:
    """Read an edit as JSON gives it: ``op`` and the arguments of the tool of that operation.

    ``{"op": "replace", "old_content": "a", "new_content": "b"}``. Raises ``InvalidArgument``.
    """
    if not isinstance(value, Mapping):
        raise InvalidArgument(f"an edit must be an object with op, not {type(value).__name__}.")
    kind = next((kind for kind in _NAMES if kind.op == value.get("op")), None)
    if kind is None:
        known = ", ".join(kind.op for kind in _NAMES)
        raise InvalidArgument(f"op must be one of {known}, not {str(value.get('op'))[:60]!r}.")
    names = _NAMES[kind]
    unknown = [name for name in value if name != "op" and name not in names]
    missing = [name for name in names if name not in value and name != _OPTIONAL]
    if unknown or missing:
        raise InvalidArgument(f"{kind.op} takes {' and '.join(names)}, not {', '.join(map(str, value))[:200]}.")
    edit = kind(**{names[name]: given for name, given in value.items() if name != "op"})
    edit.check()
    return edit


def as_json(edit: Edit) -> dict[str, Any]:
    """An edit as `parse` reads it."""
    return {"op": edit.op, **{name: getattr(edit, field) for name, field in _NAMES[type(edit)].items()}}


def append(text: str, addition: str) -> str:
    """Add a line at the end."""
    return f"{text}\n{addition}" if text else addition


def replace(text: str, old: str, new: str) -> str:
    """Replace the one place where ``old`` stands.

    Raises ``NoMatch`` with the nearest lines, or ``AmbiguousMatch`` with the lines of every place.
    """
    if not old:
        raise InvalidArgument("old_content is empty; give the exact text that is to be replaced.")
    if old == new:
        raise InvalidArgument("old_content and new_content are the same; there is nothing to change.")
    first = text.find(old)
    if first < 0:
        raise NoMatch(f"old_content is not in the block; nothing was changed. {_nearest(text, old)}")
    places = places_of(text, old)
    if len(places) > 1:
        lines = ", ".join(map(str, lines_at(text, places[:10])))
        raise AmbiguousMatch(
            f"old_content stands in the block {len(places)} times (beginning on lines {lines}); nothing was changed. "
            "Give more of the text around it, so that it stands once."
        )
    return text[:first] + new + text[first + len(old) :]


def insert(text: str, addition: str, line: int) -> str:
    """Insert ``addition`` after line ``line``: 0 puts it first, -1 last. Raises ``InvalidArgument``."""
    lines = lines_of(text)
    if not -1 <= line <= len(lines):
        raise InvalidArgument(
            f"insert_line is {str(line)[:20]}, but the block has {len(lines)} lines: give 0 (before the first line) to "
            f"{len(lines)} (after the last), or -1 for the end."
        )
    at = len(lines) if line == -1 else line
    return "\n".join([*lines[:at], addition, *lines[at:]])


def lines_of(text: str) -> list[str]:
    """The lines of a text without their line feeds; none where the text is empty."""
    return text.split("\n") if text else []


def lines_at(text: str, places: Sequence[int]) -> list[int]:
    """The line, from 1, on which each place of a text is."""
    return [text.count("\n", 0, place) + 1 for place in places]


def places_of(text: str, part: str) -> list[int]:
    """Every place where ``part`` begins, overlapping ones too: each would be a different edit."""
    found: list[int] = []
    at = text.find(part)
    while at >= 0:
        found.append(at)
        at = text.find(part, at + 1)
    return found


def unified_diff(before: str, after: str, name_before: str, name_after: str) -> str:
    """The unified diff of two texts with three lines around each change; empty where they are the same."""
    return "\n".join(difflib.unified_diff(lines_of(before), lines_of(after), name_before, name_after, lineterm=""))


def require_fit(label: str, text: str, limit: int) -> None:
    """Raise ``OverLimit`` with the numbers where ``text`` is longer than the block's limit in characters."""
    if len(text) > limit:
        raise OverLimit(
            f"Block {label!r} would hold {len(text):,} of {limit:,} characters (over by {len(text) - limit:,}); "
            "nothing was changed. Shorten the text, condense the block, or put details into archival memory."
        )


def apply_all(text: str, edits: Sequence[Edit]) -> str:
    """Apply edits one after the other. Raises what the first that fails raises, and its number if there are more."""
    for number, edit in enumerate(edits, 1):
        with numbered(number, len(edits), edit.op):
            text = edit.apply(text)
    return text


@contextmanager
def numbered(number: int, of: int, op: str) -> Iterator[None]:
    """Say in a refusal which of several edits failed, from 1: ``Edit 2 of 3 (replace): ...``."""
    try:
        yield
    except (InvalidArgument, NoMatch, AmbiguousMatch, OverLimit) as error:
        if of == 1:
            raise
        raise type(error)(f"Edit {number} of {of} ({op}): {error}") from error


def _nearest(text: str, wanted: str) -> str:
    lines = [line for line in text.split("\n") if line.strip()][:_COMPARED_LINES]
    if not lines:
        return "The block is empty."
    first = next((line for line in wanted.split("\n") if line.strip()), wanted)[:_SHOWN_CHARS]
    near = difflib.get_close_matches(first, lines, n=_SHOWN_LINES, cutoff=0.3) or lines[:_SHOWN_LINES]
    shown = "\n".join(f"  {line[:_SHOWN_CHARS]}" for line in near)
    return f"The nearest lines are:\n{shown}"
