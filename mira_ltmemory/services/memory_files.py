"""Core memory as files: the commands of Anthropic's memory tool (``memory_20250818``) over the same blocks.

The block ``human`` is the file ``/memories/human.md``. An extension of up to 8 letters or digits may be given or
left out and names the same block; directories there are none. A path is taken only where it is exactly of that
form, so there is nothing to traverse: no file system is touched. Answers are worded as that tool's handlers word
them; refusals that it does not know (read-only, over the limit, held) say what is wrong in our words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from mira_ltmemory.errors import AmbiguousMatch, InvalidArgument, NoMatch, UnknownLabel
from mira_ltmemory.protocols import Change
from mira_ltmemory.services import edits
from mira_ltmemory.services.block_work import BlockView
from mira_ltmemory.services.blocks import BlockManager

ROOT = "/memories"
_FILE = re.compile(r"/memories/(?P<label>[a-z][a-z0-9_]{0,63})(?:\.[a-z0-9]{1,8})?", re.ASCII)
_NESTED = re.compile(r"/memories/(?P<rest>[A-Za-z0-9_. /-]{1,120})", re.ASCII)
_MAX_PATH = 200
_SHOWN_PATH = 80
_SHOWN_OLD = 200
_SNIPPET = 3

COMMANDS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "view": (("path",), ("view_range",)),
    "create": (("path", "file_text"), ()),
    "str_replace": (("path", "old_str", "new_str"), ()),
    "insert": (("path", "insert_line", "insert_text"), ()),
    "delete": (("path",), ()),
    "rename": (("old_path", "new_path"), ()),
}
"""The commands, with the arguments that each needs and those that it may have."""


class MemoryFiles:
    """The files of one user. Each command that changes something is one change set."""

    def __init__(self, blocks: BlockManager) -> None:
        self._blocks = blocks

    def run(self, command: str, arguments: Mapping[str, Any], change: Change) -> str:
        """Carry out a command and return its answer. Raises ``RefusedEdit``; nothing was changed then."""
        if command not in COMMANDS:
            raise InvalidArgument(f"command must be one of {', '.join(COMMANDS)}, not {str(command)[:60]!r}.")
        needed, optional = COMMANDS[command]
        missing = [name for name in needed if name not in arguments]
        if missing:
            raise InvalidArgument(f"{command} needs {' and '.join(missing)}.")
        unknown = [name for name in arguments if name not in (*needed, *optional)]
        if unknown:
            raise InvalidArgument(f"{command} takes {', '.join((*needed, *optional))}, not {unknown[0][:60]!r}.")
        if command == "view":
            return self.view(arguments["path"], arguments.get("view_range"))
        method: Callable[..., str] = getattr(self, command)
        return method(*(arguments[name] for name in needed), change)

    def view(self, path: str, view_range: Any = None) -> str:
        """List the files, or show one with line numbers; ``view_range`` is first and last line, -1 the end."""
        label = _label(path, root=True)
        if label is None:
            if view_range is not None:
                raise InvalidArgument("Error: view_range is not allowed where path is a directory.")
            return self._listing()
        lines = edits.lines_of(self._find(path, label).content)
        first, last = _range(view_range, len(lines))
        return f"Here's the content of {path} with line numbers:\n" + _numbered(lines, first, last)

    def create(self, path: str, file_text: str, change: Change) -> str:
        """Make a file. One that is there already is not written over."""
        label = _require_file(path)
        if any(block.label == label for block in self._blocks.all()):
            raise InvalidArgument(f"Error: File {path} already exists")
        self._blocks.create(label, change, content=file_text)
        return f"File created successfully at: {path}"

    def str_replace(self, path: str, old_str: str, new_str: str, change: Change) -> str:
        """Replace the one place where ``old_str`` stands."""
        label = _require_file(path)
        self._find(path, label)
        shown = str(old_str)[:_SHOWN_OLD]
        try:
            edit = self._blocks.replace(label, old_str, new_str, change)
        except NoMatch as error:
            nearest = str(error).partition("nothing was changed. ")[2]
            raise NoMatch(
                f"No replacement was performed, old_str `{shown}` did not appear verbatim in {path}. {nearest}"
            ) from error
        except AmbiguousMatch as error:
            content = self._blocks.get(label).content
            lines = edits.lines_at(content, edits.places_of(content, old_str)[:10])
            raise AmbiguousMatch(
                f"No replacement was performed. Multiple occurrences of old_str `{shown}` in lines: "
                f"{', '.join(map(str, lines))}. Please ensure it is unique"
            ) from error
        return f"The memory file has been edited. A snippet of it:\n{_snippet(edit.before, edit.block.content)}"

    def insert(self, path: str, insert_line: int, insert_text: str, change: Change) -> str:
        """Insert after a line, 0 before the first. One line feed at the end of ``insert_text`` ends its line."""
        label = _require_file(path)
        count = len(edits.lines_of(self._find(path, label).content))
        if not isinstance(insert_line, int) or not 0 <= insert_line <= count:
            raise InvalidArgument(
                f"Error: Invalid `insert_line` parameter: {str(insert_line)[:40]}. It should be within the range of "
                f"lines of the file: [0, {count}]"
            )
        text = insert_text.removesuffix("\n") if isinstance(insert_text, str) else insert_text
        self._blocks.insert(label, text, insert_line, change)
        return f"The file {path} has been edited."

    def delete(self, path: str, change: Change) -> str:
        """Remove a file; the journal keeps it."""
        if _label(path, root=True) is None:
            raise InvalidArgument(f"Error: The directory {ROOT} itself cannot be deleted")
        label = _require_file(path)
        self._find(path, label)
        self._blocks.delete(label, change)
        return f"Successfully deleted {path}"

    def rename(self, old_path: str, new_path: str, change: Change) -> str:
        """Give a file another name, which no other file may have."""
        if _label(old_path, root=True) is None:
            raise InvalidArgument(f"Error: The directory {ROOT} itself cannot be renamed")
        old, new = _require_file(old_path), _require_file(new_path)
        self._find(old_path, old)
        if any(block.label == new for block in self._blocks.all()):
            raise InvalidArgument(f"Error: The destination {new_path} already exists")
        self._blocks.rename(old, new, change)
        return f"Successfully renamed {old_path} to {new_path}"

    def _find(self, path: str, label: str) -> BlockView:
        try:
            return self._blocks.get(label)
        except UnknownLabel as error:
            raise UnknownLabel(f"The path {path} does not exist. Please provide a valid path.") from error

    def _listing(self) -> str:
        sizes = {block.label: len(block.content.encode("utf-8")) for block in self._blocks.all()}
        lines = [f"{_size(sum(sizes.values()))}\t{ROOT}"]
        lines += [f"{_size(size)}\t{ROOT}/{label}.md" for label, size in sorted(sizes.items())]
        head = f"Here're the files and directories up to 2 levels deep in {ROOT}, excluding hidden items and "
        return head + "node_modules:\n" + "\n".join(lines)


def _label(path: object, *, root: bool = False) -> str | None:
    """The label of a path's block; none for the directory itself, where ``root`` allows it."""
    if not isinstance(path, str):
        raise InvalidArgument(f"path must be text, not {type(path).__name__}.")
    if len(path) > _MAX_PATH:
        raise InvalidArgument(f"The path is {len(path):,} characters long; at most {_MAX_PATH} are allowed.")
    if path in (ROOT, f"{ROOT}/") and root:
        return None
    found = _FILE.fullmatch(path)
    if found is None:
        # ASCII shows what hides in a path: NUL, bidirectional marks, letters that only look like others.
        raise InvalidArgument(f"Error: Invalid path {path[:_SHOWN_PATH]!a}. {_advice(path)}")
    return found["label"]


def _require_file(path: object) -> str:
    label = _label(path, root=True)
    if label is None:
        raise InvalidArgument(f"Error: {ROOT} is a directory; give a file in it, such as {ROOT}/notes.md")
    return label


def _advice(path: str) -> str:
    nested = _NESTED.fullmatch(path)
    rule = f"Paths are {ROOT} and files directly in it, named with a-z, 0-9 and _, beginning with a letter."
    if nested is None or ".." in path or "//" in path:
        return rule
    stem = re.sub(r"\.[A-Za-z0-9]{1,8}$", "", nested["rest"].strip("/"))
    name = re.sub(r"[^a-z0-9]+", "_", stem.lower()).lstrip("_0123456789")[:64].rstrip("_")
    return f"{rule} For example: {ROOT}/{name}.md" if name else rule


def _range(given: Any, count: int) -> tuple[int, int]:
    """First and last line, from 1. Raises ``InvalidArgument``."""
    if given is None:
        return 1, count
    whole = isinstance(given, list | tuple) and len(given) == 2 and all(type(number) is int for number in given)
    first, last = given if whole else (0, 0)
    last = count if last == -1 else last
    if not whole or not 1 <= first <= last <= count:
        raise InvalidArgument(
            f"Error: Invalid `view_range` parameter: {str(given)[:60]}. It should be two line numbers within "
            f"[1, {count}], the first not after the second; -1 as the second is the end of the file."
        )
    return first, last


def _numbered(lines: list[str], first: int, last: int) -> str:
    return "\n".join(f"{number:>6}\t{lines[number - 1]}" for number in range(first, last + 1))


def _snippet(before: str, after: str) -> str:
    """The lines around the first place that changed."""
    lines, old = edits.lines_of(after), edits.lines_of(before)
    pairs = enumerate(zip(lines, old, strict=False))
    changed = next((at for at, (new, was) in pairs if new != was), min(len(lines), len(old)))
    first = max(1, changed + 1 - _SNIPPET)
    return _numbered(lines, first, min(len(lines), changed + 1 + 2 * _SNIPPET))


def _size(count: int) -> str:
    """``0B``, ``512B``, ``1.5K``: bytes in UTF-8."""
    if count < 1024:
        return f"{count}B"
    return f"{count / 1024:.1f}K" if count < 1024 * 1024 else f"{count / 1024 / 1024:.1f}M"
