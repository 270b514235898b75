"""``blocks``: core memory, shown and changed by a person."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mira_ltmemory.cli.common import Target, complain, console, diff_text, fitting, group, interactive, local
from mira_ltmemory.cli.editing import edit_in, keep, read_text, without_last_newline
from mira_ltmemory.cli.held import confirm, dismiss, pending
from mira_ltmemory.cli.search import show_blocks
from mira_ltmemory.errors import Conflict, LtMemoryError, NeedsConfirmation, ReadOnly, RefusedEdit
from mira_ltmemory.protocols import Actor, Change

if TYPE_CHECKING:
    from mira_ltmemory.composition import MemoryManager
    from mira_ltmemory.services.block_work import BlockEdit

Label = Annotated[str, typer.Argument(help="Which block.")]
Version = Annotated[int, typer.Argument(min=1, help="The number of a version.")]
Reason = Annotated[str | None, typer.Option(help="Why; the journal keeps it.", show_default=False)]
Expected = Annotated[
    int | None,
    typer.Option("--expect", min=1, help="Refuse unless the block is at this version.", show_default=False),
]


def blocks(context: typer.Context) -> None:
    """Core memory: the blocks that are always in the prompt. Alone, it shows them."""
    if context.invoked_subcommand is None:
        show(context)


def show(
    context: typer.Context,
    label: Annotated[str | None, typer.Argument(help="Which block; all where left out.", show_default=False)] = None,
) -> None:
    """Show one block, or all."""
    target: Target = context.obj
    with target.memory() as memory:
        shown = memory.blocks.all() if label is None else [memory.blocks.get(label)]
    show_blocks(console(), shown)


def edit(
    context: typer.Context,
    label: Label,
    content: Annotated[
        str | None, typer.Option("--content", "-c", help="The whole new text.", show_default=False)
    ] = None,
    append: Annotated[
        str | None, typer.Option("--append", help="A line to add at the end.", show_default=False)
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="Take the new text from a file; - is standard input.")
    ] = None,
    expected: Expected = None,
    reason: Reason = None,
) -> None:
    """Edit a block in $EDITOR, or write it anew.

    If somebody changes the block meanwhile, nothing is changed, and your text is kept in a file.
    """
    if sum(given is not None for given in (content, append, file)) > 1:
        raise typer.BadParameter("give only one of --content, --append and --file")
    target: Target = context.obj
    change = _change("edit", reason)
    with target.memory() as memory:
        if append is not None:
            _tell(memory.blocks.append(label, append, change, expected_version=expected))
            return
        shown = memory.blocks.get(label)
        version = shown.version if expected is None else expected
        draft: Path | None = None
        if content is not None:
            text = content
        elif file is not None:
            text = without_last_newline(read_text(file))
        else:
            if shown.read_only:
                raise ReadOnly(f"Block {label!r} is read-only. Only the setting core_memory_read_only says so.")
            if not interactive():
                raise NeedsConfirmation(
                    "There is no terminal to edit at, so nothing was changed: give --content or --file."
                )
            draft = keep(shown.label, shown.content + "\n")
            text = without_last_newline(edit_in(draft))
        if draft is not None and text == shown.content:
            draft.unlink()
            console().print("The text is the same; nothing was changed.", markup=False)
            return
        _rewrite(memory, label, text, version, change, draft)


def history(
    context: typer.Context,
    label: Label,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many versions to show.")] = 20,
) -> None:
    """List the versions of a block, newest first, each with the change set that made it; of a removed one too."""
    target: Target = context.obj
    with target.memory() as memory:
        versions = memory.blocks.history(label, limit)
        zone = memory.settings.zone
    rows = []
    for each in versions:
        remarks = [] if each.undoes is None else [f"undoes {each.undoes}"]
        if each.label != label:
            remarks.append(f"was called {each.label}")
        if each.untrusted_source:
            remarks.append("untrusted")
        by = f"{each.actor} {each.tool or ''}".strip()
        head = (str(each.version), str(each.change_set_id), local(each.at, zone), by)
        rows.append((*head, each.reason or "", f"{each.used} of {each.limit}", ", ".join(remarks)))
    headers = ("no.", "set", "when", "by", "reason", "characters", "remarks")
    console().print(fitting(headers, rows, ("no.", "set", "when")))


def diff(context: typer.Context, label: Label, a: Version, b: Version) -> None:
    """Show how version A of a block became version B."""
    target: Target = context.obj
    with target.memory() as memory:
        found = memory.blocks.diff(label, a, b)
    console().print(diff_text(found) if found else "The two versions hold the same text.", soft_wrap=True)


def rollback(context: typer.Context, label: Label, version: Version, reason: Reason = None) -> None:
    """Make a new version that holds exactly the text of an earlier one."""
    target: Target = context.obj
    with target.memory() as memory:
        _tell(memory.blocks.rollback(label, version, _change("rollback", reason)))


def create(
    context: typer.Context,
    label: Label,
    content: Annotated[str, typer.Option("--content", "-c", help="Its text.")] = "",
    description: Annotated[str, typer.Option(help="What it is for, in one line; the model reads it.")] = "",
    limit: Annotated[
        int | None, typer.Option(min=1, help="The most characters that it may hold.", show_default=False)
    ] = None,
    reason: Reason = None,
) -> None:
    """Add a block after the others."""
    target: Target = context.obj
    with target.memory() as memory:
        change = _change("create", reason)
        _tell(memory.blocks.create(label, change, content=content, description=description, limit=limit))


def delete(context: typer.Context, label: Label, expected: Expected = None, reason: Reason = None) -> None:
    """Remove a block; undoing the change set brings it back."""
    target: Target = context.obj
    with target.memory() as memory:
        done = memory.blocks.delete(label, _change("delete", reason), expected_version=expected)
    told = f"Block {label} was removed by change set {done.change_set_id}; undo {done.change_set_id} brings it back."
    console().print(told, markup=False)


def rename(
    context: typer.Context,
    label: Label,
    new_label: Annotated[str, typer.Argument(help="The new label.")],
    reason: Reason = None,
) -> None:
    """Give a block another label; its history goes with it."""
    target: Target = context.obj
    with target.memory() as memory:
        _tell(memory.blocks.rename(label, new_label, _change("rename", reason)))


group_of_blocks = group(
    blocks,
    {
        "show": show,
        "edit": edit,
        "history": history,
        "diff": diff,
        "rollback": rollback,
        "create": create,
        "delete": delete,
        "rename": rename,
        "pending": pending,
        "confirm": confirm,
        "dismiss": dismiss,
    },
)


def _rewrite(memory: MemoryManager, label: str, text: str, version: int, change: Change, draft: Path | None) -> None:
    try:
        done = memory.blocks.rethink(label, text, change, expected_version=version)
    except Conflict:
        kept = draft or keep(label, text)
        now = memory.blocks.get(label)
        _show_difference(now.content, text, now.version)
        raise Conflict(
            f"Block {label!r} is at version {now.version}, not {version}: somebody changed it meanwhile, so nothing "
            f"was changed now. Your text is in {kept}."
        ) from None
    except LtMemoryError as error:
        # A refusal, or a database that went away: what was written is worth more than a tidy folder.
        kept = draft or keep(label, text)
        told = f"{error} Your text is in {kept}."
        raise (RefusedEdit(told) if isinstance(error, RefusedEdit) else LtMemoryError(told)) from error
    if draft is not None:
        draft.unlink(missing_ok=True)
    _tell(done)


def _show_difference(present: str, text: str, version: int) -> None:
    from mira_ltmemory.services.edits import unified_diff

    found = unified_diff(present, text, f"version {version}", "your text")
    console().print(diff_text(found) if found else "It holds exactly your text by now.", soft_wrap=True)


def _tell(done: BlockEdit) -> None:
    block = done.block
    told = f"Block {block.label} is at version {block.version}, {block.used} of {block.limit} characters"
    console().print(f"{told} (change set {done.change_set_id}).", markup=False)
    if done.redacted:
        complain(f"secrets were replaced by marks: {', '.join(done.redacted)}")


def _change(command: str, reason: str | None) -> Change:
    return Change(Actor.USER, f"cli blocks {command}", reason)
