"""Core memory: blocks that are always in the prompt and that the model edits itself.

Every change is one transaction and one change set, refuses without a trace, and may name the version that it
expects. A read-only block is changed, renamed, removed and rolled back by nothing; which blocks are read-only
is said by the settings alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy

from mira_ltmemory.config import MemoryConfig
from mira_ltmemory.errors import InvalidArgument, NeedsConfirmation
from mira_ltmemory.protocols import Actor, Change, Kind, Origin
from mira_ltmemory.services import edits
from mira_ltmemory.services.block_history import BlockHistory, BlockVersionView, find_block, version_text
from mira_ltmemory.services.block_setup import ensure_blocks
from mira_ltmemory.services.block_work import BlockEdit, BlockView, BlockWork, Work, view_of
from mira_ltmemory.services.redaction import Redactor
from mira_ltmemory.services.untrusted import UntrustedText, link, noted
from mira_ltmemory.store.held import HeldEdit
from mira_ltmemory.store.unit_of_work import SqlUnitOfWork, Store


class BlockManager:
    """Reads and edits the blocks of one user. May be used from several threads."""

    def __init__(self, store: Store, settings: MemoryConfig, redactor: Redactor) -> None:
        self._store = store
        self._settings = settings
        self._work = BlockWork(settings, redactor)
        self._history = BlockHistory(store)
        self.untrusted = UntrustedText(store)

    def unattended(self) -> BlockManager:
        """The same blocks for a run that nobody watches: text of a tool or a web page is held at the least."""
        if self._settings.core_memory_confirmation != "never":
            return self
        stricter = copy(self)
        stricter._settings = self._settings.model_copy(update={"core_memory_confirmation": "untrusted"})
        return stricter

    def ensure(self) -> list[str]:
        """Make the configured blocks exist with their limits; return sentences about what could not be."""
        return ensure_blocks(self._store, self._settings)

    def all(self) -> list[BlockView]:
        """Every block, in the order of the prompt."""
        with self._store.read() as unit:
            return [view_of(block) for block in unit.blocks.all()]

    def get(self, label: str) -> BlockView:
        """One block. Raises ``UnknownLabel``."""
        with self._store.read() as unit:
            return view_of(find_block(unit, label))

    def history(self, label: str, limit: int = 20) -> list[BlockVersionView]:
        """The newest versions of a block, newest first, of a removed one too. Raises ``RefusedEdit``."""
        return self._history.versions(label, limit)

    def version(self, label: str, version: int) -> str:
        """What a version of a block held. Raises ``RefusedEdit``."""
        return self._history.text(label, version)

    def diff(self, label: str, a: int, b: int) -> str:
        """The unified diff from version ``a`` to ``b``; empty where the text is the same. Raises ``RefusedEdit``."""
        return self._history.diff(label, a, b)

    def steps(self, label: str, versions: Sequence[int]) -> Mapping[int, str]:
        """For each of these versions its diff from the one before, where that is kept. Raises ``RefusedEdit``."""
        return self._history.steps(label, versions)

    def append(self, label: str, content: str, change: Change, *, expected_version: int | None = None) -> BlockEdit:
        """Add a line at the end of a block. Raises ``RefusedEdit``."""
        return self._edit(label, [edits.Append(new=content)], change, expected_version)

    def replace(
        self, label: str, old_content: str, new_content: str, change: Change, *, expected_version: int | None = None
    ) -> BlockEdit:
        """Replace the one place where ``old_content`` stands. Raises ``RefusedEdit``."""
        return self._edit(label, [edits.Replace(old=old_content, new=new_content)], change, expected_version)

    def insert(
        self, label: str, new_str: str, insert_line: int, change: Change, *, expected_version: int | None = None
    ) -> BlockEdit:
        """Insert after a line: 0 first, -1 last. Raises ``RefusedEdit``."""
        return self._edit(label, [edits.Insert(new=new_str, line=insert_line)], change, expected_version)

    def rethink(self, label: str, new_memory: str, change: Change, *, expected_version: int | None = None) -> BlockEdit:
        """Write the whole block anew. Raises ``RefusedEdit``."""
        return self._edit(label, [edits.Rethink(new=new_memory)], change, expected_version)

    def patch(
        self, label: str, patch: Sequence[edits.Edit], change: Change, *, expected_version: int | None = None
    ) -> BlockEdit:
        """Make several edits one after the other, all of them or none, as one version. Raises ``RefusedEdit``.

        A refusal says which edit failed, counted from 1. The limit holds for the text at the end.
        """
        if not patch:
            raise InvalidArgument("The patch holds no edits; there is nothing to change.")
        return self._edit(label, patch, change, expected_version, "patch")

    def rollback(self, label: str, version: int, change: Change, *, expected_version: int | None = None) -> BlockEdit:
        """Make a new version that holds exactly the text of an earlier one. Raises ``RefusedEdit``.

        Label, description and limit stay as they are.
        """
        with self._store.read() as unit:
            wanted = version_text(unit, label, find_block(unit, label).id, version)
        return self._submit(self._work.rollback(label, version, expected_version, wanted.content), change)

    def create(
        self, label: str, change: Change, *, content: str = "", description: str = "", limit: int | None = None
    ) -> BlockEdit:
        """Add a block, after the others. ``limit`` is in characters. Raises ``RefusedEdit``.

        A label that an earlier, removed block bore last takes up that block's history.
        """
        return self._submit(self._work.create(label, content, description, limit, _origin(change)), change)

    def delete(self, label: str, change: Change, *, expected_version: int | None = None) -> BlockEdit:
        """Remove a block; its versions stay, and undoing the change set brings it back. Raises ``RefusedEdit``."""
        return self._submit(self._work.delete(label, expected_version), change)

    def rename(self, label: str, new_label: str, change: Change, *, expected_version: int | None = None) -> BlockEdit:
        """Give a block another label; its history goes with it. Raises ``RefusedEdit``."""
        return self._submit(self._work.rename(label, new_label, expected_version), change)

    def pending(self) -> list[HeldEdit]:
        """The edits that wait for a person, oldest first, whichever process held them."""
        with self._store.read() as unit:
            return unit.held.all()

    def confirm(self, held_id: int, change: Change) -> BlockEdit:
        """Carry out a held edit, as a change of the person who confirms it. Raises ``RefusedEdit``.

        One that cannot be carried out any more is refused like any other and waits on.
        """
        if change.actor is not Actor.USER:
            raise InvalidArgument("Only a person may confirm a held edit.")
        held = self._held(held_id)
        by = self._store.clean(Change(Actor.USER, held.tool)).tool
        with self._store.write(change, {**noted(held.sources), "confirmed": by}) as unit:
            if unit.held.take(held_id) is None:
                raise InvalidArgument(f"The held edit {held_id} was confirmed or dismissed meanwhile.")
            edit = self._work.again(held.operation, held.label, held.arguments).run(unit)
            _link(unit, edit, held.sources)
            return edit

    def dismiss(self, held_id: int) -> HeldEdit:
        """Drop a held edit and return it. Raises ``InvalidArgument``."""
        held = self._held(held_id)
        with self._store.upkeep() as unit:
            unit.held.take(held_id)
        return held

    def forget(self, holds: Callable[[str], bool]) -> int:
        """Drop the held edits whose text is to be forgotten; tell how many."""
        with self._store.upkeep() as unit:
            return unit.held.drop(held.id for held in unit.held.all() if holds(held.before) or holds(held.after))

    def _held(self, held_id: int) -> HeldEdit:
        waiting = {held.id: held for held in self.pending()}
        if held_id not in waiting:
            listed = ", ".join(map(str, waiting)) or "none"
            raise InvalidArgument(f"No held edit has the number {str(held_id)[:40]}. Waiting: {listed}.")
        return waiting[held_id]

    def _edit(
        self,
        label: str,
        given: Sequence[edits.Edit],
        change: Change,
        expected_version: int | None,
        operation: str | None = None,
    ) -> BlockEdit:
        return self._submit(self._work.text(label, given, _origin(change), expected_version, operation), change)

    def _submit(self, work: Work, change: Change) -> BlockEdit:
        """Carry out a change, or hold it where it needs a person; the journal notes the untrusted text in it."""
        by_person = change.actor in (Actor.USER, Actor.SYSTEM)
        sources = () if by_person else self.untrusted.sources(work.texts, work.label, work.result)
        policy = self._settings.core_memory_confirmation
        held = not by_person and (policy == "always" or (policy == "untrusted" and bool(sources)))
        try:
            with self._store.write(change, noted(sources)) as unit:
                edit = work.run(unit)
                _link(unit, edit, sources)
                if held:  # carried out and rolled back: what could not be done is refused for what is wrong with it
                    raise _Held(edit)
                return edit
        except _Held as done:
            raise self._hold(work, change, done.edit, sources) from None

    def _hold(self, work: Work, change: Change, edit: BlockEdit, sources: tuple[str, ...]) -> NeedsConfirmation:
        after = "" if work.operation == "delete" else edit.block.content
        tool = self._store.clean(change).tool
        now = self._store.clock.now()
        with self._store.upkeep() as unit:
            number = unit.held.put(
                HeldEdit(0, work.operation, work.label, work.arguments, tool, edit.before, after, sources, now)
            )
        why = (
            "it repeats text that came from a tool or a web page, which nobody vouches for"
            if sources
            else "the settings ask a person to confirm every change of core memory by the model"
        )
        return NeedsConfirmation(
            f"Block {work.label!r} was not changed: {why}. The edit is held as number {number} until the user "
            f"confirms it with: mira-ltmemory blocks confirm {number}. Tell the user what you want to keep and why; do "
            "not try again in other words."
        )


class _Held(Exception):
    """Rolls back an edit that is to be held."""

    def __init__(self, edit: BlockEdit) -> None:
        self.edit = edit


def _link(unit: SqlUnitOfWork, edit: BlockEdit, sources: Sequence[str]) -> None:
    block = unit.blocks.get(edit.block.label) if sources else None
    if block is not None:
        link(unit, Kind.BLOCK, block.id, sources, Origin(block.origin))


def _origin(change: Change) -> Origin:
    return Origin.USER if change.actor is Actor.USER else Origin.ASSISTANT
