"""Core memory: blocks that are always in the prompt and that the model edits itself.

Every change is one transaction and one change set, refuses without a trace, and may name the version that it
expects. A read-only block is changed, renamed, removed and rolled back by nothing; which blocks are read-only
is said by the settings alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

from mira_ltmemory.config import MemoryConfig
from mira_ltmemory.errors import Conflict, InvalidArgument, NeedsConfirmation, OverLimit, ReadOnly
from mira_ltmemory.protocols import Actor, Change, Kind, Origin
from mira_ltmemory.services import edits
from mira_ltmemory.services.block_history import BlockHistory, BlockVersionView, find_block, version_text
from mira_ltmemory.services.block_rules import conflict, require_description, require_free, require_label
from mira_ltmemory.services.block_setup import ensure_blocks
from mira_ltmemory.services.held import HeldEdit, HeldEdits
from mira_ltmemory.services.redaction import Redactor
from mira_ltmemory.services.text import require_text
from mira_ltmemory.services.untrusted import UntrustedText, link, noted
from mira_ltmemory.store.models import Block
from mira_ltmemory.store.unit_of_work import SqlUnitOfWork, Store


@dataclass(frozen=True, slots=True)
class BlockView:
    """A block as readers see it. ``used`` and ``limit`` are in characters."""

    label: str
    description: str
    content: str
    limit: int
    version: int
    read_only: bool

    @property
    def used(self) -> int:
        """Characters in the block."""
        return len(self.content)


@dataclass(frozen=True, slots=True)
class BlockEdit:
    """What a change did: the block as it is now, or as it was where it was removed, and its text before.

    ``redacted`` names the kinds of secrets that were replaced on the way.
    """

    block: BlockView
    change_set_id: int
    redacted: tuple[str, ...] = ()
    before: str = ""


@dataclass(frozen=True, slots=True)
class _Work:
    """A change that was asked for. ``texts`` are what it brings in; ``run`` carries it out or refuses.

    ``result`` tells what a text of the block would become.
    """

    operation: str
    label: str
    texts: tuple[str, ...]
    run: Callable[[SqlUnitOfWork], BlockEdit]
    result: Callable[[str], str] | None = None


class BlockManager:
    """Reads and edits the blocks of one user. May be used from several threads."""

    def __init__(self, store: Store, settings: MemoryConfig, redactor: Redactor) -> None:
        self._store = store
        self._settings = settings
        self._redactor = redactor
        self._history = BlockHistory(store)
        self._held: HeldEdits[_Work] = HeldEdits()
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
            return [_view(block) for block in unit.blocks.all()]

    def get(self, label: str) -> BlockView:
        """One block. Raises ``UnknownLabel``."""
        with self._store.read() as unit:
            return _view(find_block(unit, label))

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

        def run(unit: SqlUnitOfWork) -> BlockEdit:
            block = self._writable(unit, label, expected_version)
            text = version_text(unit, label, block.id, version)
            return self._save(unit, block, text.content, Origin(text.origin))

        return self._submit(_Work("rollback", label, (wanted.content,), run), change)

    def create(
        self, label: str, change: Change, *, content: str = "", description: str = "", limit: int | None = None
    ) -> BlockEdit:
        """Add a block, after the others. ``limit`` is in characters. Raises ``RefusedEdit``.

        A label that an earlier, removed block bore last takes up that block's history.
        """
        require_label(label)
        require_text("content", content, empty=True)
        require_description(description)
        allowed = self._settings.core_memory_new_block_limit if limit is None else limit
        if not 1 <= allowed <= 1_000_000:
            raise InvalidArgument(f"limit must be between 1 and 1,000,000 characters, not {allowed}.")
        self._refuse_hopeless(label, content, allowed)
        self._refuse_secret(label)
        text, redactions = self._redactor.redact(content)
        shown, more = self._redactor.redact(description)
        origin = _origin(change)

        def run(unit: SqlUnitOfWork) -> BlockEdit:
            present = unit.blocks.all()
            require_free(present, label)
            if len(present) >= self._settings.core_memory_max_blocks:
                raise OverLimit(
                    f"There are {len(present)} blocks, of at most {self._settings.core_memory_max_blocks}; nothing was "
                    "changed. Put the text into one of them, or into archival memory."
                )
            edits.require_fit(label, text, allowed)
            key, number = unit.blocks.next_key(label)
            block = Block(
                user_id=unit.user_id,
                id=key,
                version=number,
                change_set_id=unit.change_set_id,
                origin=origin.value,
                label=label,
                description=shown,
                content=text,
                char_limit=allowed,
                read_only=False,
                position=1 + max((block.position for block in present), default=-1),
            )
            unit.blocks.add(block)
            return BlockEdit(_view(block), unit.change_set_id, _kinds([*redactions, *more]))

        return self._submit(_Work("create", label, (text, description), run), change)

    def delete(self, label: str, change: Change, *, expected_version: int | None = None) -> BlockEdit:
        """Remove a block; its versions stay, and undoing the change set brings it back. Raises ``RefusedEdit``."""

        def run(unit: SqlUnitOfWork) -> BlockEdit:
            block = self._writable(unit, label, expected_version)
            self._refuse_configured(label, "deleted")
            view = _view(block)
            unit.blocks.remove(block)
            return BlockEdit(view, unit.change_set_id, before=view.content)

        return self._submit(_Work("delete", label, (), run), change)

    def rename(self, label: str, new_label: str, change: Change, *, expected_version: int | None = None) -> BlockEdit:
        """Give a block another label; its history goes with it. Raises ``RefusedEdit``."""
        require_label(new_label)
        self._refuse_secret(new_label)

        def run(unit: SqlUnitOfWork) -> BlockEdit:
            block = self._writable(unit, label, expected_version)
            self._refuse_configured(label, "renamed")
            require_free(unit.blocks.all(), new_label)
            block.label = new_label
            unit.blocks.save(block)
            return BlockEdit(_view(block), unit.change_set_id, before=block.content)

        return self._submit(_Work("rename", label, (), run), change)

    def pending(self) -> list[HeldEdit]:
        """The edits of this process that wait for a person, oldest first."""
        return self._held.all()

    def confirm(self, held_id: int, change: Change) -> BlockEdit:
        """Carry out a held edit, as a change of the person who confirms it. Raises ``RefusedEdit``.

        One that cannot be carried out any more is refused like any other and waits on.
        """
        if change.actor is not Actor.USER:
            raise InvalidArgument("Only a person may confirm a held edit.")
        held, work = self._held.take(held_id)
        try:
            with self._store.write(
                change, {**noted(held.sources), "confirmed": self._store.clean(Change(Actor.USER, held.tool)).tool}
            ) as unit:
                edit = work.run(unit)
                _link(unit, edit, held.sources)
                return edit
        except BaseException:
            self._held.put_back(held, work)
            raise

    def dismiss(self, held_id: int) -> HeldEdit:
        """Drop a held edit and return it. Raises ``InvalidArgument``."""
        return self._held.take(held_id)[0]

    def forget(self, holds: Callable[[str], bool]) -> int:
        """Drop the held edits whose text is to be forgotten; tell how many."""
        return self._held.drop(lambda held: holds(held.before) or holds(held.after))

    def _edit(
        self,
        label: str,
        given: Sequence[edits.Edit],
        change: Change,
        expected_version: int | None,
        operation: str | None = None,
    ) -> BlockEdit:
        clean: list[edits.Edit] = []
        kinds: list[str] = []
        for number, edit in enumerate(given, 1):
            with edits.numbered(number, len(given), edit.op):
                edit.check()
                self._refuse_hopeless(label, edit.new)
            text, redactions = self._redactor.redact(edit.new)
            clean.append(dataclasses.replace(edit, new=text))
            kinds += _kinds(redactions)
        origin = _origin(change)

        def run(unit: SqlUnitOfWork) -> BlockEdit:
            block = self._writable(unit, label, expected_version)
            # Once more as a whole: a secret may come in beside the words that make it one.
            text, more = self._redactor.redact(edits.apply_all(block.content, clean))
            return self._save(unit, block, text, origin, tuple(dict.fromkeys([*kinds, *_kinds(more)])))

        work = _Work(
            operation or given[0].op,
            label,
            tuple(edit.new for edit in clean),
            run,
            lambda text: edits.apply_all(text, clean),
        )
        return self._submit(work, change)

    def _submit(self, work: _Work, change: Change) -> BlockEdit:
        """Carry out a change, or hold it where it needs a person; the journal notes the untrusted text in it."""
        by_person = change.actor in (Actor.USER, Actor.SYSTEM)
        sources = () if by_person else self.untrusted.sources(work.texts, work.label, work.result)
        policy = self._settings.core_memory_confirmation
        held = not by_person and (policy == "always" or (policy == "untrusted" and bool(sources)))
        with self._store.write(change, noted(sources)) as unit:
            edit = work.run(unit)
            _link(unit, edit, sources)
            if held:  # carried out and rolled back: what could not be done is refused for what is wrong with it
                raise self._hold(work, change, edit, sources)
            return edit

    def _hold(self, work: _Work, change: Change, edit: BlockEdit, sources: tuple[str, ...]) -> NeedsConfirmation:
        def make(number: int) -> HeldEdit:
            after = "" if work.operation == "delete" else edit.block.content
            now = self._store.clock.now()
            return HeldEdit(number, work.operation, work.label, change.tool, edit.before, after, sources, now)

        number = self._held.hold(make, work)
        why = (
            "it repeats text that came from a tool or a web page, which nobody vouches for"
            if sources
            else "the settings ask a person to confirm every change of core memory by the model"
        )
        return NeedsConfirmation(
            f"Block {work.label!r} was not changed: {why}. The edit is held as number {number} until the user "
            "confirms it. Tell the user what you want to keep and why; do not try again in other words."
        )

    def _writable(self, unit: SqlUnitOfWork, label: str, expected_version: int | None) -> Block:
        block = find_block(unit, label)
        if block.read_only or label in self._settings.core_memory_read_only:
            raise ReadOnly(
                f"Block {label!r} is read-only; nothing was changed. Only the setting core_memory_read_only says so."
            )
        if expected_version is not None and expected_version != block.version:
            raise Conflict(conflict(unit, block, expected_version))
        return block

    def _save(
        self, unit: SqlUnitOfWork, block: Block, text: str, origin: Origin, redacted: tuple[str, ...] = ()
    ) -> BlockEdit:
        before = block.content
        edits.require_fit(block.label, text, block.char_limit)
        if text == before:
            raise InvalidArgument(f"Block {block.label!r} holds exactly this text already; there is nothing to change.")
        block.content = text
        if block.label in self._settings.core_memory_blocks:
            # Kept above what is configured only for a text that is longer: the limit comes down with the text.
            block.char_limit = max(self._settings.core_memory_blocks[block.label], len(text))
        block.origin = origin.value
        unit.blocks.save(block)
        return BlockEdit(_view(block), unit.change_set_id, redacted, before)

    def _refuse_configured(self, label: str, done: str) -> None:
        if label in self._settings.core_memory_blocks:
            raise InvalidArgument(
                f"Block {label!r} is in the setting core_memory_blocks, so it cannot be {done}; nothing was changed. "
                "Take it out of the settings first."
            )

    def _refuse_secret(self, label: str) -> None:
        if self._redactor.redact(label)[1]:
            raise InvalidArgument("The label holds what looks like a secret; nothing was changed. Take another label.")

    def _refuse_hopeless(self, label: str, given: str, limit: int = 0) -> None:
        """Refuse text that no block could hold before it is searched for secrets, which can shorten it."""
        configured = self._settings.core_memory_blocks
        largest = max([*configured.values(), self._settings.core_memory_new_block_limit, limit])
        if len(given) > largest + _MARK_ALLOWANCE:
            edits.require_fit(label, given, limit or configured.get(label, largest))


_MARK_ALLOWANCE = 100_000
"""Characters beyond the largest limit that an edit may come with: redaction can make a text shorter."""


def _kinds(redactions: Sequence[Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(redaction.kind for redaction in redactions))


def _link(unit: SqlUnitOfWork, edit: BlockEdit, sources: Sequence[str]) -> None:
    block = unit.blocks.get(edit.block.label) if sources else None
    if block is not None:
        link(unit, Kind.BLOCK, block.id, sources, Origin(block.origin))


def _view(block: Block) -> BlockView:
    return BlockView(
        label=block.label,
        description=block.description,
        content=block.content,
        limit=block.char_limit,
        version=block.version,
        read_only=block.read_only,
    )


def _origin(change: Change) -> Origin:
    return Origin.USER if change.actor is Actor.USER else Origin.ASSISTANT
