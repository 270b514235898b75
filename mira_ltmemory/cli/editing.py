"""The person's editor, and text that must not be lost when an edit is refused."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from mira_ltmemory.errors import InvalidArgument, LtMemoryError


def keep(label: str, text: str) -> Path:
    """Write a text to a new file that only this person may read, and return its path."""
    handle, name = tempfile.mkstemp(prefix=f"mira-{label}-", suffix=".md")
    with open(handle, "wb") as file:  # noqa: PTH123 - a descriptor has no path
        file.write(text.encode("utf-8", "surrogateescape"))
    return Path(name)


def edit_in(path: Path) -> str:
    """Let the person edit a file with $VISUAL or $EDITOR, and return what it holds then.

    Raises ``LtMemoryError`` where that went wrong; a file that was changed stays.
    """
    before = path.read_bytes()
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or ("notepad" if os.name == "nt" else "vi")
    try:
        done = subprocess.run([*shlex.split(editor), str(path)], check=False)  # noqa: S603 - the person's own editor
    except (OSError, ValueError) as error:
        path.unlink(missing_ok=True)
        raise LtMemoryError(f"The editor {editor!r} cannot be run ({error}). Set EDITOR, or give --content.") from None
    if done.returncode:
        told = f"The editor {editor!r} ended with {done.returncode}; nothing was changed."
        if path.exists() and path.read_bytes() == before:
            path.unlink()
            raise LtMemoryError(told)
        raise LtMemoryError(f"{told} Your text is in {path}.")
    try:
        return read_text(path)
    except InvalidArgument as error:
        raise InvalidArgument(f"{error} Nothing was changed; your text is in {path}.") from None


def read_text(path: Path) -> str:
    """Return the text of a file, of standard input for ``-``. Raises ``InvalidArgument``."""
    try:
        raw = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise InvalidArgument(f"{path} cannot be read: {error.strerror or error}.") from None
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"{path} is no UTF-8 text (byte {error.start}).") from None


def without_last_newline(text: str) -> str:
    """Take away the newline that editors and files end with; a block's text needs none."""
    return text.removesuffix("\n")
